"""What the journal says of a thing: all of it as it is now, so that the newest line about a thing replaces the others.

Of a study: what people decided, what became of each instance at each destination, and which of several objects counts.
What can be found out from the stored files and documents again is left out.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from kuva_gateway.catalog.session import Session
from kuva_gateway.catalog.states import GATEWAY
from kuva_gateway.journal import Line

MARK: Final = 8
"""Leading bytes of a digest that tell the instances of one study apart."""
LEDGER_STATES: Final = {"pending": "p", "sent": "s", "committed": "c", "failed": "f"}
AMENDMENT: Final = ("origin", "revision", "patient", "issuer", "where_absent", "changes", "actor", "at", "reason")
LINK: Final = ("patient", "issuer", "changes", "actor", "at", "reason")
ENTRY: Final = (
    "destination",
    "revision",
    "state",
    "priority",
    "required",
    "commitment",
    "attempts",
    "created_at",
    "tried_since",
)
HISTORY: Final = ("what", "event", "from_state", "to_state", "at", "actor", "detail")
STUDY: Final = ("state", "revision", "released_revision", "delivered", "rejected_at", "rejected_by", "rejected_reason")
_COUNTS: Final = "instances AS images, bytes"
PAPER: Final = ("digest", "received_at", "invalidated_at", "invalidated_by", "invalidated_reason")
NOTE: Final = ("uid", "code", "peer", "at", "waits", "destinations")
REJECTED: Final = ("code", "uid", "study_uid", "sop_class", "active")
PROVIDER: Final = ("name", "sector", "joined", "oid")
CODE: Final = (
    *("code", "scheme", "valid_from"),
    *("valid_to", "name", "abbreviation", "replaced_by", "radiology", "visible_light", "leaf", "level"),
)
"""What tells periods of codes apart, and what they say."""


def line(session: Session, kind: str, what: str) -> Line | None:
    """The line for one row of the outbox; None: there is nothing to be said any more."""
    if kind == "receipts":
        return {"kind": kind, "receipts": json.loads(what)}
    if kind == "study":
        return study(session, int(what))
    if kind == "link":
        return {"kind": kind, "key": what, "links": _rows(session, "patient_links", LINK, "patient = ?", what)}
    if kind == "codes":
        rows = session.rows(f"SELECT {', '.join(CODE)} FROM codes ORDER BY id")
        return {"kind": kind, "key": "list", "codes": [list(row.values()) for row in rows]}
    if kind == "provider":
        rows = _rows(session, "providers", PROVIDER, "name = ?", what)
        return {"kind": kind, "key": what, **rows[0]} if rows else None
    table = {"document": "documents", "authorization": "authorizations"}[kind]
    row = session.one(f"SELECT {', '.join(PAPER)} FROM {table} WHERE identifier = ?", what)
    return None if row is None else {"kind": kind, "key": what, **row, "digest": bytes(row["digest"]).hex()}


def study(session: Session, study_id: int) -> Line | None:
    """Everything of a study that only the catalog knows."""
    row = session.one(f"SELECT uid, {_COUNTS}, {', '.join(STUDY)} FROM studies WHERE id = ?", study_id)
    if row is None:
        return None
    instances = session.rows("SELECT id, digest, current, held FROM instances WHERE study_id = ? ORDER BY id", study_id)
    marks = b"".join(bytes(one["digest"])[:MARK] for one in instances)
    return {
        "kind": "study",
        "key": row.pop("uid"),
        **row,
        "instances": base64.b64encode(marks).decode("ascii"),
        "flags": "".join(str((not one["current"]) + 2 * bool(one["held"])) for one in instances),
        "ledger": _ledger(session, study_id, [one["id"] for one in instances]),
        "entries": _rows(session, "entries", ENTRY, "study_id = ?", study_id),
        "amendments": _rows(session, "amendments", AMENDMENT, "study_id = ?", study_id),
        "history": _history(session, study_id),
        "notes": _notes(session, study_id),
    }


def _rows(session: Session, table: str, columns: tuple[str, ...], where: str, value: Any) -> list[dict[str, Any]]:
    return session.rows(f"SELECT {', '.join(columns)} FROM {table} WHERE {where} ORDER BY id", value)


def _ledger(session: Session, study_id: int, instance_ids: list[int]) -> dict[str, str]:
    """For each destination a letter for each instance, in their order; ``-``: it has none there."""
    found: dict[str, dict[int, str]] = {}
    for row in session.rows("SELECT destination, instance_id, state FROM ledger WHERE study_id = ?", study_id):
        found.setdefault(row["destination"], {})[row["instance_id"]] = LEDGER_STATES[row["state"]]
    return {name: "".join(states.get(one, "-") for one in instance_ids) for name, states in sorted(found.items())}


def _history(session: Session, study_id: int) -> list[dict[str, Any]]:
    """What people did; of an entry with its destination and revision."""
    return session.rows(
        f"SELECT {', '.join(f'h.{name}' for name in HISTORY)}, e.destination, e.revision FROM history h "
        "LEFT JOIN entries e ON e.id = h.entry_id WHERE h.study_id = ? AND h.actor <> ? ORDER BY h.id",
        study_id,
        GATEWAY,
    )


def _notes(session: Session, study_id: int) -> list[dict[str, Any]]:
    notes = []
    for row in session.rows("SELECT * FROM rejection_notes WHERE study_id = ? ORDER BY id", study_id):
        content = row["content"]
        notes.append(
            {
                **{name: row[name] for name in NOTE},
                "content": None if content is None else base64.b64encode(bytes(content)).decode("ascii"),
                "rejected": _rows(session, "rejected_instances", REJECTED, "note_id = ?", row["id"]),
            }
        )
    return notes
