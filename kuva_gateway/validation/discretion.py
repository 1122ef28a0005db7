"""Keeps patients out of what findings say, by construction rather than by care.

Findings are shown, logged and mailed. Every value of a study that goes into a message passes :meth:`Discretion.show`,
which blots out its patients' ids, names and birth dates wherever they turn up: in a code, in a description, in an
accession number. Facts are kept as they are; only what is shown of them is blotted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Final

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
    """What must not be shown of one study's patients.

    Nearly all values hold nothing of a patient, which is seen at a glance; patterns, which cost more than the rest of a
    verdict, are made for the first one of which that is not sure.
    """

    def __init__(self, facts: StudyFacts) -> None:
        headers = {one.header for one in (*facts.sets, *facts.received)}
        self._ids = {one for header in headers for one in (header.patient_id, header.birth_date)}
        self._ids.update(linked.document.patient_id for linked in facts.documents)
        self._names = {part for header in headers for part in _NAME_PARTS.split(header.patient_name)}
        squeezed = {"".join(secret.split()).lower() for secret in self._ids | self._names}
        self._plain = frozenset(secret for secret in squeezed if len(secret) >= _SHORTEST_NAME)

    def show(self, value: str) -> str:
        """``value`` as it may be shown: without patients, without control characters, not endless.

        UIDs stay whole, also in a list: digits of a birth date may stand in one by chance.
        """
        blotted = ", ".join(self._blot(part) for part in value.split(", "))
        plain = "".join(letter if letter.isprintable() else "?" for letter in blotted)
        return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"

    def _blot(self, part: str) -> str:
        if ("." in part and is_valid_uid(part)) or self._is_clear(part):
            return part
        secrets = self._secrets
        return part if secrets is None else secrets.sub(HIDDEN, part)

    def _is_clear(self, part: str) -> bool:
        """Whether nothing of a patient can stand in it. Beyond ASCII only the patterns know which letters are alike."""
        squeezed = "".join(part.split()).lower()
        return squeezed.isascii() and all(one not in squeezed and one.isascii() for one in self._plain)

    @cached_property
    def _secrets(self) -> re.Pattern[str] | None:
        patterns = {pattern for one in self._ids for pattern in _forms(one)}
        patterns.update(pattern for part in self._names for pattern in _of_name(part))
        longest_first = sorted(patterns, key=lambda pattern: (-len(pattern), pattern))
        return re.compile("|".join(longest_first), re.IGNORECASE) if patterns else None


def _of_name(part: str) -> Iterator[str]:
    """The pattern of a part of a name, if it is long enough to identify anybody."""
    if len(part) >= _SHORTEST_NAME_ANYWHERE:
        yield re.escape(part)
    elif len(part) >= _SHORTEST_NAME:
        yield rf"(?<!\w){re.escape(part)}(?!\w)"


def _forms(identifier: str) -> Iterator[str]:
    """The pattern of an id, whatever blanks stand in it, if it is long enough to identify anybody."""
    characters = "".join(identifier.split())
    if len(characters) >= _SHORTEST_ID:
        yield r"\s*".join(map(re.escape, characters))
