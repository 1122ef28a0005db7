"""Admission: which studies are complete, and which of these may go on (DESIGN section 2, step 5; rule CPL-01).

Keeps nothing between two runs; what is to be settled or judged stands in the catalog, and so does the day on which a
verdict may change by itself. Promises that a verdict counts only for the revision and facts that it was made of (a
stale one is dropped and made again), that what goes wrong with one study stops no other, and one log line per verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from time import monotonic
from typing import Any, NamedTuple, Protocol, TypeVar

from kuva_gateway.catalog import studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import DestinationPlan, FindingLike, FindingRecord, StudyView, Unsettled
from kuva_gateway.dicom.amendments import Amendment
from kuva_gateway.errors import CatalogUnavailableError, NotFoundError, StateError

GROUP = 25
"""Studies whose verdicts share a transaction: few enough that the indexer never waits long for its own."""
T = TypeVar("T")
STUDIES_PER_LOOK = 200
LONGEST_RUN = 5.0
"""Seconds after which what is left waits for the next run, so that settling never waits long."""
TRIES = 3
"""Times that a study whose facts keep moving is judged before the next run takes it up."""


class VerdictLike(Protocol):
    """What admission needs of a verdict; validation's own has it."""

    @property
    def passed(self) -> bool: ...
    @property
    def findings(self) -> Sequence[FindingLike]: ...
    @property
    def look_again_on(self) -> date | None: ...
    @property
    def content_classes(self) -> Sequence[str]: ...


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
    today
        The local day, by which verdicts that depend on one are made again.
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
        today: Callable[[], date],
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
        self._today = today
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
        while studies.open_due(self._catalog, self._today()):
            pass
        verdicts, passed = self._judge_open()
        if passed:
            self._admitted()
        return verdicts

    def _judge_open(self) -> tuple[int, int]:
        """Judge what is open, group by group, for a while; returns how many verdicts were recorded, and passed."""
        verdicts = passed = 0
        tries: Counter[str] = Counter()
        until = monotonic() + LONGEST_RUN
        while uids := self._next_group(tries):
            tries.update(uids)
            for verdict in self._judge_group(uids):
                verdicts += 1
                passed += verdict.passed
            if monotonic() > until:
                break
        return verdicts, passed

    def _next_group(self, tries: Counter[str]) -> list[str]:
        """The next studies to judge; those whose facts move faster than they are judged wait for the next run."""
        for limit in (GROUP, STUDIES_PER_LOOK):
            uids = studies.to_judge(self._catalog, limit)
            found = [uid for uid in uids if tries[uid] < TRIES]
            if found or len(uids) < limit:
                break
        for uid in uids:
            if tries[uid] == TRIES:
                tries[uid] += 1  # said once in a run
                self._log.info("the study changes faster than it is judged", study=uid)
        return found[:GROUP]

    def _complete(self, candidate: Unsettled) -> bool:
        """Quiet for ``settle_after``, all of that time indexed, and nobody in the middle of sending to it."""
        if candidate.overdue:
            return True
        return self._indexer_passed(candidate.last_arrival + self._settle_after) and not self._in_flight(
            candidate.study_instance_uid
        )

    def _judge_group(self, uids: Sequence[str]) -> list[VerdictLike]:
        """Judge some studies and record their verdicts in one transaction; returns what was recorded.

        A verdict on facts that have moved on meanwhile is dropped; the study is still open, and its turn comes again.
        """
        amended = [self._carefully(view, self._amended) for view in self._views(uids)]
        with self._catalog.read():  # one moment for all that judging asks of the catalog
            tried = [one if isinstance(one, _Judged) else self._carefully(one, self._verdict) for one in amended if one]
        judged = [one for one in tried if one is not None]
        try:
            with self._catalog.write():
                recorded = [self._record(one) for one in judged]
        except CatalogUnavailableError:
            raise
        except Exception:
            recorded = [self._record_alone(one) for one in judged]
        done = [one for one, counts in zip(judged, recorded, strict=True) if counts]
        for one in done:
            self._tell(one)
        return [one.verdict for one in done]

    def _views(self, uids: Sequence[str]) -> list[StudyView]:
        """The studies as they are at one moment; one that cannot be seen is left out."""
        views = []
        with self._catalog.read():
            for uid in uids:
                try:
                    views.append(studies.view(self._catalog, uid))
                except NotFoundError:
                    self._log.info("the study has moved on", study=uid)
        return views

    def _carefully(self, view: StudyView, step: Callable[[StudyView], T]) -> T | _Judged | None:
        """One step with one study. A fault of ours in it is a reason too: the study is held with that reason, and
        stands in no other's way. None: the study has moved on."""
        uid = view.study.study_instance_uid
        try:
            return step(view)
        except CatalogUnavailableError:
            raise
        except (NotFoundError, StateError) as error:
            self._log.info("the study has moved on", study=uid, why=str(error))
            return None
        except Exception as error:
            self._log.error("a study could not be judged", study=uid, exc_info=True)
            return _Judged(view, _Unjudged((_fault_of_ours(error),)))

    def _amended(self, view: StudyView) -> StudyView:
        """The study with what configuration and links amend in it, written if that is new."""
        if not studies.replace_following(self._catalog, view, self._amend(view)):
            return view
        return studies.view(self._catalog, view.study.study_instance_uid)

    def _verdict(self, view: StudyView) -> _Judged:
        return _Judged(view, self._judge(view))

    def _record(self, one: _Judged) -> bool:
        verdict = one.verdict
        return studies.record_verdict(
            self._catalog,
            one.view,
            verdict.passed,
            tuple(verdict.findings),
            self._destinations,
            look_again_on=verdict.look_again_on,
            content_classes=verdict.content_classes,
        )

    def _record_alone(self, one: _Judged) -> bool:
        """The same in a transaction of its own, after one verdict of a group could not be recorded."""
        uid = one.view.study.study_instance_uid
        try:
            return self._record(one)
        except CatalogUnavailableError:
            raise
        except (NotFoundError, StateError) as error:
            self._log.info("the study has moved on", study=uid, why=str(error))
            return False
        except Exception as error:
            self._log.error("a verdict could not be recorded", study=uid, exc_info=True)
            return self._record(_Judged(one.view, _Unjudged((_fault_of_ours(error),))))

    def _tell(self, one: _Judged) -> None:
        self._log.info(
            "verdict",
            study=one.view.study.study_instance_uid,
            revision=one.view.revision,
            passed=one.verdict.passed,
            rules=sorted({finding.rule for finding in one.verdict.findings}),
            instances=one.view.study.instances,
            peer=one.view.study.peer,
        )


class _Judged(NamedTuple):
    view: StudyView
    verdict: VerdictLike


class _Unjudged(NamedTuple):
    """The verdict on a study that could not be judged."""

    findings: Sequence[FindingLike]
    passed: bool = False
    look_again_on: date | None = None
    content_classes: Sequence[str] = ()


def _fault_of_ours(error: Exception) -> FindingRecord:
    return FindingRecord(
        rule="QUA-02",
        severity="hold",
        where="study",
        message=f"The study could not be judged: a fault of the gateway ({type(error).__name__})",
        remedy="Report it to the gateway's makers, then judge the study again (studies recheck).",
    )
