"""A study's summary: the columns that lists and queries show, kept up to date batch by batch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kuva_gateway.catalog import totals
from kuva_gateway.catalog.amended import amendments_of
from kuva_gateway.catalog.described import COLUMNS as DESCRIBED
from kuva_gateway.catalog.described import describe
from kuva_gateway.catalog.links import Identified, link_studies, patient_key, unlink_others
from kuva_gateway.catalog.received import keep_received
from kuva_gateway.catalog.session import Session
from kuva_gateway.catalog.states import write_histories
from kuva_gateway.clinical.codes import CodeSource, agreed_code, code_sources
from kuva_gateway.dicom.amendments import amended
from kuva_gateway.dicom.header import Header, from_json

_FIRST = ("id", "uid", "state", "revision", "peer", "receiving_since")
_COLUMNS = (
    "patient_id",
    "patient_key",
    "accession_number",
    "study_date",
    "modalities",
    "procedure_code",
    "series",
    "instances",
    "bytes",
    "first_arrival",
    "last_arrival",
)
_INSTITUTION = "UPDATE series SET institution = ? WHERE study_id = ?"
_DESCRIBE = f"UPDATE studies SET {', '.join(f'{name} = ?' for name in DESCRIBED)} WHERE id = ?"


@dataclass(slots=True, kw_only=True)
class Summary:
    """One study while a batch is being written."""

    id: int
    uid: str
    state: str
    revision: int
    peer: str
    patient_id: str
    accession_number: str
    study_date: str
    modalities: set[str]
    procedure_code: str | None
    series: int
    instances: int
    bytes: int
    first_arrival: int
    last_arrival: int
    new: bool = False
    frozen: bool = False
    """Its state takes no instances: what comes is kept and never sent."""
    new_facts: list[Header] = field(default_factory=list)
    counted: tuple[int, int] = (0, 0)
    """Instances and bytes that the totals know of."""
    identified: tuple[str, str] = field(default=("", ""))
    """Accession number and patient id that documents were looked for with."""

    @classmethod
    def begin(cls, study_id: int, uid: str, header: Header, peer: str, at: int) -> Summary:
        """A study whose first instance comes now."""
        return cls(
            id=study_id,
            uid=uid,
            state="receiving",
            revision=1,
            peer=peer,
            patient_id=header.patient_id,
            accession_number=header.accession_number,
            study_date=header.study_date,
            modalities=set(),
            procedure_code=None,
            series=0,
            instances=0,
            bytes=0,
            first_arrival=at,
            last_arrival=at,
            new=True,
        )

    def add(self, header: Header, size: int, at: int, *, counts: bool) -> None:
        """One more object; ``counts`` unless another one with its UID does. What is empty is filled."""
        if header.modality:
            self.modalities.add(header.modality)
        self.patient_id = self.patient_id or header.patient_id
        self.accession_number = self.accession_number or header.accession_number
        self.study_date = self.study_date or header.study_date
        self.first_arrival = min(self.first_arrival, at)
        self.last_arrival = max(self.last_arrival, at)
        if counts:
            self.instances += 1
            self.bytes += size

    def remove(self, size: int) -> None:
        """An object of ``size`` bytes counts no longer."""
        self.instances -= 1
        self.bytes -= size

    def columns(self) -> tuple[object, ...]:
        """The values of the columns that a batch may change."""
        return (
            self.patient_id,
            patient_key(self.patient_id),
            self.accession_number,
            self.study_date,
            json.dumps(sorted(self.modalities)),
            self.procedure_code,
            self.series,
            self.instances,
            self.bytes,
            self.first_arrival,
            self.last_arrival,
        )


def load_summaries(session: Session, uids: Iterable[str]) -> dict[str, Summary]:
    """The studies among ``uids`` that are here."""
    names = "id, uid, state, revision, peer, patient_id, accession_number, study_date, modalities, procedure_code, "
    names += "series, instances, bytes, first_arrival, last_arrival"
    found = {}
    for row in session.rows_in(f"SELECT {names} FROM studies WHERE uid IN {{}}", uids):
        identified = (row["accession_number"], row["patient_id"])
        row["modalities"] = set(json.loads(row["modalities"]))
        found[row["uid"]] = Summary(**row, identified=identified, counted=(row["instances"], row["bytes"]))
    return found


def write_summaries(session: Session, studies: Sequence[Summary]) -> None:
    """Write the studies' rows and what follows from them; what refers to them is written after."""
    described = {}
    for study in studies:
        if study.new_facts:
            headers = _headers(session, study)
            study.procedure_code = _agreed(headers)
            described[study.id] = describe(headers)
    columns = (*_FIRST, *_COLUMNS, "facts_version", "judge", "delivered", *DESCRIBED)
    session.many(
        f"INSERT INTO studies ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        [
            (*(getattr(study, name) for name in _FIRST[:-1]), study.first_arrival, *study.columns(), 0, 0, 0)
            + described[study.id]
            for study in studies
            if study.new
        ],
    )
    session.many(
        f"UPDATE studies SET {', '.join(f'{name} = ?' for name in _COLUMNS)} WHERE id = ?",
        [(*study.columns(), study.id) for study in studies if not study.new],
    )
    session.many(
        _DESCRIBE, [(*described[study.id], study.id) for study in studies if not study.new and study.id in described]
    )
    totals.add_studies(
        session,
        [
            totals.Change(
                study.state, int(study.new), study.instances - study.counted[0], study.bytes - study.counted[1]
            )
            for study in studies
        ],
    )
    arrived = {study.id: {"revision": 1, "peer": study.peer} for study in studies if study.new}
    write_histories(session, "arrived", ("", "receiving"), arrived)
    link_studies(
        session,
        [
            Identified(study.id, study.uid, study.accession_number, patient_key(study.patient_id))
            for study in studies
            if study.new or study.identified != (study.accession_number, study.patient_id)
        ],
    )


