"""Storage commitment transactions (PS3.4 J), persisted so that results may come late, twice, or in parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import CommitmentOutcome, CommitmentRecord

NO_SUCH_INSTANCE = 0x0112


def ask(catalog: Catalog, entry_id: int, transaction_uid: str, instance_ids: Iterable[int], due_at: datetime) -> None:
    """Write down that the entry's destination is about to be asked to commit to these instances.

    Called before the N-ACTION goes out, so that a result can never come for an unknown transaction.
    """
    raise NotImplementedError


def find(catalog: Catalog, transaction_uid: str) -> CommitmentRecord | None:
    """The transaction, or None."""
    raise NotImplementedError


def record_result(
    catalog: Catalog,
    transaction_uid: str,
    destination: str,
    committed: Sequence[tuple[str, str]],
    failed: Sequence[tuple[str, str, int]],
    at: datetime,
) -> CommitmentOutcome:
    """Write a result: ``committed`` (class, instance), ``failed`` (class, instance, reason).

    Instances that were not asked about are passed over; the same result again changes nothing. 0112 (no such object
    instance) makes the instance pending again and defers the entry, due at ``at``.
    """
    raise NotImplementedError


def overdue(catalog: Catalog, now: datetime) -> list[CommitmentRecord]:
    """Transactions that still wait for an answer and were due before ``now``, and that no newer one has replaced."""
    raise NotImplementedError


def postpone(catalog: Catalog, transaction_uid: str, due_at: datetime) -> None:
    """Ask for patience: the transaction is due then."""
    raise NotImplementedError


def close(catalog: Catalog, transaction_uid: str, at: datetime) -> None:
    """Nothing more is awaited from this transaction (it was asked again under a new one, or could not be asked).

    A late result for it still counts.
    """
    raise NotImplementedError
