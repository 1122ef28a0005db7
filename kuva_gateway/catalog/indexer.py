"""The indexer: arrivals become instances and rows, in batches, repeatable after a crash at any point.

For each batch: the bytes get their place in ``instances/`` (a link; there already is fine), one transaction writes the
rows, the arrivals' names are removed. A crash between any two of these leaves arrivals that are indexed again, with the
same end. With the database away everything stays in ``arrived/``, and receiving knows nothing of it. Only this thread
makes or removes names in ``instances/``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from time import monotonic
from types import MappingProxyType
from typing import BinaryIO

from kuva_gateway.catalog.arrivals import Arrivals, Notice
from kuva_gateway.catalog.batch import Item, write_batch
from kuva_gateway.catalog.database import Catalog, is_about_values
from kuva_gateway.catalog.duplicates import Policy
from kuva_gateway.catalog.rejections import Rejecters
from kuva_gateway.catalog.remover import Remover
from kuva_gateway.catalog.session import microseconds, moment
from kuva_gateway.dicom.header import Header, HeaderError
from kuva_gateway.dicom.key_objects import Note, read_note, title_of_note
from kuva_gateway.dicom.part10 import read_meta
from kuva_gateway.dicom.scanner import scan_stream
from kuva_gateway.errors import DamageError, GatewayError
from kuva_gateway.spool.receipt import Arrival, Receipt
from kuva_gateway.spool.spool import Spool

BATCH = 256
"""Arrivals per transaction at most."""
CAPACITY = 4096
"""Notices (each with a header of about 2 KiB) that are kept in memory at most."""
FIRST_PAUSE = 0.1  # seconds
LONGEST_PAUSE = 5.0  # seconds
LOOK_EVERY = 15.0
"""Seconds after which an idle indexer looks into ``arrived/``: a disk that failed and was mounted again may show names
there that had gone."""
LINGER = 0.05
"""Seconds that the first arrival waits for others, so that a transaction and its fsync serve many; whoever waits
for the indexer (:meth:`Indexer.wait_passed`, :meth:`Indexer.drain`) ends the wait at once."""


class Indexer:
    """Takes arrivals from the spool into the catalog.

    Parameters
    ----------
    duplicates
        ``newest`` or ``first``: which of several objects with one SOP Instance UID counts before delivery.
    rejecters
        The peers whose rejection notes count, and whether these are forwarded.
    on_rejections
        Called after a batch with rejection notes, on the indexer's thread.
    on_indexed
        Called after each batch, on the indexer's thread, with the Study Instance UIDs whose instances changed.
    on_problem
        Called with a rule id (QUA-01), ``catalog``, ``spool`` or ``removal``, and a sentence without patient data.
    beat
        Called whenever the indexer's loop goes round: at least every ``look_every`` seconds and before each batch.
    """

    def __init__(
        self,
        catalog: Catalog,
        spool: Spool,
        *,
        duplicates: Policy = "newest",
        rejecters: Rejecters = MappingProxyType({}),
        on_rejections: Callable[[], None] = lambda: None,
        on_indexed: Callable[[frozenset[str]], None] = lambda uids: None,
        on_problem: Callable[[str, str], None] = lambda rule, text: None,
        beat: Callable[[], object] = lambda: None,
        capacity: int = CAPACITY,
        batch: int = BATCH,
        linger: float = LINGER,
        look_every: float = LOOK_EVERY,
    ) -> None:
        self._catalog = catalog
        self._spool = spool
        self._duplicates = duplicates
        self._rejecters = rejecters
        self._on_rejections = on_rejections
        self._on_indexed = on_indexed
        self._on_problem = on_problem
        self._beat = beat
        self._batch = batch
        self._arrivals = Arrivals(capacity)
        self._linger = linger
        self._look_every = look_every
        self._look_at = monotonic() + look_every
        lock = threading.Lock()
        self._changed = threading.Condition(lock)  # for those who wait for the indexer
        self._work = threading.Condition(lock)  # for the indexer, which waits for work
        self._waiters = 0  # while there are any, nothing lingers
        self._indexing = threading.Lock()
        self._aside: set[Receipt] = set()
        self._remover = Remover(catalog, spool)
        self._removals = False  # files may wait for removal
        self._left = 0  # of the last batch, how many are not indexed
        self._stopping = False
        self._thread: threading.Thread | None = None

    # -- from outside ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, which first indexes what is in ``arrived/``."""
        with self._changed:
            self._arrivals.expect_backlog()
            self._removals = True
        self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)
        self._thread.start()

    def follow(self, *, duplicates: Policy, rejecters: Rejecters) -> None:
        """Judge batches to come by these."""
        self._duplicates, self._rejecters = duplicates, rejecters

    def notify(self, arrival: Arrival, header: Header | None) -> None:
        """An arrival is on stable storage. Never blocks on the database; called before its acknowledgement goes out."""
        with self._changed:
            self._arrivals.add(Notice(arrival, header))
            known = self._arrivals.waiting
            if known <= 1 or known == self._batch or self._arrivals.backlog:  # else it is awake, or will be
                self._work.notify_all()

    def rescan(self) -> None:
        """Look into ``arrived/``: somebody else put files there."""
        with self._changed:
            self._arrivals.expect_backlog()
            self._work.notify_all()

    def remove(self) -> None:
        """Somebody asked for the removal of files: begin with it soon."""
        with self._changed:
            self._removals = True
            self._work.notify_all()

    def passed(self, until: datetime) -> bool:
        """True when everything acknowledged before ``until`` has been indexed."""
        with self._changed:
            return self._arrivals.passed(microseconds(until) * 1000)

    def wait_passed(self, timeout: float, until: datetime | None = None) -> bool:
        """Wait until :meth:`passed` is true for ``until`` (None: this moment), at most ``timeout`` seconds."""
        until_ns = microseconds(until if until is not None else datetime.now(UTC)) * 1000
        return self._wait(lambda: self._arrivals.passed(until_ns), timeout)

    @property
    def pending(self) -> int:
        """Arrivals that are known and not yet indexed."""
        with self._changed:
            return len(self._arrivals)

    @property
    def waiting_since(self) -> datetime | None:
        """When the oldest of these was received; None without any. What only a listing will find is not known yet."""
        with self._changed:
            oldest = self._arrivals.oldest_ns
        return None if oldest is None else moment(oldest // 1000)

    @property
    def backlog(self) -> bool:
        """Whether ``arrived/`` holds, or may hold, more than is known."""
        with self._changed:
            return self._arrivals.behind

    def drain(self, timeout: float) -> bool:
        """Wait until everything known is indexed; False if time ran out (the rest stays in the spool)."""
        return self._wait(lambda: self._arrivals.idle, timeout)

    def _wait(self, reached: Callable[[], bool], timeout: float) -> bool:
        with self._changed:
            self._waiters += 1
            self._work.notify_all()
            try:
                return self._changed.wait_for(reached, timeout)
            finally:
                self._waiters -= 1

    def stop(self) -> None:
        """End the thread after the batch in hand; what waits is in the spool."""
        with self._changed:
            self._stopping = True
            self._work.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def index_batch(self, arrivals: Iterable[Arrival]) -> frozenset[str]:
        """Index these arrivals now, on the caller's thread; returns the studies touched.

        Raises
        ------
        CatalogUnavailableError
            The database is away; the arrivals that are not indexed stay where they are.
        """
        touched: frozenset[str] = frozenset()
        rest = iter(arrivals)
        while chunk := [Notice(arrival, None) for arrival in islice(rest, self._batch)]:
            touched |= self._index(chunk)
        return touched

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping:
            self._beat()
            try:
                self._next()
                pause = FIRST_PAUSE
            except Exception as error:
                self._on_problem("spool" if isinstance(error, OSError) else "catalog", _words(error))
                with self._work:
                    self._work.wait_for(lambda: self._stopping, pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _next(self) -> None:
        """Index the oldest notices, or what a listing finds; wait when there is neither."""
        with self._work:
            rest = max(0.0, self._look_at - monotonic())
            if not self._work.wait_for(self._wanted, rest):
                self._arrivals.expect_backlog()
                self._removals = True
            if len(self._arrivals) and not self._arrivals.backlog:
                self._work.wait_for(self._enough, self._linger)
            if self._stopping:
                return
            batch = self._arrivals.take(self._batch)
            backlog, removals, self._removals = self._arrivals.backlog, self._removals, False
        if batch:
            self._index_in_hand(batch)
        elif backlog:
            self._index_backlog()
        if removals:
            self._remove_some()

    def _wanted(self) -> bool:
        """There is something to do."""
        return bool(self._stopping or len(self._arrivals) or self._arrivals.backlog or self._removals)

    def _index_in_hand(self, batch: Sequence[Notice]) -> None:
        try:
            self._index(batch)
        except OSError:
            with self._changed:
                self._arrivals.leave_to_listing(self._left)
            raise
        except BaseException:
            with self._changed:
                self._arrivals.put_back()
            raise
        with self._changed:
            self._arrivals.done()
            self._changed.notify_all()

    def _enough(self) -> bool:
        """Nothing is won by waiting for more."""
        full = self._arrivals.waiting >= self._batch or self._arrivals.backlog
        return bool(full or self._waiters or self._stopping)

    def _index_backlog(self) -> None:
        """Index what a listing finds; a file that the file system does not give now is left to the next listing."""
        complete, left = False, 0
        trouble: OSError | None = None
        self._look_at = monotonic() + self._look_every
        with self._changed:
            self._arrivals.begin_listing()
        try:
            found = (arrival for arrival in self._spool.arrivals() if arrival.receipt not in self._aside)
            while not self._stopping and (chunk := [Notice(arrival, None) for arrival in islice(found, self._batch)]):
                self._beat()
                try:
                    self._index(chunk)
                except OSError as error:
                    trouble = trouble or error
                    left += self._left
            if trouble is not None:
                raise trouble
            complete = not self._stopping
        finally:
            with self._changed:
                self._arrivals.end_listing(complete=complete, left=left)
                self._changed.notify_all()

    # -- removal --------------------------------------------------------------------------------------------------

    def remove_all(self) -> int:
        """Remove every file that is to be removed, now, on the caller's thread; returns how many.

        Raises
        ------
        CatalogUnavailableError, OSError
            What is left waits for another time.
        """
        with self._indexing:
            return self._remover.remove_all()

    def _remove_some(self) -> None:
        """One helping; what fails is tried again when the indexer next looks around, and delays no arrival."""
        try:
            with self._indexing:
                more = self._remover.remove_some()
        except Exception as error:
            self._on_problem("removal", _words(error))
            return
        if more:
            self.remove()

    # -- one batch ----------------------------------------------------------------------------------------------------

    def _index(self, notices: Sequence[Notice]) -> frozenset[str]:
        """Index all that the file system gives; raises its first OSError once the others are indexed."""
        items: list[Item] = []
        trouble: OSError | None = None
        with self._indexing:
            self._left, unread = len(notices), 0
            with self._spool.held():
                for notice in notices:
                    try:
                        item = self._adopt(notice)
                    except OSError as error:
                        trouble = trouble or error
                        unread += 1
                    else:
                        items += [item] if item is not None else []
                if items:
                    self._spool.settle()
                touched = self._write(items)
            self._left = unread
        if touched:
            self._on_indexed(touched)
        if trouble is not None:
            raise trouble
        return touched

    def _adopt(self, notice: Notice) -> Item | None:
        """Read the header, then give the bytes their place. None: nothing is left to index, or it is quarantined."""
        arrival = notice.arrival
        try:
            header = notice.header if notice.header is not None else self._read_header(arrival)
            self._spool.adopt(arrival)
        except FileNotFoundError:
            return None  # indexed before, or quarantined: a name in arrived/ goes for no other reason
        except HeaderError as error:
            self._spool.quarantine(arrival.path, f"QUA-01: {error}")
            self._on_problem("QUA-01", f"receipt {arrival.receipt} cannot be understood and is in corrupt/: {error}")
            return None
        except DamageError as error:
            self._on_problem("QUA-01", f"receipt {arrival.receipt} is damaged and is in corrupt/: {error}")
            return None
        return Item(arrival, header, note_of(self._spool, arrival.digest, header))

    def _read_header(self, arrival: Arrival) -> Header:
        with self._spool.files.open_read(arrival.path) as stream:
            return read_header(stream, arrival.size)

    def _write(self, items: Sequence[Item]) -> frozenset[str]:
        """Write rows, then remove the arrivals' names.

        A batch with values that the database will not have is written one by one; what it will not have alone stays in
        ``arrived/`` until the next start, with an alarm. Nothing is put aside for any other error: that is no fault of
        the arrival's, and would be the next one's too.
        """
        if not items:
            return frozenset()
        try:
            with self._catalog.write() as session:
                touched = write_batch(session, items, duplicates=self._duplicates, rejecters=self._rejecters)
        except Exception as error:
            if not is_about_values(error):
                raise
            if len(items) > 1:
                return frozenset().union(*(self._write([item]) for item in items))
            receipt = items[0].arrival.receipt
            self._aside.add(receipt)
            why = f"{type(error).__name__} in writing its rows"
            self._on_problem("QUA-01", f"receipt {receipt} stays in arrived/ until the next start: {why}")
            return frozenset()
        for item in items:
            self._spool.forget(item.arrival)
        if any(item.note is not None for item in items):
            self._on_rejections()
        return touched


def read_header(stream: BinaryIO, size: int) -> Header:
    """The header of a Part 10 file of ``size`` bytes.

    Raises
    ------
    HeaderError
        The file cannot be understood, or does not say what study, series and object it is.
    """
    meta = read_meta(stream)
    header = scan_stream(stream, meta.dataset_offset, size - meta.dataset_offset, meta.transfer_syntax)
    if not (header.study_instance_uid and header.series_instance_uid and header.sop_instance_uid):
        raise HeaderError("the data set names no study, no series or no object")
    return header


def note_of(spool: Spool, digest: str, header: Header) -> Note | None:
    """What a stored instance rejects, if it is a rejection note; one whose references cannot be read has none."""
    code = title_of_note(header)
    if code is None:
        return None
    try:
        with spool.open_instance(digest) as stream:
            return read_note(stream, spool.files.size(spool.instance_path(digest)), code)
    except HeaderError:
        return Note(code=code, references=())


def _words(error: Exception) -> str:
    """The error without file names and without what a row may hold: of one that nobody foresaw, only its type."""
    if isinstance(error, OSError):
        return error.strerror or "failed"
    return str(error) if isinstance(error, GatewayError) else f"an unforeseen {type(error).__name__}"
