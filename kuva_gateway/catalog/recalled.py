"""What the journal says, put in order for a rebuild: who sent what, and the newest line about each thing.

Kept in a database of its own beside the catalog for as long as the rebuild lasts, because millions of receipts are too
many for memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from kuva_gateway.journal import Damage, Journal, Line
from kuva_gateway.spool.receipt import Receipt

_SCHEMA = """
CREATE TABLE receipts (time_ns INTEGER, association INTEGER, number INTEGER, peer TEXT, digest TEXT,
    PRIMARY KEY (time_ns, association, number)) WITHOUT ROWID;
CREATE TABLE lines (kind TEXT, what TEXT, line TEXT, PRIMARY KEY (kind, what)) WITHOUT ROWID;
CREATE TABLE here (digest TEXT PRIMARY KEY, written_ns INTEGER) WITHOUT ROWID;
"""
_BATCH = 5000


class Sent(NamedTuple):
    """One stored file as it came; ``known`` False: nobody knows from whom, and the time is that of the file."""

    digest: str
    receipt: Receipt
    peer: str
    known: bool


class Recalled:
    """A journal, read."""

    def __init__(self, journal: Journal, path: Path) -> None:
        self.damage = Damage()
        self.whole = journal.whole
        self._path = path
        path.unlink(missing_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
        self._read(journal)

    @property
    def trusted(self) -> bool:
        """Whether the journal is whole: what it does not say has not happened."""
        return self.whole and not self.damage

    def _read(self, journal: Journal) -> None:
        self._database.execute("BEGIN")
        for line in journal.read(self.damage):
            if line.get("kind") == "receipts":
                self._database.executemany("INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?)", line["receipts"])
            elif "key" in line:
                self._database.execute(
                    "INSERT OR REPLACE INTO lines VALUES (?, ?, ?)", (line["kind"], line["key"], json.dumps(line))
                )
        self._database.execute("CREATE INDEX receipts_digest ON receipts (digest)")
        self._database.execute("COMMIT")

    def sent(self, here: Iterable[tuple[int, str]]) -> Iterator[Sent]:
        """Every receipt of the files that are ``here`` (when written, digest), in the order in which they came."""
        self._database.execute("BEGIN")
        self._database.execute("DELETE FROM here")
        self._database.executemany("INSERT OR IGNORE INTO here VALUES (?, ?)", ((digest, at) for at, digest in here))
        self._database.execute("COMMIT")
        cursor = self._database.execute(
            "SELECT h.digest, r.time_ns, r.association, r.number, r.peer, 1 AS known FROM here h "
            "JOIN receipts r ON r.digest = h.digest UNION ALL "
            "SELECT h.digest, h.written_ns, 0, 0, '', 0 FROM here h "
            "WHERE NOT EXISTS (SELECT 1 FROM receipts r WHERE r.digest = h.digest) ORDER BY 2, 3, 4, 1"
        )
        for number, row in enumerate(cursor):
            receipt = Receipt(time_ns=row[1], association=row[2], number=row[3] if row[5] else number)
            yield Sent(digest=row[0], receipt=receipt, peer=row[4], known=bool(row[5]))

    def lines(self, kind: str) -> Iterator[Line]:
        """The newest line about each thing of a kind."""
        last = ""
        while rows := self._database.execute(
            "SELECT what, line FROM lines WHERE kind = ? AND what > ? ORDER BY what LIMIT ?", (kind, last, _BATCH)
        ).fetchall():
            yield from (json.loads(text) for _, text in rows)
            last = rows[-1][0]

    def __enter__(self) -> Recalled:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._path.unlink(missing_ok=True)
