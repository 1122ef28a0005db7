"""Rules on procedure codes: COD-01 to COD-05.

Keeps nothing. Several causes give several findings, each with the attribute where it stands. A code in a sequence
counts when its item names a national code list, or when the code itself is in the list: local codes often look like
national ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Final

from kuva_gateway.catalog.records import FactSet
from kuva_gateway.clinical.codes import CodePeriod, is_imaging, method_letter, valid_on
from kuva_gateway.dicom.header import Header
from kuva_gateway.validation import tags
from kuva_gateway.validation.facts import StudyFacts, told
from kuva_gateway.validation.findings import Fault
from kuva_gateway.validation.identity import day_of
from kuva_gateway.validation.procedure_codes import CHECKED, Named, described_code, sequence_codes

_MOST_NAMED: Final = 6
"""Replacements that a message names."""
_CHAIN: Final = 5
_DATE_SHOWN: Final = 16
"""Characters of a study date that is none."""
_CLOCKS_DIFFER: Final = timedelta(days=1)


def counted_codes(facts: StudyFacts, header: Header) -> tuple[Named, ...]:
    """The codes in a header's sequences that count."""
    counted: dict[int, tuple[Named, ...]] = facts.memory.setdefault("counted codes", {})
    known = counted.get(id(header))
    if known is None:
        known = tuple(one for one in sequence_codes(header) if one.national or facts.code_periods.get(one.code))
        if any(header is one.header for one in facts.sets):  # only what lives as long as the facts has an id of its own
            counted[id(header)] = known
    return known


def study_codes(facts: StudyFacts) -> dict[str, tuple[str, ...]]:
    """Every code of the study, with the attributes that name it."""
    known: dict[str, tuple[str, ...]] | None = facts.memory.get("study codes")
    if known is None:
        known = facts.memory["study codes"] = _study_codes(facts)
    return known


def _study_codes(facts: StudyFacts) -> dict[str, tuple[str, ...]]:
    codes: dict[str, dict[str, None]] = {}
    for one in facts.sets:
        described = described_code(one.header)
        if described:
            codes.setdefault(described, {})[tags.STUDY_DESCRIPTION] = None
        for named in counted_codes(facts, one.header):
            codes.setdefault(named.code, {})[named.where] = None
    return {code: tuple(places) for code, places in codes.items()}


def judge_presence(facts: StudyFacts) -> Iterator[Fault]:
    """COD-01: a code at the start of Study Description, and every code in the list."""
    somewhere = any(described_code(one.header) for one in facts.sets)
    for one in told(facts.sets, lambda header: _lacking(facts, header)):
        if one.value is None:
            continue
        start, named = one.value
        values = {"instances": str(one.instances)}
        if named is not None and (start or not somewhere):
            quoted = {"code": named.code}
            values["place"] = tags.keyword(named.where)
            yield Fault(rule="COD-01", message="only_in_sequences", where=named.where, values=values, quoted=quoted)
        elif start:
            yield Fault(
                rule="COD-01",
                message="not_a_code",
                where=tags.STUDY_DESCRIPTION,
                values=values,
                quoted={"start": next(text for text in _descriptions(facts) if text.startswith(start))},
                cut=CHECKED,
            )
        elif not somewhere:
            yield Fault(rule="COD-01", message="missing", where=tags.STUDY_DESCRIPTION, values=values)
    for code, places in study_codes(facts).items():
        if not facts.code_periods.get(code):
            instances = sum(one.instances for one in facts.sets if code in _codes_of(facts, one))
            yield Fault(
                rule="COD-01",
                message="unknown",
                where=", ".join(places),
                values={"instances": str(instances)},
                quoted={"code": code},
            )


def _lacking(facts: StudyFacts, header: Header) -> tuple[str, Named | None] | None:
    """For a header without a code in its description: how that starts, and the first code in its sequences."""
    if described_code(header):
        return None
    return header.study_description.strip()[:CHECKED].strip(), next(iter(counted_codes(facts, header)), None)


def _descriptions(facts: StudyFacts) -> Iterator[str]:
    return (one.header.study_description.strip() for one in facts.sets)


def _codes_of(facts: StudyFacts, one: FactSet) -> set[str]:
    return {described_code(one.header), *(named.code for named in counted_codes(facts, one.header))}


def judge_agreement(facts: StudyFacts) -> Iterator[Fault]:
    """COD-02: all sources of all instances name one code; what is absent disagrees with nothing."""
    described = [one for one in told(facts.sets, described_code_or_none) if one.value]
    if len(described) > 1:
        listed = ", ".join(f"{one.value} ({one.instances})" for one in described)
        yield Fault(rule="COD-02", message="between_instances", where=tags.STUDY_DESCRIPTION, quoted={"codes": listed})
    places: dict[str, str] = {}
    for one in facts.sets:
        for named in counted_codes(facts, one.header):
            places.setdefault(named.code, named.where)
    if described:
        for code, place in places.items():
            if code not in {one.value for one in described}:
                yield Fault(
                    rule="COD-02",
                    message="description_and_sequence",
                    where=place,
                    values={"place": tags.keyword(place)},
                    quoted={"code": ", ".join(one.value for one in described), "other": code},
                )
    elif len(places) > 1:
        yield Fault(
            rule="COD-02",
            message="sequences",
            where=", ".join(dict.fromkeys(places.values())),
            quoted={"codes": ", ".join(places)},
        )


