"""What a C-MOVE or C-GET asks for and only the archive has: fetched by C-GET or C-MOVE, handed on as it comes.

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
from kuva_gateway.dicom import statuses, syntaxes
from kuva_gateway.dicom.information_model import STUDY_ROOT_GET, STUDY_ROOT_MOVE, Level
from kuva_gateway.dicom.sop_classes import STORAGE_CLASSES
from kuva_gateway.forward import outcome
from kuva_gateway.forward.call import Call, judge_call
from kuva_gateway.forward.references import encoded
from kuva_gateway.network.commands import Command
from kuva_gateway.network.errors import AssociationRejected, NetworkError, NoContext
from kuva_gateway.network.getting import get, move
from kuva_gateway.network.records import AcceptedContext, FindAnswer, Role
from kuva_gateway.network.requestor import RequestorAssociation
from kuva_gateway.scp.listing import Listing
from kuva_gateway.scp.upstream_rest import UpstreamRest
from kuva_gateway.spool.awaited import Wanted
from kuva_gateway.spool.fetched import GRACE, Copying, Fetched, FetchedFiles

AT_ONCE = 4
"""Fetches of one process that talk to the archive at a time; further ones wait."""
TOGETHER = 500
"""SOP Instance UIDs of one C-GET or C-MOVE at most."""
WAIT = 0.5
"""Seconds after which :meth:`Fetch.instances` says that nothing has come yet."""
LOOK_EVERY = 0.05
"""Seconds between looks for what an archive still sends after its last word on a C-MOVE."""

_PLAIN = (syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE)
_COMPRESSED = tuple(f"1.2.840.10008.1.2.4.{one}" for one in ("70", "90", "80", "50", "91", "51", "81", "57"))
_SYNTAXES = (*_COMPRESSED[:3], syntaxes.RLE_LOSSLESS, *_COMPRESSED[3:])
_CONTEXTS = 127  # beside the one for C-GET itself


class RestingError(Exception):
    """The archive is left alone for a while."""


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
    rest
        Whether the archive is left alone; None: it never is.
    destination
        Our own AE title to which the archive sends by C-MOVE (``query.fetch_ae_title``); None: it is asked by C-GET.
    """

    def __init__(
        self,
        query: Call,
        call: Call,
        files: FetchedFiles,
        rest: UpstreamRest | None = None,
        *,
        seconds: float,
        destination: str | None = None,
    ) -> None:
        self.called_ae = call.called_ae
        self.files = files
        self.query = query
        self.call = call
        self.seconds = seconds
        self.destination = destination
        self.rest = rest
        self.slots = threading.BoundedSemaphore(AT_ONCE)

    def list(self, level: Level, keys: Mapping[Level, Sequence[str]]) -> Listing:
        """Begin to ask which instances the archive has of what unique keys name."""
        by_get = self.destination is None  # who is asked by C-MOVE proposes the SOP classes itself
        return Listing(self.query, level, keys, self.seconds, self.rest, classes=by_get)

    def associate(
        self, contexts: Sequence[tuple[str, tuple[str, ...]]], roles: Mapping[str, Role] | None = None
    ) -> RequestorAssociation:
        """An association for fetching; raises NetworkError, and RestingError while the archive is left alone."""
        rest = self.rest
        if rest is None:
            return self.call.associate(contexts, roles=roles)
        if why := rest.refusal():
            raise RestingError(why)
        began = rest.began()
        try:
            association = self.call.associate(contexts, roles=roles)
        except NetworkError as error:
            if not isinstance(error, AssociationRejected):
                rest.failed(judge_call(error).code, began)
            raise
        rest.answered()
        return association

    def fetch(self, wanted: Sequence[Wanted]) -> Fetch:
        """Begin to fetch."""
        return Fetch(self, wanted)


