"""What the gateway amends by itself before it judges: links of patient ids, a sender's issuers and its local codes.

Keeps nothing. Promises that the same study, links and configuration give the same amendments, however often they are
asked for; and that nothing is guessed: where images of one study say different things, it is left to a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kuva_gateway.catalog import linked
from kuva_gateway.catalog.amended import amended_sets
from kuva_gateway.catalog.records import FactSet, StudyView
from kuva_gateway.catalog.states import GATEWAY
from kuva_gateway.clinical.code_mapping import CodeMapping, Mapped
from kuva_gateway.clinical.codes import CodePeriod
from kuva_gateway.dicom.amendments import Amendment, Value, issuer_items
from kuva_gateway.dicom.header import CodeItem, Header
from kuva_gateway.validation.facts import LookUp
from kuva_gateway.validation.procedure_codes import described_code, is_national

_DESCRIPTION: Final = 64
DESIGNATOR: Final = "99THL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """What the configuration says of one peer's images."""

    issuer: str = ""
    accession_issuer: str = ""
    mapping: CodeMapping | None = None


SenderOf = Callable[[str], Sender]
"""A peer's name to what is configured for it."""


def following(view: StudyView, sender_of: SenderOf, periods_for: LookUp, now: datetime) -> tuple[Amendment, ...]:
    """All amendments that links and configuration want of a study."""
    links = linked.wanted(view.received, view.amendments, view.links)
    people = [one for one in view.amendments if one.origin == "person"]
    sets = amended_sets(view.received, [*links, *people])
    issuers = _issuers(sets, sender_of, now)
    return (*links, *issuers, *_mapped(sets, sender_of, periods_for, now))


def unmapped(view: StudyView, sender_of: SenderOf) -> tuple[str, ...]:
    """Local codes of senders with a mapping that stand in no mapping, where no national code is named (MAP-01)."""
    lacking: dict[str, None] = {}
    for one in view.facts:
        mapping = _mapping(one, sender_of)
        if mapping is None or described_code(one.header) or any(map(is_national, _items(one.header))):
            continue
        lacking.update(dict.fromkeys(item.value.strip() for item in _items(one.header) if item.value.strip()))
    return tuple(lacking)


def _issuers(sets: Sequence[FactSet], sender_of: SenderOf, now: datetime) -> Iterator[Amendment]:
    """PID-02 and ACC-01: an issuer that is not told is the sender's, if all of its senders have the same one."""
    plans: tuple[tuple[str, Callable[[Sender], str], Callable[[Header], bool], Callable[[str], dict[str, Value]]], ...]
    plans = (
        ("IssuerOfPatientID", lambda sender: sender.issuer, _lacks_issuer, _patient_issuer),
        (
            "IssuerOfAccessionNumberSequence",
            lambda sender: sender.accession_issuer,
            lambda header: bool(header.accession_number.strip()) and not header.accession_issuer.strip(),
            lambda oid: {"IssuerOfAccessionNumberSequence": issuer_items(oid)},
        ),
    )
    for keyword, told, lacks, changes in plans:
        issuers = {told(sender_of(peer)) for one in sets if lacks(one.header) for peer in one.peers}
        if len(issuers) == 1 and (oid := issuers.pop()):
            reason = f"{keyword} is not told; the sender's is configured"
            yield Amendment(
                changes=changes(oid), origin="issuer", by=GATEWAY, at=now, reason=reason, where_absent=keyword
            )


def _lacks_issuer(header: Header) -> bool:
    told = header.issuer_universal_id.strip() or header.issuer_of_patient_id.strip()
    return bool(header.patient_id.strip()) and not told


def _patient_issuer(oid: str) -> dict[str, Value]:
    return {"IssuerOfPatientID": oid, "IssuerOfPatientIDQualifiersSequence": issuer_items(oid)}


def _mapped(sets: Sequence[FactSet], sender_of: SenderOf, periods_for: LookUp, now: datetime) -> Iterator[Amendment]:
    """The national code that the study's local codes stand for, when they all stand for one and none is named."""
    found: dict[str, tuple[str, Mapped]] = {}
    for one in sets:
        mapping = _mapping(one, sender_of)
        if mapping is None:
            continue
        for local, scheme in _local_codes(one.header):
            mapped = mapping.find(local, scheme)
            if mapped is not None:
                found.setdefault(mapped.code, (local, mapped))
                break
    if len(found) != 1:
        return
    ((code, (local, mapped)),) = found.items()
    if any(named not in ("", code) for one in sets for named in _named_codes(one, sender_of)):
        return
    period = _newest(periods_for([code]), code)
    name = mapped.description or (period.name if period is not None else "")
    description = f"{code} {name}".strip()[:_DESCRIPTION]
    item = {
        "CodeValue": code,
        "CodingSchemeDesignator": DESIGNATOR,
        "CodeMeaning": (name or code)[:_DESCRIPTION],
        **({"CodingSchemeUID": period.scheme} if period is not None else {}),
    }
    yield Amendment(
        changes={"StudyDescription": description, "ProcedureCodeSequence": (item,)},
        origin="mapping",
        by=GATEWAY,
        at=now,
        reason=f"code mapping: {local[:_DESCRIPTION]} -> {code}",
    )


def _newest(periods: Mapping[str, tuple[CodePeriod, ...]], code: str) -> CodePeriod | None:
    return max(periods.get(code, ()), key=lambda period: period.valid_from, default=None)


def _mapping(one: FactSet, sender_of: SenderOf) -> CodeMapping | None:
    """The mapping of the images' sender; of several senders with different ones, none."""
    mappings = [sender_of(peer).mapping for peer in one.peers]
    return mappings[0] if mappings and all(other is mappings[0] for other in mappings) else None


def _items(header: Header) -> tuple[CodeItem, ...]:
    return (*header.procedure_codes, *header.requested_procedure_codes)


def _local_codes(header: Header) -> Iterator[tuple[str, str]]:
    """What may be a local code, with its scheme: the items of code sequences, the description, its first word."""
    for item in _items(header):
        if item.value.strip() and not is_national(item):
            yield item.value, item.scheme
    description = header.study_description.strip()
    if description:
        yield description, ""
        yield description.split()[0], ""


def _named_codes(one: FactSet, sender_of: SenderOf) -> Iterator[str]:
    """National codes that the images name themselves; a local code may look like one."""
    for item in _items(one.header):
        if is_national(item):
            yield item.value.strip()
    described, mapping = described_code(one.header), _mapping(one, sender_of)
    if mapping is None or mapping.find(described) is None:
        yield described
