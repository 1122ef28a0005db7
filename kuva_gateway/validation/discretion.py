"""Keeps patients out of what findings say, by construction rather than by care.

Findings are shown, logged and mailed. Every value of a study that goes into a message passes :meth:`Discretion.show`,
which blots out its patients' ids, names and birth dates wherever they turn up: in a code, in a description, in an
accession number. Facts are kept as they are; only what is shown of them is blotted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.uids import is_valid_uid
from kuva_gateway.validation.facts import StudyFacts

HIDDEN: Final = "***"
LONGEST: Final = 200
"""Characters of one value in a message at most."""
_SHORTEST_ID: Final = 4
_SHORTEST_NAME: Final = 3
_SHORTEST_NAME_ANYWHERE: Final = 5
"""A shorter part of a name is blotted only where it stands as a word of its own."""
_NAME_PARTS = re.compile(r"[\^=\\\s]+")


class Discretion:
    """What must not be shown of one study's patients, found once."""

    def __init__(self, facts: StudyFacts) -> None:
        patterns: set[str] = set()
        for one in (*facts.sets, *facts.received):
            patterns.update(_of_header(one.header))
        for linked in facts.documents:
            patterns.update(_forms(linked.document.patient_id))
        longest_first = sorted(patterns, key=lambda pattern: (-len(pattern), pattern))
        self._secrets = re.compile("|".join(longest_first), re.IGNORECASE) if patterns else None

    def show(self, value: str) -> str:
        """``value`` as it may be shown: without patients, without control characters, not endless.

        UIDs stay whole, also in a list: digits of a birth date may stand in one by chance.
        """
        blotted = ", ".join(self._blot(part) for part in value.split(", "))
        plain = "".join(letter if letter.isprintable() else "?" for letter in blotted)
        return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"

    def _blot(self, part: str) -> str:
        if self._secrets is None or ("." in part and is_valid_uid(part)):
            return part
        return self._secrets.sub(HIDDEN, part)


def _of_header(header: Header) -> Iterator[str]:
    """The patterns of one header's patient."""
    yield from _forms(header.patient_id)
    yield from _forms(header.birth_date)
    for part in _NAME_PARTS.split(header.patient_name):
        if len(part) >= _SHORTEST_NAME_ANYWHERE:
            yield re.escape(part)
        elif len(part) >= _SHORTEST_NAME:
            yield rf"(?<!\w){re.escape(part)}(?!\w)"


def _forms(identifier: str) -> Iterator[str]:
    """The pattern of an id, whatever blanks stand in it, if it is long enough to identify anybody."""
    characters = "".join(identifier.split())
    if len(characters) >= _SHORTEST_ID:
        yield r"\s*".join(map(re.escape, characters))