def refresh_summaries(session: Session, study_ids: Iterable[int]) -> None:
    """What amendments change of the studies' summaries, and their links to documents, anew.

    A link by accession number that no longer holds is taken away: it was to another order's document.
    """
    ids = sorted(set(study_ids))
    amendments = amendments_of(session, ids)
    for row in session.rows_in("SELECT id, uid, patient_id, accession_number FROM studies WHERE id IN {}", ids):
        sets = session.rows("SELECT facts FROM fact_sets WHERE study_id = ? ORDER BY id", row["id"])
        received, own = [from_json(one["facts"]) for one in sets], amendments.get(row["id"], ())
        headers = [amended(one, own) for one in received]
        patient_id = next((one.patient_id for one in headers if one.patient_id), "")
        accession = next((one.accession_number for one in headers if one.accession_number), "")
        session.execute(
            "UPDATE studies SET patient_id = ?, patient_key = ?, accession_number = ?, procedure_code = ? WHERE id = ?",
            patient_id,
            patient_key(patient_id),
            accession,
            _agreed(headers),
            row["id"],
        )
        session.execute(_DESCRIBE, *describe(headers), row["id"])
        keep_received(session, row["id"], received, amended=bool(own))
        for one in own:
            if "InstitutionName" in one.changes:
                session.execute(_INSTITUTION, one.changes["InstitutionName"], row["id"])
        if (patient_id, accession) != (row["patient_id"], row["accession_number"]):
            unlink_others(session, row["id"], accession, patient_key(patient_id))
            link_studies(session, [Identified(row["id"], row["uid"], accession, patient_key(patient_id))])


def refresh_amended(session: Session, study_ids: Iterable[int]) -> None:
    """The same for those among the studies that have amendments: what came now is amended as well."""
    rows = session.rows_in("SELECT DISTINCT study_id FROM amendments WHERE study_id IN {}", study_ids)
    if rows:
        refresh_summaries(session, [row["study_id"] for row in rows])


def _headers(session: Session, study: Summary) -> list[Header]:
    """What the study's instances say, in the order in which it was said first; the new facts are not written yet."""
    if study.new:
        return study.new_facts
    written = session.rows("SELECT facts FROM fact_sets WHERE study_id = ? ORDER BY id", study.id)
    return [from_json(row["facts"]) for row in written] + study.new_facts


def _agreed(headers: Iterable[Header]) -> str | None:
    """The code that every source in every header agrees on, or None."""
    sources: list[CodeSource] = []
    for header in headers:
        sources.extend(codes_named(header))
    return agreed_code(sources)


def codes_named(header: Header) -> tuple[CodeSource, ...]:
    """Every procedure code that an instance names, with the attribute that names it."""
    items = [
        (item.value, item.scheme, item.scheme_uid, where)
        for where, codes in (
            ("ProcedureCodeSequence", header.procedure_codes),
            ("RequestedProcedureCodeSequence", header.requested_procedure_codes),
        )
        for item in codes
    ]
    return code_sources(header.study_description, items)
