"""Unique identifiers: their form (PS3.5 9), the few SOP classes that code names, and the gateway's own identifiers.

Imports no DICOM library, so that a command which only looks into the catalog starts quickly; the standard's classes are
in :mod:`kuva_gateway.dicom.sop_classes`.
"""

from __future__ import annotations

import re
import uuid

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT_PUSH_MODEL = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"

IMPLEMENTATION_CLASS_UID = "2.25.110291232737761755937392258718701089749"
"""The gateway's Implementation Class UID (PS3.7 D.3.3.2); never changes, so that equal data sets give equal files."""

IMPLEMENTATION_VERSION_NAME = "KUVAGW"
"""Sent in association negotiation only; it never goes into a file."""

MAXIMUM_LENGTH = 64
"""Characters in a UID at most (PS3.5 9.1)."""

_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")


def is_valid_uid(value: str) -> bool:
    """Whether ``value`` has a UID's form: 1-64 digits and dots, no empty arc, no leading zero in an arc (PS3.5 9.1)."""
    return len(value) <= MAXIMUM_LENGTH and _UID.fullmatch(value) is not None


def new_uid() -> str:
    """A fresh UID under 2.25, from a random UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"
