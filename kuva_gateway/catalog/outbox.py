"""What the journal is still to be told of: a row for each thing that changed, in the transaction that changes it.

Keeps what changed, not what it is now: that is read when the journal is told (:mod:`.journaling`), so that the newest
line about a thing is always the newest state of it. Whatever the program does between, a row that is committed is told.
"""

from __future__ import annotations

from typing import Literal

from kuva_gateway.catalog.session import Session

Kind = Literal["study", "receipts", "link", "provider", "document", "authorization", "codes"]


def note(session: Session, kind: Kind, key: str | int) -> None:
    """This has changed; ``key`` is a study's id, a patient's key, a name, an OID, "" or the receipts themselves."""
    session.noted[kind, str(key)] = None


def write_down(session: Session) -> bool:
    """Write what the transaction has noted; called before it ends. Returns whether that was anything."""
    if not session.noted:
        return False
    session.many("INSERT INTO to_journal (kind, what) VALUES (?, ?)", list(session.noted))
    session.noted.clear()
    return True
