"""What is said of one study, and of several: plain values and words, ready to be shown.

Promises that without ``show_patients`` nothing in it identifies a patient but the numbers by which staff look for a
study: its UID and its accession number. What other systems wrote (comments of the archive) may quote anything, and is
shown with patients only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuva_gateway.validation.rules import RULES
from kuva_gateway.web.telling import Teller

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding of the present verdict; ``overridden`` says who released the study all the same."""

    rule: str
    severity: str
    message: str
    remedy: str
    overridden: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One entry of the queue."""

    destination: str
    study_uid: str
    state: str
    failed: bool
    facts: tuple[tuple[str, str], ...]
    error: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of a study's life."""

    at: str
    event: str
    what: str
    by: str
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyLine:
    """A study in a list."""

    uid: str
    title: str
    state: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPage:
    """The whole page of one study."""

    uid: str
    title: str
    state: str
    held: bool
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    documents: tuple[tuple[str, str, str], ...]
    deliveries: tuple[Delivery, ...]
    life: tuple[Moment, ...]


def study_page(study: Json, story: Iterable[Json], tell: Teller) -> StudyPage:
    """The page of a study as ``studies show`` has it, with its story as ``studies trace`` has it."""
    words = tell.words
    facts = (
        (words["accession"], study["accession_number"]),
        (words["patient"], tell.patient(study["patient_id"])),
        (words["procedure"], study["procedure_code"] or ""),
        (words["modalities"], ", ".join(study["modalities"])),
        (words["study_date"], study["study_date"] or ""),
        (words["images"], words["of_series"].format(images=study["instances"], series=study["series"])),
        (words["bytes"], write_size(study["bytes"])),
        (words["peer"], study["peer"]),
        (words["first_arrival"], tell.iso(study["first_arrival"])),
        (words["last_arrival"], tell.iso(study["last_arrival"])),
    )
    return StudyPage(
        uid=study["study_instance_uid"],
        title=_title(study, tell),
        state=tell.state(study["state"]),
        held=study["state"] == "held",
        facts=tuple((name, value) for name, value in facts if value),
        findings=tuple(_finding(one, tell) for one in study["findings"]),
        documents=tuple(
            (
                words.get(f"kind_{one['kind']}", one["kind"]),
                f"{one['id']} ({words['version']} {one['version']})",
                words["invalidated"] if one["invalidated"] else words["linked_" + one["linked_by"]],
            )
            for one in study["documents"]
        ),
        deliveries=tuple(delivery(one, tell) for one in study["entries"]),
        life=tuple(_moment(one, tell) for one in story),
    )


def study_line(study: Json, tell: Teller) -> StudyLine:
    """One line for a study."""
    return StudyLine(
        uid=study["study_instance_uid"],
        title=_title(study, tell),
        state=tell.state(study["state"]),
        since=tell.iso(study["last_arrival"]),
    )


def delivery(entry: Json, tell: Teller) -> Delivery:
    """One entry, with why it is not further and what to do."""
    words, error = tell.words, entry["last_error"]
    facts = (
        (words["attempts"], str(entry["attempts"])),
        (words["sent"], str(entry["sent"])),
        (words["committed"], str(entry["committed"])),
        (words["next_attempt"], tell.iso(entry["next_attempt_at"])),
    )
    why = ""
    if error is not None:
        why = " ".join(one for one in (error["code"], error["meaning"], _quoted(error["comment"], tell)) if one)
    return Delivery(
        destination=entry["destination"],
        study_uid=entry["study_instance_uid"],
        state=tell.state(entry["state"]),
        failed=entry["state"] == "failed",
        facts=tuple((name, value) for name, value in facts if value),
        error=why,
        remedy=entry["remedy"] or "",
    )


def _quoted(comment: str, tell: Teller) -> str:
    return f"({comment})" if comment and tell.patients else ""


def _title(study: Json, tell: Teller) -> str:
    known = [study["accession_number"], study["procedure_code"], ", ".join(study["modalities"])]
    return " · ".join(one for one in known if one) or tell.words["study"]


def _finding(finding: Json, tell: Teller) -> Finding:
    rule, over = RULES.get(finding["rule"]), finding["overridden"]
    return Finding(
        rule=finding["rule"] + ("" if rule is None else f": {rule.title.say(tell.language)}"),
        severity=finding["severity"],
        message=finding["message"],
        remedy=finding["remedy"] if rule is None else rule.remedy.say(tell.language),
        overridden=""
        if over is None
        else tell.words["overridden"].format(by=over["by"], at=tell.iso(over["at"]), reason=over["reason"]),
    )


def _moment(event: Json, tell: Teller) -> Moment:
    detail = event["detail"]
    changed = detail.get("to")
    more: Sequence[str] = [
        tell.state(changed) if changed else "",
        *(str(detail[name]) for name in ("outcome", "code", "meaning") if detail.get(name)),
        tell.words.get(f"kind_{detail.get('kind')}", ""),
        _quoted(str(detail.get("comment") or ""), tell),
        str(detail["reason"]) if detail.get("reason") else "",
    ]
    return Moment(
        at=tell.iso(event["at"]),
        event=tell.event(event["event"]),
        what=_thing(event["what"], tell),
        by=event["by"],
        more=", ".join(one for one in more if one),
    )


def _thing(what: str, tell: Teller) -> str:
    """``study``, ``entry 7 archive`` or ``document 1.2.3`` in words; of the study nothing need be said."""
    kind, _, rest = what.partition(" ")
    return f"{tell.words[kind]} {rest}" if kind in ("document", "entry") else ""


def write_size(count: int) -> str:
    """Bytes for people: three digits and a unit."""
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1000 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if amount >= 100 or unit == "B" else f"{amount:.3g} {unit}"
