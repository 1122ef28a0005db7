"""Queue entries: claiming, marking, ending, and a person's hand on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import AttemptRecord, DestinationState, EntryRecord, PendingInstance


def claim(catalog: Catalog, destination: str, now: datetime, lease: timedelta, owner: str) -> EntryRecord | None:
    """The most urgent due entry of an accepted study, now ``sending`` and leased to ``owner``; None when nothing is due.

    No two callers get the same entry. An entry whose lease has run out is due again.
    """
    raise NotImplementedError


def find(catalog: Catalog, entry_id: int) -> EntryRecord | None:
    """The entry, or None."""
    raise NotImplementedError


def renew(catalog: Catalog, entry_id: int, owner: str, until: datetime) -> bool:
    """Keep the lease until then. False: the lease is lost, the entry was cancelled, or its study has moved on; finish the
    instance in hand and call :func:`defer`."""
    raise NotImplementedError


def pending_instances(catalog: Catalog, entry: EntryRecord) -> list[PendingInstance]:
    """What the entry has yet to deliver, series by series; never held or replaced instances."""
    raise NotImplementedError


def unconfirmed_instances(catalog: Catalog, entry: EntryRecord) -> list[PendingInstance]:
    """What was sent and is not committed, and what this entry must therefore ask about."""
    raise NotImplementedError


def mark_sent(catalog: Catalog, entry_id: int, instance_ids: Iterable[int], at: datetime) -> int:
    """pending -> sent for these instances; returns how many changed. The same mark again changes nothing."""
    raise NotImplementedError


def mark_failed(catalog: Catalog, entry_id: int, codes: Mapping[int, str], at: datetime) -> int:
    """pending or sent -> failed for these instances (instance id -> code); returns how many changed."""
    raise NotImplementedError


def delivered(catalog: Catalog, entry_id: int, attempt: AttemptRecord) -> None:
    """sending -> sent, all of it. Where the destination offers no commitment, or all is committed already, the entry is
    complete, and with the last one the study archived."""
    raise NotImplementedError


def defer(catalog: Catalog, entry_id: int, next_attempt_at: datetime, attempt: AttemptRecord | None) -> None:
    """sending -> deferred until then; superseded at once when its study has a newer revision.

    ``attempt`` None: no attempt is burnt (a destination that rests, a daemon that stops).
    """
    raise NotImplementedError


def fail(catalog: Catalog, entry_id: int, attempt: AttemptRecord, *, gave_up: bool = False) -> None:
    """sending (or sent, when the archive will not commit) -> failed: a person is needed."""
    raise NotImplementedError


def record_attempt(catalog: Catalog, entry_id: int, attempt: AttemptRecord, *, kind: str = "commitment") -> None:
    """Write an attempt that changes no state, such as asking for commitment."""
    raise NotImplementedError


def rest(catalog: Catalog, destination: str, until: datetime, code: str, why: str) -> None:
    """The destination rests until then; nothing of it is claimed."""
    raise NotImplementedError


def wake(catalog: Catalog, destination: str) -> bool:
    """The destination rests no longer; False if it did not rest."""
    raise NotImplementedError


def destination_state(catalog: Catalog, name: str) -> DestinationState:
    """Whether the destination rests."""
    raise NotImplementedError


def next_due(catalog: Catalog, destination: str) -> datetime | None:
    """When :func:`claim` will next find something (a time that has passed: at once), resting left aside; None: nothing."""
    raise NotImplementedError


def listing(catalog: Catalog, *, destination: str | None = None, state: str | None = None) -> list[dict[str, Any]]:
    """Entries as JSON objects (DESIGN section 7), the oldest first."""
    raise NotImplementedError


def retry(catalog: Catalog, ids: Iterable[int] | None, *, by: str, reason: str | None = None) -> list[int]:
    """failed -> queued, due at once; deferred ones become due at once. None: all that can. Returns the ids changed.

    Raises
    ------
    StateError
        An entry that was named knows no such event; nothing is changed.
    NotFoundError
        There is no such entry; nothing is changed.
    """
    raise NotImplementedError


def hold(catalog: Catalog, ids: Iterable[int] | None, *, by: str, reason: str | None = None) -> list[int]:
    """queued, deferred -> held; otherwise as :func:`retry`."""
    raise NotImplementedError


def release(catalog: Catalog, ids: Iterable[int] | None, *, by: str, reason: str | None = None) -> list[int]:
    """held -> queued; otherwise as :func:`retry`."""
    raise NotImplementedError


def cancel(catalog: Catalog, ids: Iterable[int] | None, *, by: str, reason: str | None = None) -> list[int]:
    """Unfinished -> cancelled; otherwise as :func:`retry`."""
    raise NotImplementedError
