"""Admission: which studies are complete, and which of these may go on (DESIGN section 2, step 5; rule CPL-01).

Keeps nothing between two runs; what is to be settled or judged stands in the catalog. Promises that a verdict counts
only for the revision and facts that it was made of (a stale one is dropped and made again), that what goes wrong with
one study stops no other, and one log line per verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from kuva_gateway.catalog import studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import DestinationPlan, FindingLike, FindingRecord, StudyView, Unsettled
from kuva_gateway.dicom.amendments import Amendment
from kuva_gateway.errors import CatalogUnavailableError, NotFoundError, StateError

STUDIES_PER_RUN = 200
TRIES = 3  # times that a study whose facts keep moving is judged before the next run takes it up


class VerdictLike(Protocol):
    """What admission needs of a verdict; validation's own has it."""

    @property
    def passed(self) -> bool: ...
    @property
    def findings(self) -> Sequence[FindingLike]: ...


class Admission:
    """Settles studies, has them judged, and records the verdicts.

    Parameters
    ----------
    judge
        The verdict on one study as it was seen.
    amend
        The amendments that follow from links and configuration for a study as it was seen; made before it is judged.
    indexer_passed
        Whether everything acknowledged before a moment is in the catalog.
    in_flight
        Whether an association that stored into a study is in the middle of a message.
    admitted
        Called when a run made entries that may be due.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        judge: Callable[[StudyView], VerdictLike],
        amend: Callable[[StudyView], Sequence[Amendment]],
        destinations: Sequence[DestinationPlan],
        settle_after: timedelta,
        settle_at_most: timedelta,
        indexer_passed: Callable[[datetime], bool],
        in_flight: Callable[[str], bool],
        now: Callable[[], datetime],
        admitted: Callable[[], None],
        log: Any,
    ) -> None:
        self._catalog = catalog
        self._judge = judge
        self._amend = amend
        self._destinations = tuple(destinations)
        self._settle_after = settle_after
        self._settle_at_most = settle_at_most
        self._indexer_passed = indexer_passed
        self._in_flight = in_flight
        self._now = now
        self._admitted = admitted
        self._log = log

    def run(self) -> int:
        """Settle what is complete and judge what is open; returns how many verdicts were recorded.

        Raises
        ------
        CatalogUnavailableError
            The catalog is away; nothing is lost, the next run begins again.
        """
        for candidate in studies.unsettled(self._catalog, self._now(), self._settle_after, self._settle_at_most):
            if self._complete(candidate):
                quiet_since = None if candidate.overdue else candidate.last_arrival
                studies.settle(self._catalog, candidate.study_instance_uid, candidate.revision, quiet_since)
        verdicts = passed = 0
        for uid in studies.to_judge(self._catalog, STUDIES_PER_RUN):
            verdict = self._judge_one(uid)
            if verdict is not None:
                verdicts += 1
                passed += verdict.passed
        if passed:
            self._admitted()
        return verdicts

    def _complete(self, candidate: Unsettled) -> bool:
        """Quiet for ``settle_after``, all of that time indexed, and nobody in the middle of sending to it."""
        if candidate.overdue:
            return True
        return self._indexer_passed(candidate.last_arrival + self._settle_after) and not self._in_flight(
            candidate.study_instance_uid
        )

    def _judge_one(self, uid: str) -> VerdictLike | None:
        view: list[StudyView] = []
        try:
            verdict = self._judge_until_fresh(uid, view.append)
        except CatalogUnavailableError:
            raise
        except (NotFoundError, StateError) as error:
            self._log.info("the study has moved on", study=uid, why=str(error))
            return None
        except Exception as error:
            self._log.error("a study could not be judged", study=uid, exc_info=True)
            if view:
                self._hold(view[-1], error)
            return None
        return verdict

    def _hold(self, view: StudyView, error: Exception) -> None:
        """A fault of ours is a reason too: the study is held with it, and stands in no other study's way."""
        finding = FindingRecord(
            rule="QUA-02",
            severity="hold",
            where="study",
            message=f"The study could not be judged: a fault of the gateway ({type(error).__name__})",
            remedy="Report it to the gateway's makers, then judge the study again (studies recheck).",
        )
        studies.record_verdict(self._catalog, view, False, (finding,), self._destinations)

    def _judge_until_fresh(self, uid: str, seen: Callable[[StudyView], None]) -> VerdictLike | None:
        for _ in range(TRIES):
            view = studies.view(self._catalog, uid)
            if studies.replace_following(self._catalog, view, self._amend(view)):
                view = studies.view(self._catalog, uid)
            seen(view)
            verdict = self._judge(view)
            if studies.record_verdict(self._catalog, view, verdict.passed, tuple(verdict.findings), self._destinations):
                self._log.info(
                    "verdict",
                    study=uid,
                    revision=view.revision,
                    passed=verdict.passed,
                    rules=sorted({finding.rule for finding in verdict.findings}),
                    instances=view.study.instances,
                    peer=view.study.peer,
                )
                return verdict
        self._log.info("the study changes faster than it is judged", study=uid)
        return None
