"""The rules: one registry, the verdict on a study, the immediate answer for one instance.

Keeps nothing but the registry. Promises that a verdict follows from the facts alone, that judging never raises, and
that no finding shows a patient's id, name or birth date.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from kuva_gateway.catalog.records import FactSet
from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.sop_classes import NON_PATIENT_CLASSES
from kuva_gateway.dicom.statuses import NOT_AUTHORISED, comment
from kuva_gateway.validation import (
    accession,
    amendments,
    authorizations,
    codes,
    content,
    decisions,
    documents,
    ecg,
    identity,
    methods,
    objects,
    observed,
    organisations,
    tags,
)
from kuva_gateway.validation.discretion import Discretion
from kuva_gateway.validation.facts import Environment, StudyFacts
from kuva_gateway.validation.findings import (
    SEVERITIES,
    STOPPING,
    Fault,
    Finding,
    Language,
    Refusal,
    Severity,
    Verdict,
)
from kuva_gateway.validation.practice import DEFAULT, Practice
from kuva_gateway.validation.texts import ALL
from kuva_gateway.validation.wording import Rule

RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for rule in ALL})
"""Every rule by its id."""

Check = Callable[[StudyFacts], Iterator[Fault]]

_OF_ONE_INSTANCE: Final[Mapping[Check, tuple[str, ...]]] = {
    objects.judge_sop_class: ("SOP-01",),
    objects.judge_transfer_syntax: ("TS-01",),
    objects.judge_uids: ("UID-01",),
    identity.judge_identity_code: ("PID-01", "PID-05"),
    identity.judge_environment: ("PID-03",),
    identity.judge_demographics: ("PID-04",),
    accession.judge_accession: ("ACC-01",),
}
"""Checks that need neither the catalog nor the rest of the study, with the rules that they speak for."""

_OF_A_STUDY: Final[tuple[Check, ...]] = (
    identity.judge_issuer,
    identity.judge_separator,
    identity.judge_one_patient,
    codes.judge_presence,
    codes.judge_agreement,
    codes.judge_validity,
    codes.judge_scheme,
    codes.judge_imaging,
    amendments.judge_amendments,
    amendments.judge_mapping,
    methods.judge_method,
    content.judge_content_class,
    ecg.judge_ecg,
    objects.judge_root,
    documents.judge_presence,
    documents.judge_agreement,
    documents.judge_readiness,
    documents.judge_report,
    organisations.judge_organisations,
    organisations.judge_membership,
    authorizations.judge_right_to_store,
    observed.judge_observed,
    decisions.judge_decisions,
)
_ORDER: Final = {rule: place for place, rule in enumerate(RULES)}
_REFUSING: Final = frozenset(
    rule.id for rule in ALL if "refuse" in {rule.severity, *(message.severity for message in rule.messages.values())}
)
"""Rules that may refuse without being configured to."""
_ANY_DAY: Final = date.max


def catalogue() -> tuple[Rule, ...]:
    """Every rule, in the order of the documentation."""
    return ALL


def judge(facts: StudyFacts, severities: Mapping[str, Severity] | None = None, language: Language = "en") -> Verdict:
    """Judge a study.

    Parameters
    ----------
    severities
        Rule id to the severity that is configured for the sender; it replaces the rule's own in all its messages.
    language
        Of messages and remedies.

    Returns
    -------
    Verdict
        Passed when nothing found is a ``hold`` or a ``refuse``.
    """
    discretion: Discretion | None = None
    findings: dict[Finding, None] = {}
    days = [day for day in authorizations.turning_days(facts) if day > facts.today]
    for fault in (fault for check in (*_OF_ONE_INSTANCE, *_OF_A_STUDY) for fault in check(facts)):
        severity = severity_of(fault, severities or {})
        if severity == "off":
            continue
        discretion = discretion or Discretion(facts)
        findings[_in_words(fault, severity, discretion, language)] = None
        if fault.look_again_on is not None and fault.look_again_on > facts.today:
            days.append(fault.look_again_on)
    ordered = sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), _ORDER[one.rule]))
    return Verdict(
        passed=not any(one.severity in STOPPING for one in ordered),
        findings=tuple(ordered),
        look_again_on=min(days, default=None),
        content_classes=content.content_classes_of(facts),
    )


def severity_of(fault: Fault, severities: Mapping[str, Severity]) -> Severity:
    """The severity of a fault: the configured one, else as it was seen, else the message's, else the rule's."""
    rule = RULES[fault.rule]
    configured = severities.get(fault.rule)
    if configured in SEVERITIES:
        return configured
    return fault.severity or rule.messages[fault.message].severity or rule.severity


def _in_words(fault: Fault, severity: Severity, discretion: Discretion, language: Language) -> Finding:
    rule = RULES[fault.rule]
    message = rule.messages[fault.message]
    spoken = {
        name.removesuffix(f"_{language}"): value
        for name, value in fault.values.items()
        if name.endswith(f"_{language}")
    }
    values = {
        **fault.values,
        **spoken,
        **{name: discretion.show(value)[: fault.cut] for name, value in fault.quoted.items()},
    }
    return Finding(
        rule=rule.id,
        severity=severity,
        where=fault.where,
        message=message.text.say(language, values),
        remedy=(message.remedy or rule.remedy).say(language),
    )


def check_instance(
    header: Header,
    command_class: str | None,
    environment: Environment,
    severities: Mapping[str, Severity] | None = None,
    *,
    command_instance: str | None = None,
    private_classes: Collection[str] = frozenset(),
    practice: Practice = DEFAULT,
) -> Refusal | None:
    """Whether one instance must be refused at once, without the catalog; None when it may be taken.

    Only rules that one instance can answer refuse here: SOP-01, UID-01, PID-03 in the test environment, and those of
    the other immediate ones that are configured as ``refuse``. A missing UID, an object that belongs to no study, and
    a data set that differs from its command are refused whatever is configured: there is no right key to keep it under.

    Parameters
    ----------
    command_class, command_instance
        Affected SOP Class and Instance UID of the C-STORE request; None: not to be compared.
    """
    configured = severities or {}
    for fault in _beyond_doubt(header, command_class, command_instance):
        return _refusal(fault)
    facts = StudyFacts(
        study_instance_uid=header.study_instance_uid,
        sets=(FactSet(header=header, instances=1, example_sop_instance_uid=header.sop_instance_uid, peers=()),),
        environment=environment,
        private_classes=private_classes,
        practice=practice,
        today=_ANY_DAY,
    )
    for fault in _immediate_faults(facts, header, configured):
        if severity_of(fault, configured) == "refuse":
            return _refusal(fault)
    return None


def _beyond_doubt(header: Header, command_class: str | None, command_instance: str | None) -> Iterator[Fault]:
    for where, found, expected in (
        (tags.SOP_CLASS, header.sop_class_uid, command_class),
        (tags.SOP_INSTANCE, header.sop_instance_uid, command_instance),
    ):
        if expected is not None and found != expected:
            values = {"keyword": tags.keyword(where)}
            quoted = {"found": found, "expected": expected}
            yield Fault(rule="SOP-01", message="differs", where=where, values=values, quoted=quoted)
    if header.sop_class_uid in NON_PATIENT_CLASSES:
        yield Fault(rule="SOP-01", message="without_study", where=tags.SOP_CLASS)
    for where, uid in (
        (tags.STUDY, header.study_instance_uid),
        (tags.SERIES, header.series_instance_uid),
        (tags.SOP_INSTANCE, header.sop_instance_uid),
    ):
        if not uid:
            yield from objects.uid_faults(where, uid, 1)


def _immediate_faults(facts: StudyFacts, header: Header, severities: Mapping[str, Severity]) -> Iterable[Fault]:
    """What the checks of one instance find; those that nobody wants to refuse by are not run."""
    for check, rules in _OF_ONE_INSTANCE.items():
        for rule in rules:
            configured = severities.get(rule)
            if configured == "refuse" or (configured is None and rule in _REFUSING):
                yield from check(facts)
                break
    yield from objects.uid_faults(tags.SERIES, header.series_instance_uid, 1)


def _refusal(fault: Fault) -> Refusal:
    """The answer to the sender: short, in English, without any value that could be a patient's."""
    rule = RULES[fault.rule]
    status = rule.messages[fault.message].status
    if status is None:
        return Refusal(status=NOT_AUTHORISED, comment=comment(f"{rule.id}: {rule.title.en}"), rule=rule.id)
    keyword = tags.keyword(fault.where)
    words = {
        "missing": f"{keyword} is missing",
        "invalid": f"{keyword} is not a valid UID",
        "differs": f"{keyword} differs from the command",
        "not_allowed": "this SOP class may not be stored here",
        "without_study": "objects of this SOP class belong to no study",
        "real_in_test": "real personal identity code in the test environment",
        "test_in_production": "900-series personal identity code in production",
    }[fault.message]
    return Refusal(status=status, comment=comment(f"{rule.id}: {words}"), rule=rule.id)
