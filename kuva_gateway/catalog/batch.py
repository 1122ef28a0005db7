"""One batch of arrivals becomes rows, inside one transaction that the indexer opened.

It promises that a receipt counts once, however often its arrival is indexed; that the same bytes again are a receipt
and nothing else; and that what cannot be right (one SOP Instance UID for several objects, an event that a study's state
does not know) becomes a finding on the study while the batch goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from kuva_gateway.catalog import rejections
from kuva_gateway.catalog.batch_notes import BatchNotes, Place
from kuva_gateway.catalog.duplicates import Known, Policy, is_delivered, judge
from kuva_gateway.catalog.observed import Observed
from kuva_gateway.catalog.outbox import note
from kuva_gateway.catalog.plans import supersede
from kuva_gateway.catalog.removal import keep
from kuva_gateway.catalog.retention import keep_from
from kuva_gateway.catalog.session import Session
from kuva_gateway.catalog.states import apply
from kuva_gateway.catalog.summary import Summary, load_summaries, refresh_amended, write_summaries
from kuva_gateway.dicom.header import Header, to_json
from kuva_gateway.dicom.key_objects import Note
from kuva_gateway.dicom.names import moment_key
from kuva_gateway.errors import StateError
from kuva_gateway.spool.receipt import Arrival


class Item(NamedTuple):
    """An arrival whose bytes have their place in ``instances/``, its header, and what it rejects if it is a note."""

    arrival: Arrival
    header: Header
    note: Note | None = None


# Microseconds by which an arrival before is never later than this one, but by a clock that was set.
_SET_BACK = 60_000_000
_INSTANCE = (
    "id",
    "digest",
    "study_id",
    "series_id",
    "fact_set_id",
    "revision",
    "sop_class",
    "uid",
    "transfer_syntax",
    "number",
    "size",
    "frames",
    "rows",
    "columns",
    "current",
    "held",
    "peer",
    "received_at",
)
_SERIES = (
    "id",
    "study_id",
    "uid",
    "modality",
    "number",
    "date",
    "description",
    "body_part",
    "time",
    "moment",
    "laterality",
    "institution",
    "requests",
)
_CURRENT = _INSTANCE.index("current")
_CHILDREN = {
    "series": _SERIES,
    "fact_sets": ("id", "study_id", "digest", "facts"),
    "instances": _INSTANCE,
    "receipts": ("time_ns", "association", "number", "peer", "instance_id"),
}
"""What refers to studies, parents first, with the columns that are written."""
_COUNTED = ("studies", "series", "fact_sets", "instances")


def write_batch(
    session: Session,
    items: Sequence[Item],
    *,
    duplicates: Policy,
    rejecters: rejections.Rejecters = MappingProxyType({}),
    receipts: bool = True,
) -> frozenset[str]:
    """Write the rows of ``items``, in their order; returns the Study Instance UIDs whose instances changed.

    ``receipts`` False: the receipts of these items are not known (a rebuild), and none are written.
    """
    batch = _Batch(session, duplicates, rejecters)
    fresh = batch.unknown(items)
    batch.load(fresh)
    again = batch.again if len(fresh) == len(items) else {_digest(item): _uid(item) for item in items}
    if not receipts:
        batch.new["receipts"].clear()
    touched = batch.write()
    if again:
        for study_id in keep(session, again):
            keep_from(session, study_id)
        rejections.lift_retention(session, again.values())
    return touched


def _digest(item: Item) -> bytes:
    return bytes.fromhex(item.arrival.digest)


def _uid(item: Item) -> str:
    return item.header.sop_instance_uid


@dataclass(slots=True)
class _Batch:
    """What is known before and what becomes new; rows are written together at the end, parents first."""

    session: Session
    duplicates: Policy
    rejecters: rejections.Rejecters
    studies: dict[str, Summary] = field(default_factory=dict)
    series: dict[tuple[int, str], int] = field(default_factory=dict)
    sets: dict[tuple[object, ...], int] = field(default_factory=dict)
    """Ids of fact sets by :meth:`Header.facts_key`, which names the study too."""
    set_digests: dict[tuple[int, bytes], int] = field(default_factory=dict)
    digests: dict[bytes, int] = field(default_factory=dict)
    by_uid: dict[str, list[Known]] = field(default_factory=dict)
    new: dict[str, list[list[Any]]] = field(default_factory=lambda: {table: [] for table in _CHILDREN})
    ids: dict[str, int] = field(default_factory=dict)
    observed: Observed = field(default_factory=Observed)
    replaced: list[int] = field(default_factory=list)
    moved: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    """Studies with rows of what does not wake them."""
    notes: BatchNotes = field(init=False)
    again: dict[bytes, str] = field(default_factory=dict)
    """Digests of what was here before, with the SOP Instance UID in it."""

    # -- before -------------------------------------------------------------------------------------------------

    def unknown(self, items: Sequence[Item]) -> list[Item]:
        """``items`` without those whose receipt is written already, and without repetitions.

        Nothing newer than the newest receipt can be written already, which spares most items the look.
        """
        newest = self.session.value("SELECT MAX(time_ns) FROM receipts")
        times = [item.arrival.receipt.time_ns for item in items]
        rows = self.session.rows_in(
            "SELECT time_ns, association, number FROM receipts WHERE time_ns IN {}",
            [time_ns for time_ns in times if newest is not None and time_ns <= newest],
        )
        seen = {tuple(row.values()) for row in rows}
        fresh = []
        for item in items:
            receipt = item.arrival.receipt
            key = (receipt.time_ns, receipt.association, receipt.number)
            if key not in seen:
                seen.add(key)
                fresh.append(item)
        return fresh

    def load(self, items: Sequence[Item]) -> None:
        """Read what the items meet, then take them one by one."""
        uids = {item.header.sop_instance_uid for item in items}
        self._load_same(uids)
        self.notes = BatchNotes.load(self.session, uids, self.rejecters)
        digests = [_digest(item) for item in items]
        studies = {
            item.header.study_instance_uid
            for item, digest in zip(items, digests, strict=True)
            if digest not in self.digests
        }
        if studies:
            self._load_studies(studies)
            self._load_ids()
        self.again = {digest: _uid(item) for item, digest in zip(items, digests, strict=True) if digest in self.digests}
        for item, digest in zip(items, digests, strict=True):
            self._take(item, digest)

    def _load_same(self, uids: set[str]) -> None:
        """Objects with the same SOP Instance UID; the same bytes are among them, because the bytes hold the UID."""
        rows = self.session.rows_in(
            "SELECT i.id, i.uid, i.digest, i.study_id, i.series_id, i.size, i.current, s.uid AS study_uid "
            "FROM instances i JOIN studies s ON s.id = i.study_id WHERE i.uid IN {}",
            uids,
        )
        for row in rows:
            self.digests[bytes(row["digest"])] = row["id"]
            known = Known(
                id=row["id"],
                study_id=row["study_id"],
                study_uid=row["study_uid"],
                series_id=row["series_id"],
                size=row["size"],
                current=bool(row["current"]),
                new_row=None,
            )
            self.by_uid.setdefault(row["uid"], []).append(known)

    def _load_studies(self, uids: set[str]) -> None:
        self.studies = load_summaries(self.session, uids)
        ids = [study.id for study in self.studies.values()]
        for row in self.session.rows_in("SELECT id, study_id, uid FROM series WHERE study_id IN {}", ids):
            self.series[row["study_id"], row["uid"]] = row["id"]
        for row in self.session.rows_in("SELECT id, study_id, digest FROM fact_sets WHERE study_id IN {}", ids):
            self.set_digests[row["study_id"], bytes(row["digest"])] = row["id"]

    def _load_ids(self) -> None:
        """The first free ids; there is one writer at a time."""
        free = ", ".join(f"(SELECT COALESCE(MAX(id), 0) + 1 FROM {table}) AS {table}" for table in _COUNTED)
        self.ids.update(self.session.rows(f"SELECT {free}")[0])

    # -- one by one ---------------------------------------------------------------------------------------------

    def _take(self, item: Item, digest: bytes) -> None:
        instance_id = self.digests.get(digest)
        if instance_id is None:
            instance_id = self._add_instance(item, digest)
        receipt = item.arrival.receipt
        self.new["receipts"].append(
            [receipt.time_ns, receipt.association, receipt.number, item.arrival.peer, instance_id]
        )

    def _add_instance(self, item: Item, digest: bytes) -> int:
        arrival, header, note = item
        at = arrival.receipt.time_ns // 1000
        uid = header.sop_instance_uid
        place = self.notes.place(uid, note, arrival.peer, known=uid in self.by_uid)
        study = self._study(item, at, place)
        series_id = self._series_id(study, header)
        current, held = (False, True) if place.rejected else self._judge(study, series_id, header)
        held = held or place.held or (study.frozen and not place.ours)
        instance_id = self._next("instances")
        self.notes.add(place, uid, note, arrival.peer, instance_id=instance_id, study_id=study.id)
        if place.severity:
            self.observed.add(study.id, rejections.RULE, place.severity, place.where, uid)
        rows = self.new["instances"]
        known = Known(
            id=instance_id,
            study_id=study.id,
            study_uid=study.uid,
            series_id=series_id,
            size=arrival.size,
            current=current,
            new_row=len(rows),
        )
        self.by_uid.setdefault(uid, []).append(known)
        self.digests[digest] = instance_id
        rows.append(
            [
                instance_id,
                digest,
                study.id,
                series_id,
                self._fact_set_id(study, header),
                study.revision,
                header.sop_class_uid,
                uid,
                header.transfer_syntax_uid,
                header.instance_number,
                arrival.size,
                header.number_of_frames,
                header.rows,
                header.columns,
                int(current),
                int(held),
                arrival.peer,
                at,
            ]
        )
        study.add(header, arrival.size, at, counts=current and not held)
        return instance_id

    def _next(self, table: str) -> int:
        given = self.ids[table]
        self.ids[table] = given + 1
        return given

    def _study(self, item: Item, at: int, place: Place) -> Summary:
        """The item's study, new or awake; each is woken once per batch, and not by what is quiet."""
        uid = item.header.study_instance_uid
        study = self.studies.get(uid)
        if study is None:
            study = Summary.begin(self._next("studies"), uid, item.header, item.arrival.peer, at)
            self.studies[uid] = study
        elif place.ours:
            pass  # the study was withdrawn with this note
        elif place.quiet:
            self.touched.add(uid)
            return study
        elif uid not in self.moved and study.state != "receiving":
            self._wake(study, item, at)
        self.moved.add(uid)
        return study

    def _wake(self, study: Summary, item: Item, at: int) -> None:
        """any -instance_arrived-> receiving, one revision on; where the state does not know it, a finding."""
        detail = {"revision": study.revision + 1, "peer": item.arrival.peer}
        try:
            study.state = apply(
                self.session,
                "study",
                study.id,
                "instance_arrived",
                detail=detail,
                revision=study.revision + 1,
                receiving_since=at,
                judge=0,
            )
        except StateError:
            study.frozen = True
            self.observed.add(study.id, "QUA-02", "warning", f"study {study.state}, event instance_arrived")
            return
        study.revision += 1
        if study.last_arrival > at + _SET_BACK:  # else it would settle only when the clock is there again
            study.last_arrival = at
        supersede(self.session, study.id, study.revision)

    def _series_id(self, study: Summary, header: Header) -> int:
        key = (study.id, header.series_instance_uid)
        series_id = self.series.get(key)
        if series_id is None:
            series_id = self.series[key] = self._next("series")
            self.new["series"].append(
                [
                    series_id,
                    study.id,
                    header.series_instance_uid,
                    header.modality,
                    header.series_number,
                    header.series_date,
                    header.series_description,
                    header.body_part,
                    header.series_time,
                    moment_key(header.series_date, header.series_time),
                    header.laterality,
                    header.institution_name,
                    json.dumps(header.requests, ensure_ascii=False) if header.requests else "[]",
                ]
            )
            study.series += 1
        return series_id

    def _fact_set_id(self, study: Summary, header: Header) -> int:
        """The id of the study's fact set that says what ``header`` says; JSON is made once per set and batch."""
        key = header.facts_key()
        set_id = self.sets.get(key)
        if set_id is None:
            facts = header.facts()
            text = to_json(facts)
            digest = hashlib.sha256(text.encode()).digest()
            set_id = self.set_digests.get((study.id, digest))
            if set_id is None:
                set_id = self.set_digests[study.id, digest] = self._next("fact_sets")
                self.new["fact_sets"].append([set_id, study.id, digest, text])
                study.new_facts.append(facts)
            self.sets[key] = set_id
        return set_id

    def _judge(self, study: Summary, series_id: int, header: Header) -> tuple[bool, bool]:
        """Does the new object count (current), and must it never go (held)?"""
        same = self.by_uid.get(header.sop_instance_uid)
        if not same:
            return True, False
        verdict = judge(
            same,
            study_id=study.id,
            series_id=series_id,
            duplicates=self.duplicates,
            delivered=lambda known: known.new_row is None and is_delivered(self.session, known),
        )
        uid = header.sop_instance_uid
        for other in verdict.elsewhere:
            self.observed.add(study.id, "UID-02", "hold", "SOPInstanceUID", uid, other.study_uid)
            if other.study_id != study.id:
                self.observed.add(other.study_id, "UID-02", "hold", "SOPInstanceUID", uid, study.uid)
        if verdict.severity:
            self.observed.add(study.id, "DUP-01", verdict.severity, "SOPInstanceUID", uid)
        if verdict.gives_way is not None:
            self._replace(study, verdict.gives_way)
        return verdict.current, verdict.held

    def _replace(self, study: Summary, old: Known) -> None:
        old.current = False
        study.remove(old.size)
        if old.new_row is None:
            self.replaced.append(old.id)
        else:
            self.new["instances"][old.new_row][_CURRENT] = 0

    def _note_receipts(self) -> None:
        """Who sent what, for the journal: the batch in one row."""
        if not self.new["receipts"]:
            return
        digests = {number: digest for digest, number in self.digests.items()}
        told = [[*key, peer, digests[number].hex()] for *key, peer, number in self.new["receipts"]]
        note(self.session, "receipts", json.dumps(told, separators=(",", ":")))

    # -- after --------------------------------------------------------------------------------------------------

    def write(self) -> frozenset[str]:
        """Write everything, parents first."""
        touched = [self.studies[uid] for uid in sorted(self.moved | self.touched)]
        write_summaries(self.session, touched)
        for table, columns in _CHILDREN.items():
            marks = ", ".join("?" * len(columns))
            self.session.many(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", self.new[table])
        self._note_receipts()
        refresh_amended(self.session, [study.id for study in touched if not study.new])
        self.session.change_in("UPDATE instances SET current = 0 WHERE id IN {}", self.replaced)
        self.session.change_in(
            "DELETE FROM ledger WHERE state IN ('pending', 'failed') AND instance_id IN {}", self.replaced
        )
        self.observed.write(self.session, apart_from={self.studies[uid].id for uid in self.moved})
        self.notes.write(self.session)
        return frozenset(self.moved)
