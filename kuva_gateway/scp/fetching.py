"""What a C-MOVE or C-GET asks for and only the archive has: listed by C-FIND, fetched by C-GET, handed on as it comes.

Keeps one fetch on a thread of its own. Promises that each instance which was listed is handed out once, as a file in
``spool/fetched/`` or as failed with a reason; that a fetch ends with its asker; that a bounded number of fetches run at
a time; and that nothing of it becomes a receipt, a revision or a queue entry.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

from pydicom.dataset import Dataset

from kuva_gateway.audit.events import StudyTold
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.known import Place, unknown
from kuva_gateway.catalog.retrieval import Wanted
from kuva_gateway.catalog.visibility import Condition
from kuva_gateway.dicom import statuses, syntaxes
from kuva_gateway.dicom.data_set import ElementError, read_elements
from kuva_gateway.dicom.information_model import (
    INSTANCE_UID,
    SERIES_UID,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_UID,
    Level,
)
from kuva_gateway.dicom.sop_classes import STORAGE_CLASSES
from kuva_gateway.forward import outcome
from kuva_gateway.forward.call import Call, judge_call
from kuva_gateway.forward.references import encoded
from kuva_gateway.network.commands import Command
from kuva_gateway.network.errors import NetworkError, NoContext
from kuva_gateway.network.getting import get
from kuva_gateway.network.records import AcceptedContext, Role
from kuva_gateway.network.requestor import RequestorAssociation
from kuva_gateway.spool.fetched import Copying, Fetched, FetchedFiles

AT_ONCE = 4
"""Fetches of one process that talk to the archive at a time; further ones wait."""
MOST_INSTANCES = 100_000
"""Instances that are listed for one request at most."""
TOGETHER = 500
"""SOP Instance UIDs of one C-GET at most."""
WAIT = 0.5
"""Seconds after which :meth:`Fetch.instances` says that nothing has come yet."""

_SOP_CLASS = 0x0008_0016
_PLAIN = (syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE)
_COMPRESSED = tuple(f"1.2.840.10008.1.2.4.{one}" for one in ("70", "90", "80", "50", "91", "51", "81", "57"))
_SYNTAXES = (*_COMPRESSED[:3], syntaxes.RLE_LOSSLESS, *_COMPRESSED[3:])
_CONTEXTS = 127  # beside the one for C-GET itself


class NotListedError(Exception):
    """The archive did not say what it has."""


class Fetching:
    """How images are fetched; one for all requests of a process.

    Parameters
    ----------
    query
        How the archive is called for listing: with deadlines that the asker can wait for.
    call
        How it is called for fetching.
    seconds
        What listing may take (``query.upstream_timeout``).
    """

    def __init__(self, query: Call, call: Call, files: FetchedFiles, *, seconds: float) -> None:
        self.called_ae = call.called_ae
        self.files = files
        self.query = query
        self.call = call
        self.seconds = seconds
        self.slots = threading.BoundedSemaphore(AT_ONCE)

    def list(self, level: Level, keys: Mapping[Level, Sequence[str]]) -> list[Wanted]:
        """The instances that the archive has of what unique keys name, within ``seconds``.

        Raises
        ------
        NotListedError
            It does not answer, or not in time, or with a failure.
        """
        found: list[Wanted] = []
        failed: list[str] = []
        running: list[RequestorAssociation] = []

        def run() -> None:
            try:
                with self.query.associate([(STUDY_ROOT_FIND, _PLAIN)]) as association:
                    running.append(association)
                    found.extend(_list(association, level, keys))
            except NetworkError as error:
                failed.append(judge_call(error).code)
            except NotListedError as error:
                failed.append(str(error))

        thread = threading.Thread(target=run, name=f"list at {self.query.name}", daemon=True)
        thread.start()
        thread.join(self.seconds)
        if thread.is_alive():
            for association in running:
                association.abort("listing takes too long")
            raise NotListedError("no answer in time")
        if failed:
            raise NotListedError(failed[0])
        return found

    def fetch(self, wanted: Sequence[Wanted]) -> Fetch:
        """Begin to fetch."""
        return Fetch(self, wanted)


class Fetch:
    """One fetch; begins at once."""

    def __init__(self, fetching: Fetching, wanted: Sequence[Wanted]) -> None:
        self.total = len(wanted)
        self.why = ""
        """Why something could not be fetched."""
        self._fetching = fetching
        self._left = {one.sop_instance: one for one in wanted}
        self.total = len(self._left)
        self._stopped = threading.Event()
        self._over = threading.Event()
        self._found: queue.SimpleQueue[Fetched] = queue.SimpleQueue()
        self._association: RequestorAssociation | None = None
        self._messages = 0
        self.told = tuple(
            StudyTold(uid=study, sop_classes={"": sum(one.study == study for one in self._left.values())})
            for study in sorted({one.study for one in wanted})
        )
        threading.Thread(target=self._run, name=f"fetch from {fetching.call.name}", daemon=True).start()

    def open_file(self, digest: str) -> Any:
        """A fetched file."""
        return self._fetching.files.open(digest)

    def instances(self) -> Iterator[Fetched | None]:
        """Each instance as it comes, None when none came for a moment; those that never come are :meth:`missing`."""
        while True:
            over = self._over.is_set()
            try:
                yield self._found.get(timeout=0.001 if over else WAIT)
            except queue.Empty:
                if over:
                    return
                yield None

    def missing(self) -> list[str]:
        """Once it is over: the SOP Instance UIDs that did not come."""
        return sorted(self._left)

    def stop(self) -> None:
        """Nobody wants it any more."""
        self._stopped.set()
        association = self._association
        if association is not None and not self._over.is_set():
            association.abort("who asked for it has gone")

    # -- on its own thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._from_files()
            while self._left and not self._stopped.is_set():
                if self._fetching.slots.acquire(timeout=WAIT):
                    try:
                        self._from_archive()
                    finally:
                        self._fetching.slots.release()
                    break
        except NoContext:
            self.why = "the archive offers no C-GET"
        except NetworkError as error:
            self.why = f"the archive: {judge_call(error).code}"
        except Exception as error:
            self.why = self.why or f"fetching failed: {type(error).__name__}"
        finally:
            self._over.set()

    def _from_files(self) -> None:
        for uid in list(self._left):
            found = self._fetching.files.find(uid)
            if found is not None:
                del self._left[uid]
                self._found.put(found)

    def _from_archive(self) -> None:
        self._from_files()  # somebody else may have fetched it while we waited
        for group in _groups(list(self._left.values())):
            if self._stopped.is_set():
                return
            classes = {one.sop_class for one in group}
            proposed = _contexts(classes)
            roles = {one: Role(scu=False, scp=True) for one, _ in proposed}
            with self._fetching.call.associate([(STUDY_ROOT_GET, _PLAIN), *proposed], roles=roles) as association:
                self._association = association
                self._get(association, group)

    def _get(self, association: RequestorAssociation, group: Sequence[Wanted]) -> None:
        context = association.context_for(STUDY_ROOT_GET)
        by_series: dict[tuple[str, str], list[str]] = {}
        for one in group:
            by_series.setdefault((one.study, one.series), []).append(one.sop_instance)
        for (study, series), uids in by_series.items():
            for start in range(0, len(uids), TOGETHER):
                if self._stopped.is_set():
                    return
                asked = Dataset()
                asked.QueryRetrieveLevel = "IMAGE"
                asked.StudyInstanceUID, asked.SeriesInstanceUID = study, series
                asked.SOPInstanceUID = uids[start : start + TOGETHER]
                self._messages += 1
                answer = get(
                    association,
                    context,
                    encoded(asked, context.transfer_syntax),
                    message_id=self._messages % 65_535 or 1,
                    begin=self._begin,
                    kept=self._kept,
                    enough=self._stopped.is_set,
                )
                if answer.status != statuses.SUCCESS:
                    found = outcome.classify(answer.status, answer.comment, answer.offending)
                    self.why = self.why or f"the archive: {found.code}"

    def _begin(self, context: AcceptedContext, command: Command) -> Copying | None:
        wanted = self._left.get(command.affected_instance)
        if wanted is None or command.affected_class != context.abstract_syntax:
            return None
        try:
            return self._fetching.files.begin(
                command.affected_class, command.affected_instance, context.transfer_syntax
            )
        except Exception as error:
            self.why = self.why or f"fetching: {getattr(error, 'code', '') or type(error).__name__}"
            return None

    def _kept(self, found: object) -> None:
        assert isinstance(found, Fetched)
        if self._left.pop(found.sop_instance, None) is not None:
            self._found.put(found)


def elsewhere(
    catalog: Catalog,
    level: Level,
    keys: Mapping[Level, Sequence[str]],
    restriction: Condition,
    *,
    covered_only: bool,
) -> dict[Level, Sequence[str]]:
    """As much of a request's unique keys as the catalog does not know: what the archive is asked for; {}: nothing.

    What stands below a study needs its study's UID, and an image its series'. Of a patient everything is asked.
    """
    if level is Level.PATIENT:
        return {} if covered_only else dict(keys)
    above = [one for one in (Level.STUDY, Level.SERIES) if one < level]
    if any(len(keys.get(one, ())) != 1 for one in above):
        return {}
    higher = {place: keys[place][0] for place in above}
    study, series = higher.get(Level.STUDY, ""), higher.get(Level.SERIES, "")

    def place(uid: str) -> Place:
        if level is Level.STUDY:
            return Place(study=uid)
        return (
            Place(study=study, series=uid) if level is Level.SERIES else Place(study=study, series=series, instance=uid)
        )

    uids = keys[level]
    asked = unknown(catalog, level, [place(uid) for uid in uids], restriction, covered_only=covered_only)
    left = [uid for uid, new in zip(uids, asked, strict=True) if new]
    return {**{one: keys[one] for one in above}, level: left} if left else {}


def listed(
    fetching: Fetching,
    catalog: Catalog,
    level: Level,
    asks: Mapping[Level, Sequence[str]],
    restriction: Condition,
    *,
    covered_only: bool,
) -> list[Wanted]:
    """What the archive has of that and the catalog does not know, nor hides; raises NotListedError."""
    if not asks:
        return []
    found = fetching.list(level, asks)
    places = [Place(study=one.study, series=one.series, instance=one.sop_instance) for one in found]
    shown = unknown(catalog, Level.IMAGE, places, restriction, covered_only=covered_only)
    return [one for one, new in zip(found, shown, strict=True) if new]


def _groups(wanted: Sequence[Wanted]) -> list[list[Wanted]]:
    """What goes over one association each: so many SOP classes that each has a context for some compressed syntaxes."""
    room = _CONTEXTS // (1 + len(_SYNTAXES))
    classes = sorted({one.sop_class for one in wanted if one.sop_class})
    groups = [
        [one for one in wanted if one.sop_class in set(classes[start : start + room])]
        for start in range(0, len(classes), room)
    ]
    unnamed = [one for one in wanted if not one.sop_class]
    return groups + ([unnamed] if unnamed else [])


def _contexts(classes: set[str]) -> list[tuple[str, tuple[str, ...]]]:
    """A context for the plain syntaxes of each class, then one for each compressed syntax that there is room for."""
    named = sorted(classes - {""}) or sorted(STORAGE_CLASSES)[:_CONTEXTS]
    contexts: list[tuple[str, tuple[str, ...]]] = [(one, _PLAIN) for one in named]
    for syntax in _SYNTAXES:
        if len(contexts) + len(named) <= _CONTEXTS:
            contexts += [(one, (syntax,)) for one in named]
    return contexts


# -- listing ----------------------------------------------------------------------------------------------------------


def _list(association: RequestorAssociation, level: Level, keys: Mapping[Level, Sequence[str]]) -> Iterator[Wanted]:
    """IMAGE by IMAGE (PS3.4 C.4.1.2.1 wants the higher keys, one value each)."""
    studies = list(keys.get(Level.STUDY, ()))
    if level is Level.PATIENT:
        studies = [one[STUDY_UID] for one in _find(association, "STUDY", PatientID=keys[Level.PATIENT][0])]
    number = 0
    for study in studies:
        series = list(keys.get(Level.SERIES, ())) if level >= Level.SERIES else []
        if not series:
            series = [one[SERIES_UID] for one in _find(association, "SERIES", StudyInstanceUID=study)]
        for each in series:
            images = list(keys.get(Level.IMAGE, ())) if level is Level.IMAGE else ""
            for one in _find(
                association, "IMAGE", StudyInstanceUID=study, SeriesInstanceUID=each, SOPInstanceUID=images
            ):
                number += 1
                if number > MOST_INSTANCES:
                    raise NotListedError("too many instances")
                yield Wanted(
                    study=study, series=each, sop_instance=one[INSTANCE_UID], sop_class=one.get(_SOP_CLASS, "")
                )


_UNIQUE = {"STUDY": STUDY_UID, "SERIES": SERIES_UID, "IMAGE": INSTANCE_UID}


def _find(association: RequestorAssociation, level: str, **given: Any) -> list[dict[int, str]]:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    asked.StudyInstanceUID = asked.PatientID = ""
    if level != "STUDY":
        asked.SeriesInstanceUID = ""
    if level == "IMAGE":
        asked.SOPInstanceUID = asked.SOPClassUID = ""
    for keyword, value in given.items():
        setattr(asked, keyword, value)
    context = association.context_for(STUDY_ROOT_FIND)
    found = []
    until = monotonic() + association.timers.response
    for answer in association.find(context, encoded(asked, context.transfer_syntax)):
        if statuses.is_pending(answer.status):
            one = _uids(answer.data_set or b"", context.transfer_syntax)
            if one.get(_UNIQUE[level]):
                found.append(one)
            if len(found) > MOST_INSTANCES or monotonic() > until:
                raise NotListedError("too much, or too slow")
        elif answer.status != statuses.SUCCESS:
            raise NotListedError(outcome.classify(answer.status, answer.comment, answer.offending).code)
    return found


def _uids(data_set: bytes, transfer_syntax: str) -> dict[int, str]:
    try:
        elements = read_elements(data_set, transfer_syntax)
    except ElementError:
        return {}
    return {
        tag: value.decode("ascii", "replace").strip("\0 ")
        for tag in (*_UNIQUE.values(), _SOP_CLASS)
        if isinstance(value := elements.get(tag, ("", b""))[1], bytes)
    }
