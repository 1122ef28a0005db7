"""COD-06: the images were made by the method that the code names. Keeps nothing; the table is data."""

from __future__ import annotations

from collections.abc import Iterator

from kuva_gateway.clinical.codes import is_imaging
from kuva_gateway.clinical.methods import COMPANIONS, expected_modalities
from kuva_gateway.validation import tags
from kuva_gateway.validation.codes import study_codes
from kuva_gateway.validation.facts import StudyFacts, told
from kuva_gateway.validation.findings import Fault


def judge_method(facts: StudyFacts) -> Iterator[Fault]:
    """COD-06: every modality but the companions' is one of those that go with one of the study's codes."""
    expected: dict[str, None] = {}
    codes = []
    for code in study_codes(facts):
        period = next((one for one in reversed(facts.code_periods.get(code, ())) if is_imaging(one)), None)
        if period is None:
            continue
        modalities = expected_modalities(period, facts.practice.method_modalities)
        if modalities is None:
            return
        codes.append(code)
        expected.update(dict.fromkeys(modalities))
    if not codes:
        return
    for one in told(facts.sets, lambda header: header.modality.strip()):
        if one.value in COMPANIONS or one.value in expected:
            continue
        yield Fault(
            rule="COD-06",
            message="modality" if one.value else "no_modality",
            where=tags.MODALITY,
            values={"instances": str(one.instances), "expected": ", ".join(expected)},
            quoted={"code": ", ".join(codes), "modality": one.value},
        )