def described_code_or_none(header: Header) -> str:
    """The code at the start of a header's description, "" when there is none."""
    return described_code(header)


def judge_validity(facts: StudyFacts) -> Iterator[Fault]:
    """COD-03: each code on each study date; a study date that is missing or wrong is a finding of its own."""
    dates = told(facts.sets, lambda header: header.study_date.strip())
    days: set[date] = set()
    for one in dates:
        day = day_of(one.value)
        values = {"instances": str(one.instances)}
        if not one.value:
            if len(dates) == 1:
                yield Fault(rule="COD-03", message="no_date", where=tags.STUDY_DATE, values=values)
        elif day is None:
            quoted = {"date": one.value}
            yield Fault(
                rule="COD-03", message="bad_date", where=tags.STUDY_DATE, values=values, quoted=quoted, cut=_DATE_SHOWN
            )
        elif day - _CLOCKS_DIFFER > facts.today:
            values["date"] = day.isoformat()
            yield Fault(
                rule="COD-03",
                message="future",
                where=tags.STUDY_DATE,
                values=values,
                look_again_on=day - _CLOCKS_DIFFER,
            )
        else:
            days.add(day)
    for code, places in study_codes(facts).items():
        for day in sorted(days):
            periods = facts.code_periods.get(code, ())
            if periods and valid_on(periods, day) is None:
                yield _not_valid(facts, code, periods, day, ", ".join(places))


def _not_valid(facts: StudyFacts, code: str, periods: Iterable[CodePeriod], day: date, where: str) -> Fault:
    """The finding for a code of the list that no period covers on ``day``."""
    values = {"date": day.isoformat()}
    over = [(period.valid_to, period) for period in periods if period.valid_to is not None and period.valid_to < day]
    if not over:
        values["begins"] = min(period.valid_from for period in periods).isoformat()
        return Fault(rule="COD-03", message="not_yet", where=where, values=values, quoted={"code": code})
    ended, last = max(over, key=lambda one: one[0])
    values["ended"] = ended.isoformat()
    instead = replacements(facts, last, day)
    if not instead:
        return Fault(rule="COD-03", message="ended", where=where, values=values, quoted={"code": code})
    named = ", ".join(instead[:_MOST_NAMED]) + (", …" if len(instead) > _MOST_NAMED else "")
    values["replacement"] = named
    return Fault(rule="COD-03", message="ended_replaced", where=where, values=values, quoted={"code": code})


def replacements(facts: StudyFacts, ended: CodePeriod, day: date) -> list[str]:
    """What replaces an ended code on ``day``: replacements that ended as well are followed to theirs.

    Where none is known to be valid on that day, what the list names is returned as it stands.
    """
    valid: dict[str, None] = {}
    seen = {ended.code}
    following = list(ended.replaced_by)
    for _ in range(_CHAIN):
        step, following = following, []
        for code in step:
            if code in seen:
                continue
            seen.add(code)
            periods = facts.code_periods.get(code, ())
            if valid_on(periods, day) is not None:
                valid[code] = None
            else:
                following += [further for period in periods for further in period.replaced_by]
    return list(valid) or list(ended.replaced_by)


def judge_scheme(facts: StudyFacts) -> Iterator[Fault]:
    """COD-04: a code that counts, in an item without a national coding scheme."""
    found: dict[tuple[str, str], int] = {}
    for one in facts.sets:
        for named in counted_codes(facts, one.header):
            if not named.national:
                found[named.code, named.where] = found.get((named.code, named.where), 0) + one.instances
    for (code, where), instances in found.items():
        values = {"instances": str(instances)}
        yield Fault(rule="COD-04", message="scheme", where=where, values=values, quoted={"code": code})


def judge_imaging(facts: StudyFacts) -> Iterator[Fault]:
    """COD-05: the code stands for images, on the study date or, failing that, in its last period."""
    days = [day for one in told(facts.sets, lambda header: header.study_date) if (day := day_of(one.value))]
    for code, places in study_codes(facts).items():
        periods = facts.code_periods.get(code, ())
        if not periods:
            continue
        covering = [period for day in days if (period := valid_on(periods, day)) is not None]
        judged = covering or [max(periods, key=lambda period: period.valid_from)]
        wrong = next((period for period in judged if not is_imaging(period)), None)
        if wrong is not None:
            yield Fault(rule="COD-05", message=_why(wrong), where=", ".join(places), quoted={"code": code})


def _why(period: CodePeriod) -> str:
    """Why a code stands for no images."""
    if period.radiology or period.visible_light:
        return "without_images" if period.leaf and method_letter(period.code) else "heading"
    return "not_imaging" if period.leaf else "heading"
