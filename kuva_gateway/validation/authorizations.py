"""Rules on service-purchase authorizations: OSV-01 (there is one), OSV-02 (on that day), OSV-03 (for this patient and
register).

Keeps nothing. A producer stores into its own organisation's register without any; into another's only under one that
counts: the latest version, ready, not invalidated. Each rule speaks only of those that passed the one before, so that a
finding names the nearest cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from kuva_gateway.clinical.authorizations import OCCUPATIONAL, Authorization
from kuva_gateway.clinical.identifiers import normalise_hetu, organisation_of
from kuva_gateway.validation import tags
from kuva_gateway.validation.facts import StudyFacts
from kuva_gateway.validation.findings import Fault
from kuva_gateway.validation.identity import day_of, differ_in_separator
from kuva_gateway.validation.parties import Register, own_keepers, producers, registers


def judge_right_to_store(facts: StudyFacts) -> Iterator[Fault]:
    """OSV-01, OSV-02 and OSV-03, for every producer that sent and every register that documents name."""
    documents = registers((linked.document, linked.current) for linked in facts.documents)
    into = documents or tuple(Register(keeper, "", "") for keeper in own_keepers(facts.parties))
    silent = not into
    for producer in producers(facts.parties):
        if silent:
            values = {"producer": producer}
            yield Fault(rule="OSV-01", message="no_keeper", where="authorization", values=values)
        for register in into:
            if organisation_of(producer) != organisation_of(register.keeper):
                yield from _judge(facts, producer, register)


def _judge(facts: StudyFacts, producer: str, register: Register) -> Iterator[Fault]:
    values = {"producer": producer}
    quoted = {"keeper": register.keeper, "register": register.code or "–"}
    here = [
        one
        for one in facts.parties.authorizations
        if one.authorization.producer == producer and _covers(one.authorization, register)
    ]
    counting = [one.authorization for one in here if one.counts]
    if not counting:
        message = "ended" if here else "none"
        yield Fault(rule="OSV-01", message=message, where="authorization", values=values, quoted=quoted)
        return
    of_register = [one for one in counting if _same_specifier(one, register)]
    ids = _patients(facts)
    fitting = [one for one in of_register if not one.patient_id or one.patient_id in ids]
    if not fitting:
        separator = any(differ_in_separator(one.patient_id, other) for one in of_register for other in ids)
        message = "specifier" if not of_register else "separator" if separator else "patient"
        yield Fault(rule="OSV-03", message=message, where="authorization", values=values, quoted=quoted)
        return
    yield from _judge_days(facts, fitting, producer)


def _covers(authorization: Authorization, register: Register) -> bool:
    """Whether it names that register; a document that names none leaves only the keeper to compare."""
    code = register.code or (authorization.storing.code if authorization.storing else "")
    return authorization.stores_into(register.keeper, code)


def _same_specifier(authorization: Authorization, register: Register) -> bool:
    if register.code != OCCUPATIONAL or authorization.storing is None:
        return True
    return "".join(authorization.storing.specifier.split()).upper() == register.specifier


def _judge_days(facts: StudyFacts, fitting: Sequence[Authorization], producer: str) -> Iterator[Fault]:
    """OSV-02: the study's days and the day of delivery; the one that need not hold only warns."""
    wanted = facts.parties.valid_on
    texts = sorted({one.header.study_date for one in facts.sets} - {""})
    days = [day_of(text.replace(".", "")) for text in texts]
    covered = bool(days) and all(day is not None and any(one.valid_on(day) for one in fitting) for day in days)
    periods = ", ".join(sorted({f"{one.valid_from}–{one.valid_to}" for one in fitting})[-3:])
    values = {"producer": producer, "periods": periods}
    if not covered:
        yield Fault(
            rule="OSV-02",
            message="study_date" if days else "no_study_date",
            where=tags.STUDY_DATE,
            values=values,
            quoted={"day": ", ".join(day.isoformat() if day else text for day, text in zip(days, texts, strict=True))}
            if days
            else {},
            severity="warning" if wanted == "delivery_date" else None,
        )
    if not any(one.valid_on(facts.today) for one in fitting):
        yield Fault(
            rule="OSV-02",
            message="delivery_date",
            where="authorization",
            values={**values, "today": facts.today.isoformat()},
            severity="warning" if wanted == "study_date" else None,
        )


def turning_days(facts: StudyFacts) -> Iterator[date]:
    """The days on which an authorization that may matter begins, or is over: OSV-02 may then read otherwise."""
    ids = _patients(facts)
    sent_by = set(producers(facts.parties))
    for one in facts.parties.authorizations:
        authorization = one.authorization
        if not one.counts or authorization.producer not in sent_by:
            continue
        if authorization.patient_id and authorization.patient_id not in ids:
            continue
        if authorization.valid_from is not None and authorization.valid_to is not None:
            yield authorization.valid_from
            if authorization.valid_to < date.max:
                yield authorization.valid_to + timedelta(days=1)


def _patients(facts: StudyFacts) -> set[str]:
    return {normalise_hetu(one.header.patient_id) for one in facts.sets} - {""}
