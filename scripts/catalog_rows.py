"""Rows of the catalog for planned studies: what the indexer, admission and delivery would have written for them.

Keeps the next id of every table and the random source of UIDs and digests. Promises that equal plans and seeds give
equal rows, and that every row's references exist. A test compares these rows with those of the gateway itself.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from synthetic_studies import PlannedSeries, PlannedStudy

from kuva_gateway.catalog.described import COLUMNS as DESCRIBED
from kuva_gateway.catalog.described import describe
from kuva_gateway.catalog.links import patient_key
from kuva_gateway.catalog.session import iso
from kuva_gateway.dicom.header import Header, to_json
from kuva_gateway.dicom.names import moment_key
from kuva_gateway.validation.rules import RULES

Row = tuple[Any, ...]
DESTINATION = "national-archive"
SECOND = 1_000_000  # microseconds
PAUSE = 20_000  # microseconds between two images of an association, and up to 25 ms more
SETTLE_AFTER = 60 * SECOND
DEFERRED_FIRST = 0.02  # of deliveries were put off once by the archive
RETRY = 61 * SECOND
OUT_OF_RESOURCES = ("A700", "Out of resources", "disk full, try later")
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
HELD_BY = ("DOC-02", "DOC-02", "DOC-02", "DOC-01", "DOC-01", "COD-01")
"""Rules that hold a study; how often each stands here is how often it is the reason."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "studies": (
        "id", "uid", "state", "revision", "facts_version", "judge", "delivered", "released_revision", "rejected_at",
        "rejected_by", "rejected_reason", "patient_id", "patient_key", "accession_number", "study_date", "modalities",
        "procedure_code", "series", "instances", "bytes", "peer", "first_arrival", "last_arrival", "receiving_since",
        "content_classes", *DESCRIBED,
    ),
    "series": (
        "id", "study_id", "uid", "modality", "number", "date", "description", "body_part", "time", "moment",
        "laterality", "institution", "requests",
    ),
    "fact_sets": ("id", "study_id", "digest", "facts"),
    "instances": (
        "id", "digest", "study_id", "series_id", "fact_set_id", "revision", "sop_class", "uid", "transfer_syntax",
        "number", "size", "frames", "rows", "columns", "current", "held", "peer", "received_at",
    ),
    "receipts": ("time_ns", "association", "number", "peer", "instance_id"),
    "entries": (
        "id", "study_id", "destination", "revision", "state", "priority", "required", "commitment", "attempts",
        "created_at", "tried_since", "due_at", "next_attempt_at", "owner", "last_error", "sent", "committed",
    ),
    "attempts": (
        "id", "entry_id", "kind", "started_at", "ended_at", "outcome", "scope", "code", "meaning", "comment", "sent",
        "warnings", "failed",
    ),
    "ledger": ("study_id", "destination", "instance_id", "revision", "state", "code", "changed_at"),
    "commitments": ("id", "transaction_uid", "entry_id", "destination", "asked_at", "due_at", "answered_at"),
    "commitment_instances": ("commitment_id", "instance_id", "state", "reason"),
    "findings": (
        "id", "study_id", "revision", "rule", "severity", "place", "message", "remedy", "overridden_at",
        "overridden_by", "overridden_reason",
    ),
    "history": (
        "id", "study_id", "entry_id", "what", "event", "from_state", "to_state", "at", "actor", "detail",
    ),
    "totals": ("what", "state", "number", "instances", "bytes"),
}  # fmt: skip
"""The tables that are filled, parents first, with their columns."""


