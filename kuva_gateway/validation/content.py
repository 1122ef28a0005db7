"""CON-01: the study's content class is open today. Keeps nothing.

Only codes that the list knows as imaging are judged: of others COD-01 and COD-05 speak.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from kuva_gateway.clinical.codes import is_imaging
from kuva_gateway.clinical.content_classes import ContentClass
from kuva_gateway.validation import tags
from kuva_gateway.validation.codes import study_codes
from kuva_gateway.validation.facts import StudyFacts, told
from kuva_gateway.validation.findings import Fault
from kuva_gateway.validation.identity import day_of


def content_classes_of(facts: StudyFacts) -> tuple[str, ...]:
    """The ids of the study's content classes, sorted."""
    table = facts.practice.content_classes
    return () if table is None else table.ids_of(study_codes(facts))


def judge_content_class(facts: StudyFacts) -> Iterator[Fault]:
    """CON-01, for each of the study's codes."""
    table = facts.practice.content_classes
    if table is None:
        return
    days = [day for one in told(facts.sets, lambda header: header.study_date) if (day := day_of(one.value))]
    for code, places in study_codes(facts).items():
        if not any(is_imaging(period) for period in facts.code_periods.get(code, ())):
            continue
        one = table.of(code)
        where = ", ".join(places)
        if one is None:
            yield Fault(rule="CON-01", message="no_class", where=where, quoted={"code": code})
        else:
            yield from _not_open(facts, one, code, where, days)


def _not_open(facts: StudyFacts, one: ContentClass, code: str, where: str, days: list[date]) -> Iterator[Fault]:
    values = {"class_id": one.id, "class_en": one.name.en, "class_fi": one.name.fi}
    opens = one.opens_on(facts.today)
    if opens is not None:
        values["day"] = opens.isoformat()
        yield Fault(
            rule="CON-01", message="opens", where=where, values=values, quoted={"code": code}, look_again_on=opens
        )
    elif not one.is_open(facts.today):
        yield Fault(rule="CON-01", message="closed", where=where, values=values, quoted={"code": code})
    elif one.study_date_from is not None and (early := [day for day in days if day < one.study_date_from]):
        values |= {"day": one.study_date_from.isoformat(), "date": min(early).isoformat()}
        yield Fault(rule="CON-01", message="early", where=tags.STUDY_DATE, values=values, quoted={"code": code})
