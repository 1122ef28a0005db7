"""AMD-01, AMD-02 and MAP-01: that amendments can be applied, came in time, and that local codes are mapped."""

from __future__ import annotations

from collections.abc import Iterator

from kuva_gateway.dicom.amendments import ATTRIBUTES, unwritable
from kuva_gateway.validation import tags
from kuva_gateway.validation.facts import StudyFacts, told
from kuva_gateway.validation.findings import Fault


def judge_amendments(facts: StudyFacts) -> Iterator[Fault]:
    """AMD-01 and AMD-02."""
    if facts.amendments:
        for one in told(facts.received, lambda header: unwritable(header, facts.amendments)):
            for keyword in one.value:
                tag = ATTRIBUTES[keyword].tag
                where = f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})"
                values = {"instances": str(one.instances)}
                yield Fault(rule="AMD-01", message="character_set", where=where, values=values)
    if facts.linked_late:
        yield Fault(rule="AMD-02", message="delivered", where=tags.PATIENT_ID)


def judge_mapping(facts: StudyFacts) -> Iterator[Fault]:
    """MAP-01."""
    for code in facts.unmapped:
        yield Fault(rule="MAP-01", message="unknown", where=tags.PROCEDURE_CODE, quoted={"code": code})