class Fetch:
    """One fetch; begins at once."""

    def __init__(self, fetching: Fetching, wanted: Sequence[Wanted]) -> None:
        self.why = ""
        """Why something could not be fetched."""
        self._fetching = fetching
        self._left = {one.sop_instance: one for one in wanted}
        self.total = len(self._left)
        self._stopped = threading.Event()
        self._over = threading.Event()
        self._found: queue.SimpleQueue[Fetched | None] = queue.SimpleQueue()  # None: that was all
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
            try:
                found = self._found.get(timeout=WAIT)
            except queue.Empty:
                yield None
                continue
            if found is None:
                return
            yield found

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
        by_move = self._fetching.destination is not None
        try:
            self._take_kept(list(self._left))
            while self._left and not self._stopped.is_set():
                if self._fetching.slots.acquire(timeout=WAIT):
                    try:
                        self._take_kept(list(self._left))  # somebody else may have fetched it while we waited
                        (self._by_move if by_move else self._by_get)()
                    finally:
                        self._fetching.slots.release()
                    break
        except NoContext:
            self.why = f"the archive offers no {'C-MOVE' if by_move else 'C-GET'}"
        except RestingError as error:
            self.why = f"the archive: {error}"
        except NetworkError as error:
            self.why = f"the archive: {judge_call(error).code}"
        except Exception as error:
            self.why = self.why or f"fetching failed: {type(error).__name__}"
        finally:
            self._over.set()
            self._found.put(None)

    def _take_kept(self, uids: Sequence[str], *, at_least: float = 0.0) -> int:
        """Hand out what is in the folder; returns how many are still to come."""
        for uid in uids:
            if uid in self._left and (found := self._fetching.files.find(uid, at_least=at_least)) is not None:
                self._kept(found)
        return len(self._left)

    def _kept(self, found: object) -> None:
        assert isinstance(found, Fetched)
        if self._left.pop(found.sop_instance, None) is not None:
            self._found.put(found)

    def _requests(self, wanted: Sequence[Wanted]) -> Iterator[tuple[Dataset, list[Wanted]]]:
        """Identifiers at the level IMAGE, series after series (PS3.4 C.4.2.1.4.1), and what each asks for."""
        by_series: dict[tuple[str, str], list[Wanted]] = {}
        for one in wanted:
            by_series.setdefault((one.study, one.series), []).append(one)
        for (study, series), all_of_it in by_series.items():
            for start in range(0, len(all_of_it), TOGETHER):
                if self._stopped.is_set():
                    return
                part = all_of_it[start : start + TOGETHER]
                asked = Dataset()
                asked.QueryRetrieveLevel = "IMAGE"
                asked.StudyInstanceUID, asked.SeriesInstanceUID = study, series
                asked.SOPInstanceUID = [one.sop_instance for one in part]
                self._messages += 1
                yield asked, part

    @property
    def _message_id(self) -> int:
        return self._messages % 65_535 or 1

    def _judge(self, answer: FindAnswer) -> None:
        if answer.status != statuses.SUCCESS:
            found = outcome.classify(answer.status, answer.comment, answer.offending)
            self.why = self.why or f"the archive: {found.code}"

    # -- by C-GET ---------------------------------------------------------------------------------------------------

    def _by_get(self) -> None:
        for group in _groups(list(self._left.values())):
            if self._stopped.is_set():
                return
            proposed = _contexts({uid for one in group for uid in ((one.sop_class,) if one.sop_class else one.may_be)})
            roles = {one: Role(scu=False, scp=True) for one, _ in proposed}
            with self._fetching.associate([(STUDY_ROOT_GET, _PLAIN), *proposed], roles) as association:
                self._association = association
                context = association.context_for(STUDY_ROOT_GET)
                for asked, _ in self._requests(group):
                    answer = get(
                        association,
                        context,
                        encoded(asked, context.transfer_syntax),
                        message_id=self._message_id,
                        begin=self._begin,
                        kept=self._kept,
                        enough=self._stopped.is_set,
                    )
                    self._judge(answer)

    def _begin(self, context: AcceptedContext, command: Command) -> Copying | None:
        wanted = self._left.get(command.affected_instance)
        if wanted is None or command.affected_class != context.abstract_syntax:
            return None
        try:
            return self._fetching.files.begin(wanted, command.affected_class, context.transfer_syntax)
        except Exception as error:
            self.why = self.why or f"fetching: {getattr(error, 'code', '') or type(error).__name__}"
            raise

    # -- by C-MOVE --------------------------------------------------------------------------------------------------

    def _by_move(self) -> None:
        """Whichever process the archive reaches keeps what it sends (scp.fetched_store); here it is seen."""
        fetching = self._fetching
        with fetching.associate([(STUDY_ROOT_MOVE, _PLAIN)]) as association:
            self._association = association
            context = association.context_for(STUDY_ROOT_MOVE)
            for asked, part in self._requests(list(self._left.values())):
                uids = [one.sop_instance for one in part]
                with fetching.files.awaited.announce(part):
                    answer = move(
                        association,
                        context,
                        encoded(asked, context.transfer_syntax),
                        message_id=self._message_id,
                        destination=fetching.destination or "",
                        progress=lambda uids=uids: self._take_kept(uids, at_least=GRACE),  # type: ignore[misc]
                        enough=self._stopped.is_set,
                    )
                    self._judge(answer)
                    self._take_late(uids, wait=answer.status == statuses.SUCCESS)

    def _take_late(self, uids: Sequence[str], *, wait: bool) -> None:
        """What is still on its way after the last word: some archives say it before they have sent anything."""
        left, since = self._take_kept(uids, at_least=GRACE), monotonic()
        while wait and any(uid in self._left for uid in uids) and monotonic() - since < self._fetching.seconds:
            if self._stopped.wait(LOOK_EVERY):
                return
            if (now := self._take_kept(uids, at_least=GRACE)) != left:
                left, since = now, monotonic()


def _groups(wanted: Sequence[Wanted]) -> list[list[Wanted]]:
    """What goes over one association each: so many SOP classes that each has a context for some compressed syntaxes."""
    room = _CONTEXTS // (1 + len(_SYNTAXES))
    classes = sorted({one.sop_class for one in wanted if one.sop_class})
    groups = [
        [one for one in wanted if one.sop_class in set(classes[start : start + room])]
        for start in range(0, len(classes), room)
    ]
    unnamed: dict[tuple[str, ...], list[Wanted]] = {}
    for one in wanted:
        if not one.sop_class:
            unnamed.setdefault(one.may_be, []).append(one)
    return groups + list(unnamed.values())


def _contexts(classes: set[str]) -> list[tuple[str, tuple[str, ...]]]:
    """A context for the plain syntaxes of each class, then one for each compressed syntax that there is room for."""
    named = sorted(classes)[:_CONTEXTS] or sorted(STORAGE_CLASSES)[:_CONTEXTS]
    contexts: list[tuple[str, tuple[str, ...]]] = [(one, _PLAIN) for one in named]
    for syntax in _SYNTAXES:
        if len(contexts) + len(named) <= _CONTEXTS:
            contexts += [(one, (syntax,)) for one in named]
    return contexts
