"""The states of studies, entries and ledger rows: tables as data, and the one function that applies an event.

Nothing else in the program writes a ``state`` column. An event that a table lacks raises StateError; row and history
row are written in the caller's one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping

STUDY: Mapping[tuple[str, str], str] = {
    ("receiving", "settled"): "settled",
    ("settled", "passed"): "accepted",
    ("settled", "failed"): "held",
    ("held", "facts_changed"): "settled",
    ("held", "released"): "accepted",
    ("held", "rejected"): "rejected",
    ("accepted", "facts_changed"): "settled",
    ("accepted", "all_complete"): "archived",
    ("settled", "instance_arrived"): "receiving",
    ("held", "instance_arrived"): "receiving",
    ("accepted", "instance_arrived"): "receiving",
    ("archived", "instance_arrived"): "receiving",
    ("rejected", "instance_arrived"): "receiving",
    ("receiving", "withdrawn"): "withdrawn",
    ("settled", "withdrawn"): "withdrawn",
    ("held", "withdrawn"): "withdrawn",
    ("accepted", "withdrawn"): "withdrawn",
    ("archived", "withdrawn"): "withdrawn",
    ("rejected", "withdrawn"): "withdrawn",
    ("rejected", "removed"): "removed",
    ("withdrawn", "removed"): "removed",
}

ENTRY: Mapping[tuple[str, str], str] = {
    ("queued", "claimed"): "sending",
    ("deferred", "claimed"): "sending",
    ("sending", "delivered"): "sent",
    ("sending", "deferred"): "deferred",
    ("sending", "lease_expired"): "deferred",
    ("sending", "refused"): "failed",
    ("sending", "gave_up"): "failed",
    ("failed", "retried"): "queued",
    ("sent", "committed"): "archived",
    ("sent", "commitment_failed"): "deferred",
    ("sent", "refused"): "failed",
    ("queued", "held"): "held",
    ("deferred", "held"): "held",
    ("held", "released"): "queued",
    ("queued", "cancelled"): "cancelled",
    ("sending", "cancelled"): "cancelled",
    ("deferred", "cancelled"): "cancelled",
    ("held", "cancelled"): "cancelled",
    ("failed", "cancelled"): "cancelled",
    ("sent", "cancelled"): "cancelled",
    ("queued", "new_revision"): "superseded",
    ("deferred", "new_revision"): "superseded",
}

LEDGER: Mapping[tuple[str, str], str] = {
    ("pending", "sent"): "sent",
    ("sent", "committed"): "committed",
    ("pending", "committed"): "committed",
    ("sent", "commitment_failed"): "pending",
    ("pending", "failed"): "failed",
    ("sent", "failed"): "failed",
    ("failed", "retried"): "pending",
}

UNFINISHED = ("queued", "deferred", "sending")
"""States of an entry that still wants a worker."""
