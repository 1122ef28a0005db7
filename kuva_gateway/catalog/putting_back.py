"""What the journal knows of studies, put back into a catalog that was made anew from the stored files.

Promises that what a person decided is in force again with his name, reason and time; that what went to a destination is
not sent again, and what may have gone is asked about first; and that images of which the journal does not know who
sent them, or that came after its last line about their study, open the study's question again instead of going along.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from kuva_gateway.catalog import rejections, totals
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.doubts import IN_DOUBT
from kuva_gateway.catalog.journal_lines import AMENDMENT, CODE, ENTRY, HISTORY, LEDGER_STATES, LINK, MARK, REJECTED
from kuva_gateway.catalog.recalled import Recalled
from kuva_gateway.catalog.retention import keep_from
from kuva_gateway.catalog.session import Row, Session, chunks
from kuva_gateway.catalog.states import put_back_study
from kuva_gateway.catalog.summary import refresh_summaries
from kuva_gateway.catalog.versions import AUTHORIZATIONS, DOCUMENTS, refresh_current
from kuva_gateway.journal import Line

_STATES: Final = {letter: state for state, letter in LEDGER_STATES.items()}
_FINAL: Final = frozenset({"rejected", "withdrawn", "removed", "archived"})
"""States that hold whatever the documents say."""
_TOGETHER: Final = 100


@dataclass(slots=True)
class PutBack:
    """How much came back."""

    studies: int = 0
    decisions: int = 0
    gone: int = 0
    """Studies of which the journal knows and no file is left."""


def put_back(catalog: Catalog, recalled: Recalled) -> PutBack:
    """Put back everything about studies and patients; the files have been indexed before.

    Of a journal that is not whole a study that was accepted is not: what its last line says may not be the last word.
    """
    done = PutBack()
    for lines in chunks(recalled.lines("study"), _TOGETHER):
        with catalog.write() as session:
            rows = session.rows_in("SELECT * FROM studies WHERE uid IN {}", [line["key"] for line in lines])
            here = {row["uid"]: row for row in rows}
            for line in lines:
                study = here.get(line["key"])
                if study is None:
                    done.gone += 1
                else:
                    _Study(session, study, line, trusted=recalled.trusted).put_back()
                    done.studies += 1
                    done.decisions += len(line["history"])
            refresh_summaries(session, [row["id"] for row in rows])
    with catalog.write() as session:
        for line in recalled.lines("link"):
            for link in line["links"]:
                session.insert("patient_links", **{name: link[name] for name in LINK})
                done.decisions += 1
    return done


def hold_unknown(catalog: Catalog, *, trusted: bool) -> int:
    """QUA-03 for studies with images of unknown senders, or for all that are not decided; returns how many."""
    unknown = "EXISTS (SELECT 1 FROM instances i WHERE i.study_id = studies.id AND i.peer = '')"
    with catalog.write() as session:
        return session.change(
            "INSERT INTO observed_findings (study_id, rule, sop_instance_uid, other_uid, severity, place, at) "
            "SELECT id, 'QUA-03', '', '', 'hold', 'study', CAST(? AS BIGINT) FROM studies WHERE "
            + (unknown if trusted else "state NOT IN ('rejected', 'withdrawn', 'removed', 'archived')"),
            session.at,
        )


def put_back_codes(catalog: Catalog, recalled: Recalled) -> int:
    """The code list, into a catalog that has none; returns how many periods."""
    done = 0
    with catalog.write() as session:
        for line in recalled.lines("codes"):
            marks = ", ".join("?" * len(CODE))
            session.many(f"INSERT INTO codes ({', '.join(CODE)}) VALUES ({marks})", line["codes"])
            done += len(line["codes"])
    return done


def put_back_providers(catalog: Catalog, recalled: Recalled) -> int:
    """What operators have given of providers; returns how many."""
    done = 0
    with catalog.write() as session:
        for line in recalled.lines("provider"):
            session.execute(
                "INSERT INTO providers (name, sector, joined, oid) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET sector = excluded.sector, joined = excluded.joined, "
                "oid = excluded.oid",
                *(line[name] for name in ("name", "sector", "joined", "oid")),
            )
            done += 1
    return done


class _Study:
    """One study and the newest line about it."""

    def __init__(self, session: Session, study: Row, line: Line, *, trusted: bool) -> None:
        self._session = session
        self._study = study
        self._line = line
        marks = base64.b64decode(line["instances"])
        wanted = [marks[at : at + MARK] for at in range(0, len(marks), MARK)]
        rows = session.rows(
            "SELECT id, uid, digest, size, current, held FROM instances WHERE study_id = ?", study["id"]
        )
        here = {bytes(row["digest"])[:MARK]: row for row in rows}
        self._known: list[Row | None] = [here.get(mark) for mark in wanted]
        self._newer = set(here) - set(wanted)
        self._complete = not self._newer and None not in self._known
        self._state = self._state_again(trusted)

    def _state_again(self, trusted: bool) -> str:
        """The state, where it does not hang on documents and codes; else the study is judged as a new one is."""
        line, revision = self._line, self._line["revision"]
        going = line["released_revision"] == revision or any(one["revision"] == revision for one in line["entries"])
        accepted = line["state"] == "accepted" and going and trusted
        return line["state"] if not self._newer and (line["state"] in _FINAL or accepted) else "receiving"

    def put_back(self) -> None:
        """All of it."""
        self._put_back_flags()
        for one in self._line["amendments"]:
            self._session.insert("amendments", study_id=self._study["id"], **{name: one[name] for name in AMENDMENT})
        self._put_back_notes()
        entries = self._put_back_entries()
        self._put_back_history(entries)
        self._put_back_state()

    def _put_back_flags(self) -> None:
        """Which of several objects counts, and what is never sent."""
        session, line = self._session, self._line
        for row, flag in zip(self._known, line["flags"], strict=True):
            if row is not None:
                row["current"], row["held"] = int(not int(flag) & 1), int(bool(int(flag) & 2))
                session.execute(
                    "UPDATE instances SET current = ?, held = ? WHERE id = ?", row["current"], row["held"], row["id"]
                )
        if self._complete:
            instances, size = line["images"], line["bytes"]
        else:
            row = session.one(
                "SELECT COUNT(*) AS n, COALESCE(SUM(size), 0) AS size FROM instances "
                "WHERE study_id = ? AND current = 1 AND held = 0",
                self._study["id"],
            )
            assert row is not None
            instances, size = int(row["n"]), int(row["size"])
        before = self._study["instances"], self._study["bytes"]
        session.execute("UPDATE studies SET instances = ?, bytes = ? WHERE id = ?", instances, size, self._study["id"])
        change = totals.Change(self._study["state"], 0, instances - before[0], size - before[1])
        totals.add_studies(session, [change])
        self._study["instances"], self._study["bytes"] = instances, size

    def _put_back_entries(self) -> dict[tuple[str, int], int]:
        """Entries and ledger; returns the entries' ids by destination and revision."""
        session, ids = self._session, {}
        for entry in self._line["entries"]:
            states = self._line["ledger"].get(entry["destination"], "")
            again = entry["state"] in ("queued", "sending", "deferred") or (
                entry["state"] == "sent" and entry["commitment"]
            )
            state = entry["state"]
            if again:
                state = "superseded" if self._state == "receiving" else "deferred"
            moment = session.at if state == "deferred" else None
            ids[entry["destination"], entry["revision"]] = session.insert(
                "entries",
                study_id=self._study["id"],
                **{**{name: entry[name] for name in ENTRY}, "state": state},
                due_at=moment,
                next_attempt_at=moment,
                owner="",
                sent=states.count("s") + states.count("c"),
                committed=states.count("c"),
            )
            totals.add_entries(session, entry["destination"], [totals.Change(state, 1)])
        for destination, states in self._line["ledger"].items():
            session.many(
                "INSERT INTO ledger (study_id, destination, instance_id, revision, state, code, changed_at) "
                "VALUES (?, ?, ?, 1, ?, ?, ?)",
                [
                    (
                        self._study["id"],
                        destination,
                        row["id"],
                        _STATES[letter],
                        IN_DOUBT if letter == "p" else "",
                        session.at,
                    )
                    for row, letter in zip(self._known, states, strict=True)
                    if row is not None and letter != "-"
                ],
            )
        return ids

    def _put_back_history(self, entries: dict[tuple[str, int], int]) -> None:
        for one in self._line["history"]:
            self._session.insert(
                "history",
                study_id=self._study["id"],
                entry_id=entries.get((one["destination"], one["revision"])),
                **{name: one[name] for name in HISTORY},
            )

    def _put_back_notes(self) -> None:
        """Rejection notes: those of ours as they were, and what a person decided on others'."""
        for note in self._line["notes"]:
            present = self._session.one("SELECT id FROM rejection_notes WHERE uid = ?", note["uid"])
            content = None if note["content"] is None else base64.b64decode(note["content"])
            columns = {name: note[name] for name in ("code", "peer", "at", "waits", "destinations")}
            if present is not None:
                note_id = present["id"]
                settings = ", ".join(f"{name} = ?" for name in columns)
                self._session.execute(f"UPDATE rejection_notes SET {settings} WHERE id = ?", *columns.values(), note_id)
            else:
                instance = next((row["id"] for row in self._known if row and row["uid"] == note["uid"]), None)
                note_id = self._session.insert(
                    "rejection_notes",
                    uid=note["uid"],
                    study_id=self._study["id"],
                    instance_id=instance,
                    content=None if instance is not None else content,
                    **columns,
                )
            self._put_back_rejected(note_id, note["rejected"])
            if not note["waits"]:
                self._session.execute(
                    "UPDATE observed_findings SET severity = 'info' WHERE study_id = ? AND rule = ? "
                    "AND sop_instance_uid = ?",
                    *(self._study["id"], rejections.RULE, note["uid"]),
                )

    def _put_back_rejected(self, note_id: int, rejected: Iterable[dict[str, Any]]) -> None:
        self._session.execute("DELETE FROM rejected_instances WHERE note_id = ?", note_id)
        self._session.many(
            f"INSERT INTO rejected_instances (note_id, {', '.join(REJECTED)}) VALUES (?, ?, ?, ?, ?, ?)",
            [(note_id, *(one[name] for name in REJECTED)) for one in rejected],
        )

    def _put_back_state(self) -> None:
        """A study that is judged again goes with a revision of its own: entries of the last one stay what they are."""
        line, revision = self._line, self._line["revision"]
        planned = any(entry["revision"] == revision for entry in line["entries"])
        if self._newer or (self._state == "receiving" and planned):
            revision += 1
        columns = {
            name: line[name]
            for name in ("released_revision", "delivered", "rejected_at", "rejected_by", "rejected_reason")
        }
        unreleased = int(self._state == "accepted" and line["released_revision"] != revision)
        put_back_study(self._session, self._study, self._state, **columns, revision=revision, judge=unreleased)
        if self._state == "archived":
            keep_from(self._session, self._study["id"])


def put_back_papers(catalog: Catalog, recalled: Recalled) -> int:
    """When documents and authorizations came, and which of them a person took out of force; returns how many that."""
    done = 0
    for papers in (DOCUMENTS, AUTHORIZATIONS):
        with catalog.write() as session:
            for line in recalled.lines(papers.kind):
                row = session.one(f"SELECT id, set_id FROM {papers.table} WHERE identifier = ?", line["key"])
                if row is None:
                    continue
                session.execute(
                    f"UPDATE {papers.table} SET received_at = ?, invalidated_at = ?, invalidated_by = ?, "
                    "invalidated_reason = ? WHERE id = ?",
                    *(line[name] for name in ("received_at", "invalidated_at", "invalidated_by", "invalidated_reason")),
                    row["id"],
                )
                if line["invalidated_at"] is not None:
                    refresh_current(session, papers, row["id"], row["set_id"], ())
                    done += 1
    return done