class Rows:
    """Collects rows until somebody takes them."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._ids: dict[str, int] = defaultdict(int)
        self._rows: dict[str, list[Row]] = {table: [] for table in COLUMNS}

    def take(self) -> dict[str, list[Row]]:
        """What has been collected since the last time."""
        taken, self._rows = self._rows, {table: [] for table in COLUMNS}
        return taken

    def _next(self, table: str) -> int:
        self._ids[table] += 1
        return self._ids[table]

    def add(self, study: PlannedStudy) -> None:
        """The rows of one study, as far as it has come."""
        study_id = self._next("studies")
        first_instance = self._ids["instances"] + 1
        last_arrival, size = self._add_images(study_id, study)
        instances = range(first_instance, self._ids["instances"] + 1)
        story = _Story(self, study_id, instances, study, last_arrival)
        story.tell()
        header = study.series[0].facts
        self._rows["studies"].append((
            study_id, study.uid, study.state, 1, 0, int(study.state == "settled"), int(study.state == "archived"),
            None, *story.rejection, header.patient_id, patient_key(header.patient_id), header.accession_number,
            header.study_date, json.dumps(sorted({one.facts.modality for one in study.series})),
            header.study_description[:5], len(study.series), len(instances), size, study.peer, study.began,
            last_arrival, study.began, None if study.state in ("receiving", "settled") else "[]",
            *describe([one.facts for one in study.series]),
        ))  # fmt: skip

    # -- what the indexer writes ---------------------------------------------------------------------------------------

    def _add_images(self, study_id: int, study: PlannedStudy) -> tuple[int, int]:
        """Series, fact sets, instances and receipts; returns when the last came, and how many bytes."""
        at, bytes_, number = study.began, 0, 0
        sets: dict[int, int] = {}
        for series in study.series:
            facts = series.facts
            series_id = self._next("series")
            self._rows["series"].append((
                series_id, study_id, series.uid, facts.modality, series.number, facts.study_date, series.description,
                series.body_part, facts.study_time, moment_key(facts.study_date, facts.study_time), "",
                facts.institution_name, json.dumps(series.requests, ensure_ascii=False),
            ))  # fmt: skip
            said = id(facts)
            if said not in sets:
                sets[said] = self._add_facts(study_id, facts)
            for row, size in self._images(study_id, series_id, sets[said], study, series):
                instance_id = self._next("instances")
                digest: bytes = row[0]
                self._rows["instances"].append((instance_id, *row, at))
                self._rows["receipts"].append(
                    (at * 1000 + digest[2], study.number + 1, number := number + 1, study.peer, instance_id)
                )
                last, at = at, at + PAUSE + digest[1] * 100
                bytes_ += size
        return last, bytes_

    def _add_facts(self, study_id: int, facts: Header) -> int:
        text = to_json(facts)
        set_id = self._next("fact_sets")
        self._rows["fact_sets"].append((set_id, study_id, hashlib.sha256(text.encode()).digest(), text))
        return set_id

    def _images(
        self, study_id: int, series_id: int, set_id: int, study: PlannedStudy, series: PlannedSeries
    ) -> Iterator[tuple[Row, int]]:
        """A series' instances without their id and time, and the size of each."""
        facts, rng = series.facts, self._rng
        for number in range(1, series.images + 1):
            digest = rng.randbytes(32)
            uid = f"2.25.{rng.getrandbits(122)}" if study.random_uids else f"{series.uid}.{number}"
            size = series.size + 2 * digest[0]
            yield (
                digest, study_id, series_id, set_id, 1, facts.sop_class_uid, uid, facts.transfer_syntax_uid,
                str(number), size, series.frames, series.rows, series.columns, 1, 0, study.peer,
            ), size  # fmt: skip

    # -- what comes after ----------------------------------------------------------------------------------------------

    def tell(
        self,
        study_id: int,
        at: int,
        event: str,
        change: tuple[str, str],
        detail: dict[str, Any],
        *,
        entry_id: int | None = None,
        by: str = "gateway",
    ) -> None:
        """One row of history."""
        what = "study" if entry_id is None else "entry"
        self.append("history", study_id, entry_id, what, event, *change, at, by, _json(detail))

    def append(self, table: str, *values: Any, counted: bool = True) -> int:
        """One row of a table; ``counted``: with the next id before its values, which is returned."""
        row_id = self._next(table) if counted else 0
        self._rows[table].append((row_id, *values) if counted else values)
        return row_id

    def chance(self) -> float:
        """A random number from 0 to 1."""
        return self._rng.random()

    def new_uid(self) -> str:
        """A UID of random bits."""
        return f"2.25.{self._rng.getrandbits(122)}"


