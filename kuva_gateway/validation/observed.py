"""What was seen of single instances when they came in: DUP-01, UID-02, QUA-02, IOC-01, and UID-01 of files.

Keeps nothing. Equal observations of many instances become one finding with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from kuva_gateway.catalog.records import InstanceFinding
from kuva_gateway.validation import tags
from kuva_gateway.validation.facts import StudyFacts
from kuva_gateway.validation.findings import SEVERITIES, Fault, Severity
from kuva_gateway.validation.texts.corrections import IOC_01

_WHERE: Final[Mapping[str, str]] = {
    tags.keyword(where): where for where in (tags.SOP_INSTANCE, tags.STUDY, tags.SERIES)
}


def judge_observed(facts: StudyFacts) -> Iterator[Fault]:
    """The findings that the indexer handed in, grouped."""
    groups: dict[tuple[str, str, str, str], list[InstanceFinding]] = {}
    for one in facts.instance_findings:
        groups.setdefault((one.rule, one.severity, one.where, one.other_uid), []).append(one)
    for (rule, severity, where, other), members in groups.items():
        example = members[0].sop_instance_uid
        message = _message(rule, severity, example, other, facts.study_instance_uid)
        if rule == "IOC-01":
            message, where = (where if where in IOC_01.messages else None), tags.SOP_INSTANCE
        if message is None:
            continue
        yield Fault(
            rule=rule,
            message=message,
            where=_WHERE.get(where, where),
            values={"instances": str(len(members)), "keyword": tags.keyword(where)},
            quoted={"sop_instance": example, "uid": example, "other": other},
            severity=_severity(severity),
        )


def _message(rule: str, severity: str, example: str, other: str, study: str) -> str | None:
    """Which message says it; None for a rule that nobody reports of single instances."""
    if rule == "DUP-01":
        return "delivered" if severity in ("hold", "refuse") else "replaced"
    if rule == "UID-02":
        return "other_series" if other in ("", study) else "other_study"
    if rule == "UID-01":
        return "invalid" if example else "missing"
    return {"QUA-02": "event", "QUA-03": "rebuilt"}.get(rule)


def _severity(word: str) -> Severity | None:
    return next((severity for severity in SEVERITIES if severity == word), None)
