"""The rows that tell what became of an attempt, for people who ask why."""

from __future__ import annotations

from datetime import datetime

from kuva_gateway.catalog.records import AttemptRecord
from kuva_gateway.dicom import statuses
from kuva_gateway.forward.deliver import Delivery
from kuva_gateway.forward.outcome import Outcome, Scope
from kuva_gateway.forward.remedies import remedy
from kuva_gateway.queue.decision import Decision, Next

COMMITMENT_NOT_ASKED, NOT_COMMITTED = "commitment_not_asked", "not_committed"


def at_delivery(
    started: datetime, ended: datetime, delivery: Delivery, decision: Decision, *, warnings: int
) -> AttemptRecord:
    """An attempt to deliver, as it was decided."""
    cause = decision.cause
    return AttemptRecord(
        started_at=started,
        ended_at=ended,
        outcome=decision.next.value,
        code=cause.code if cause else "",
        meaning=cause.meaning if cause else "",
        comment=cause.comment if cause else "",
        scope=cause.scope.value if cause else "",
        remedy=remedy(cause, gave_up=decision.next is Next.GAVE_UP) if cause else "",
        sent=delivery.stored,
        warnings=warnings,
        failed=len(delivery.failures) + len(delivery.unknown),
    )


def asked_in_vain(started: datetime, ended: datetime, why: Outcome) -> AttemptRecord:
    """A request for storage commitment that the destination did not take."""
    return AttemptRecord(
        started_at=started,
        ended_at=ended,
        outcome=COMMITMENT_NOT_ASKED,
        code=why.code,
        meaning=why.meaning,
        comment=why.comment,
        scope=why.scope.value,
        remedy=remedy(why),
    )


def not_committed(at: datetime, reason: int, instances: int) -> AttemptRecord:
    """The destination will not commit to so many ``instances``, to the first one for ``reason`` (0008,1197)."""
    return AttemptRecord(
        started_at=at,
        ended_at=at,
        outcome=NOT_COMMITTED,
        code=f"{reason:04X}",
        meaning=statuses.meaning(reason),
        comment="storage commitment refused",
        scope=Scope.INSTANCE.value,
        remedy="Ask the archive's operators why it does not keep what it took, then retry.",
        failed=instances,
    )


def given_up(started: datetime, ended: datetime) -> AttemptRecord:
    """Everything was delivered, and the destination never said that it keeps it."""
    return AttemptRecord(
        started_at=started,
        ended_at=ended,
        outcome=Next.GAVE_UP.value,
        code="no-commitment-result",
        meaning="the destination never answered the request for storage commitment",
        scope=Scope.STUDY.value,
        remedy="Ask the archive's operators whether it keeps the study, then retry.",
    )