class _Story:
    """What happens to one study after its images are here: settling, verdict, delivery, commitment."""

    def __init__(self, rows: Rows, study_id: int, instances: range, study: PlannedStudy, last_arrival: int) -> None:
        self._rows = rows
        self._study_id = study_id
        self._instances = instances
        self._study = study
        self._at = last_arrival
        self.rejection: tuple[int | None, str | None, str | None] = (None, None, None)

    def tell(self) -> None:
        """Write it, as far as the study's state says."""
        state, detail = self._study.state, {"revision": 1}
        self._tell("arrived", ("", "receiving"), {**detail, "peer": self._study.peer}, at=self._study.began + SECOND)
        if state == "receiving":
            return
        self._at += SETTLE_AFTER
        self._tell("settled", ("receiving", "settled"), detail)
        if state == "settled":
            return
        self._at += SECOND // 2
        if state in ("held", "rejected"):
            self._fail(detail)
        else:
            self._tell("passed", ("settled", "accepted"), {**detail, "rules": []})
            self._deliver() if state == "archived" else self._wait()

    def _tell(
        self, event: str, change: tuple[str, str], detail: dict[str, Any], *, at: int | None = None, **more: Any
    ) -> None:
        self._rows.tell(self._study_id, self._at if at is None else at, event, change, detail, **more)

    def _fail(self, detail: dict[str, int]) -> None:
        rule = RULES[HELD_BY[self._study.number % len(HELD_BY)]]
        self._tell("failed", ("settled", "held"), {**detail, "rules": [rule.id]})
        accession = self._study.series[0].facts.accession_number
        message = next(iter(rule.messages.values())).text.en.format_map(defaultdict(str, accession=accession))
        self._rows.append(
            "findings", self._study_id, 1, rule.id, "hold", "study", message, rule.remedy.en, None, None, None
        )
        if self._study.state == "rejected":
            self._at += 3 * 3600 * SECOND
            self.rejection = (self._at, "röntgenhoitaja", "väärä potilas, kuvattu uudelleen")
            self._tell("rejected", ("held", "rejected"), {"reason": self.rejection[2]}, by="röntgenhoitaja")

    def _wait(self) -> None:
        """Accepted, and nothing is delivered yet."""
        self._rows.append(
            "entries", self._study_id, DESTINATION, 1, "queued", 0, 1, 1, 0, self._at, self._at, self._at, self._at,
            "", None, 0, 0,
        )  # fmt: skip
        self._ledger("pending", self._at)

    def _deliver(self) -> None:
        rows, count, made = self._rows, len(self._instances), self._at
        putoff = rows.chance() < DEFERRED_FIRST
        error = None
        if putoff:
            code, meaning, comment = OUT_OF_RESOURCES
            error = {"at": iso(made + 2 * SECOND), "code": code, "meaning": meaning, "comment": comment}
        took = SECOND + count * PAUSE
        entry = rows.append(
            "entries", self._study_id, DESTINATION, 1, "archived", 0, 1, 1, 1 + putoff, made, made, None, None, "",
            _json(error) if error else None, count, count,
        )  # fmt: skip
        if error:
            self._put_off(entry, error)
        started, attempt = self._at, 1 + putoff
        self._tell("claimed", ("deferred" if putoff else "queued", "sending"), {"attempt": attempt}, entry_id=entry)
        self._at += took
        rows.append("attempts", entry, "delivery", started, self._at, "delivered", "", "", "", "", count, 0, 0)
        self._tell("delivered", ("sending", "sent"), {"attempt": attempt, "sent": count}, entry_id=entry)
        self._commit(entry)

    def _put_off(self, entry: int, error: dict[str, Any]) -> None:
        started = self._at
        self._tell("claimed", ("queued", "sending"), {"attempt": 1}, entry_id=entry)
        self._at += 2 * SECOND
        due = self._at + RETRY
        self._rows.append(
            "attempts", entry, "delivery", started, self._at, "deferred", "study", error["code"],
            error["meaning"], error["comment"], 0, 0, 1,
        )  # fmt: skip
        detail = {"attempt": 1, "code": error["code"], "next_attempt_at": iso(due)}
        self._tell("deferred", ("sending", "deferred"), detail, entry_id=entry)
        self._at = due

    def _commit(self, entry: int) -> None:
        asked, count = self._at + 2 * SECOND, len(self._instances)
        self._at = asked + SECOND + count * 1000
        transaction = self._rows.append("commitments", self._rows.new_uid(), entry, DESTINATION, asked, None, self._at)
        for instance in self._instances:
            self._rows.append("commitment_instances", transaction, instance, "committed", None, counted=False)
        self._ledger("committed", self._at)
        self._tell("committed", ("sent", "archived"), {"instances": count}, entry_id=entry)
        self._tell("all_complete", ("accepted", "archived"), {})

    def _ledger(self, state: str, at: int) -> None:
        for instance in self._instances:
            self._rows.append("ledger", self._study_id, DESTINATION, instance, 1, state, "", at, counted=False)
