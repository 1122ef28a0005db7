"""Studies: what is here, why it waits, and decisions on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import DestinationPlan, FindingLike, StudyRecord, StudyView, Unsettled


def find(catalog: Catalog, uid: str) -> StudyRecord | None:
    """The study, or None."""
    raise NotImplementedError


def listing(
    catalog: Catalog,
    *,
    state: str | None = None,
    rule: str | None = None,
    peer: str | None = None,
    accession: str | None = None,
    since: datetime | None = None,
    limit: int = 1000,
) -> list[dict[str, Any]]:
    """Studies as JSON objects (DESIGN section 7), the newest arrival first."""
    raise NotImplementedError


def show(catalog: Catalog, uid: str) -> dict[str, Any]:
    """One study as a JSON object; raises NotFoundError."""
    raise NotImplementedError


def trace(catalog: Catalog, uid: str) -> list[dict[str, Any]]:
    """The study's whole story, oldest first: ``at, event, what, by, detail``; raises NotFoundError."""
    raise NotImplementedError


def unsettled(catalog: Catalog, now: datetime, settle_after: timedelta, settle_at_most: timedelta) -> list[Unsettled]:
    """Studies in ``receiving`` whose last receipt is older than ``settle_after``, or whose first receipt of this
    revision is older than ``settle_at_most`` (``overdue``)."""
    raise NotImplementedError


def settle(catalog: Catalog, uid: str, revision: int) -> bool:
    """receiving -> settled, if the study is still at ``revision`` and nothing arrived meanwhile; False if not."""
    raise NotImplementedError


def to_judge(catalog: Catalog, limit: int) -> list[str]:
    """UIDs of studies to judge: settled ones, and held or accepted ones whose facts have changed."""
    raise NotImplementedError


def view(catalog: Catalog, uid: str) -> StudyView:
    """Everything that the study's verdict depends on; raises NotFoundError."""
    raise NotImplementedError


def record_verdict(
    catalog: Catalog,
    view: StudyView,
    passed: bool,
    findings: Sequence[FindingLike],
    destinations: Sequence[DestinationPlan],
) -> bool:
    """Write the verdict on ``view``: findings, state, and for a study that passed entries and ledger.

    Returns False, and changes nothing, when revision or facts have moved on since the view was taken. The same verdict
    again writes nothing.
    """
    raise NotImplementedError


def release(catalog: Catalog, uid: str, *, by: str, reason: str, destinations: Sequence[DestinationPlan]) -> None:
    """held -> accepted in spite of its findings, for the present revision only; raises StateError, NotFoundError."""
    raise NotImplementedError


def reject(catalog: Catalog, uid: str, *, by: str, reason: str) -> None:
    """held -> rejected; raises StateError, NotFoundError."""
    raise NotImplementedError


def recheck(catalog: Catalog, uids: Iterable[str] | None) -> int:
    """Open the question of these studies (None: of every held one) again; returns how many."""
    raise NotImplementedError
