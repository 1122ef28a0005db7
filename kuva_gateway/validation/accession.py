"""ACC-01: the accession number. Keeps nothing; what some instances lack is no fault where others have it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

from kuva_gateway.validation import tags
from kuva_gateway.validation.facts import StudyFacts, told
from kuva_gateway.validation.findings import Fault

LONGEST: Final = 16
"""Characters of an accession number at most (PS3.5 6.2, SH)."""


def accession_numbers(facts: StudyFacts) -> tuple[str, ...]:
    """The study's accession numbers, empty ones left out."""
    return tuple(one.value for one in told(facts.sets, lambda header: header.accession_number.strip(" ")) if one.value)


def judge_accession(facts: StudyFacts) -> Iterator[Fault]:
    """ACC-01."""
    numbers = told(facts.sets, lambda header: header.accession_number.strip(" "))
    for one in numbers:
        values = {"instances": str(one.instances)}
        if not one.value:
            if len(numbers) == 1:
                yield Fault(rule="ACC-01", message="missing", where=tags.ACCESSION_NUMBER, values=values)
            continue
        if len(one.value) > LONGEST:
            values["length"] = str(len(one.value))
            yield Fault(rule="ACC-01", message="long", where=tags.ACCESSION_NUMBER, values=values)
        if any(letter == "\\" or unicodedata.category(letter) == "Cc" for letter in one.value):
            yield Fault(rule="ACC-01", message="characters", where=tags.ACCESSION_NUMBER, values=values)
    with_number = [one for one in facts.sets if one.header.accession_number.strip(" ")]
    for absent in told(with_number, lambda header: bool(header.accession_issuer.strip())):
        if not absent.value:
            values = {"instances": str(absent.instances)}
            yield Fault(rule="ACC-01", message="issuer", where=tags.ACCESSION_ISSUER, values=values)
