"""Unique identifiers: their form (PS3.5 9), the SOP classes that matter here, and the gateway's own identifiers.

Keeps the sets of storage SOP classes and promises that a class that was retired by the
standard but is still in the field stays in :data:`STORAGE_CLASSES`.
"""

from __future__ import annotations

import re
import uuid

from pydicom._uid_dict import UID_dictionary
from pynetdicom.presentation import AllStoragePresentationContexts

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

NON_PATIENT_CLASSES: frozenset[str] = frozenset(
    {
        "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol
        "1.2.840.10008.5.1.4.39.1",  # Color Palette
        "1.2.840.10008.5.1.4.43.1",  # Generic Implant Template
        "1.2.840.10008.5.1.4.44.1",  # Implant Assembly Template
        "1.2.840.10008.5.1.4.45.1",  # Implant Template Group
        "1.2.840.10008.5.1.4.1.1.200.1",  # CT Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.200.3",  # Protocol Approval
        "1.2.840.10008.5.1.4.1.1.200.7",  # XA Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.201.1",  # Inventory
    }
)
"""Storage classes of PS3.4 Annex GG, whose objects belong to no patient and no study."""


def _storage_classes() -> frozenset[str]:
    """Every storage SOP class that pynetdicom negotiates or pydicom's dictionary knows."""
    negotiated = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    known = {
        uid
        for uid, (title, kind, *_rest) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in title and "Commitment" not in title
    }
    return frozenset(negotiated | known | NON_PATIENT_CLASSES) - {MEDIA_STORAGE_DIRECTORY}


STORAGE_CLASSES: frozenset[str] = _storage_classes()
"""All storage SOP classes of the standard, retired ones and :data:`NON_PATIENT_CLASSES` included."""


def is_valid_uid(value: str) -> bool:
    """Whether ``value`` has a UID's form: 1-64 digits and dots, no empty arc, no leading zero in an arc (PS3.5 9.1)."""
    return len(value) <= MAXIMUM_LENGTH and _UID.fullmatch(value) is not None


def class_name(uid: str) -> str:
    """The standard's name of a SOP class (or other well-known UID), or the UID itself when nobody knows it."""
    known = UID_dictionary.get(uid)
    return known[0] if known else uid


def new_uid() -> str:
    """A fresh UID under 2.25, from a random UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"
