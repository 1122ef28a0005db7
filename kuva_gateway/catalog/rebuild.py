"""The index brought into line with the spool, or made again from it.

Promises that a person's decision and a delivery are never forgotten silently: a catalog that can be read keeps all it
knows, one that has to be made anew gets it back from the journal, and what the journal cannot tell is held (QUA-03)
until somebody says that it may go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType

from kuva_gateway.catalog.batch import Item, write_batch
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.doubts import doubt_all
from kuva_gateway.catalog.duplicates import Policy
from kuva_gateway.catalog.indexer import BATCH, Indexer, note_of, read_header
from kuva_gateway.catalog.instances import digests
from kuva_gateway.catalog.putting_back import hold_unknown, put_back
from kuva_gateway.catalog.recalled import Recalled, Sent
from kuva_gateway.catalog.records import RebuildSummary
from kuva_gateway.catalog.rejections import Rejecters
from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.errors import CatalogUnavailableError, DamageError, StateError
from kuva_gateway.spool.receipt import Arrival
from kuva_gateway.spool.spool import Spool


def rebuild(
    url: str | None,
    path: Path,
    spool: Spool,
    recalled: Recalled,
    *,
    duplicates: Policy = "newest",
    rejecters: Rejecters = MappingProxyType({}),
    progress: Callable[[int], None] | None = None,
) -> RebuildSummary:
    """A new catalog at ``path`` (or ``url``), filled from ``instances/``, from the journal, and then from ``arrived/``.

    What the journal does not know is lost: of an instance without a receipt the peer is "" and the time that of its
    file, and its study bears the finding QUA-03; so does every study that is not decided where the journal is not
    whole. Codes and documents are stored again by the caller. Of several objects with one SOP Instance UID the policy
    chooses by those times, unless the journal knows.

    Raises
    ------
    StateError
        The catalog holds studies already.
    """
    catalog = Catalog.open(url, path)
    try:
        with catalog.read() as session:
            if session.value("SELECT COUNT(*) FROM studies"):
                raise StateError("the catalog to be rebuilt is not empty")
        index = _Stored(catalog, spool, recalled, duplicates, rejecters, progress or (lambda done: None))
        index.run(frozenset())
        back = put_back(catalog, recalled)
        held = hold_unknown(catalog, trusted=recalled.trusted)
        doubt_all(catalog)
        with catalog.write() as session:
            session.execute("DELETE FROM to_journal")  # where all of it came from
        waiting = list(spool.arrivals())
        Indexer(catalog, spool, duplicates=duplicates, rejecters=rejecters).index_batch(waiting)
        with catalog.read() as session:
            studies = int(session.value("SELECT COUNT(*) FROM studies"))
    finally:
        catalog.close()
    return RebuildSummary(
        instances=index.stored,
        studies=studies,
        arrivals=len(waiting),
        bad=tuple(index.bad),
        decisions=back.decisions,
        held=held,
        gone=back.gone,
    )


def is_sound(catalog: Catalog) -> bool:
    """Whether the catalog holds studies and its database finds nothing wrong with itself."""
    try:
        with catalog.read() as session:
            if not catalog.postgresql and session.value("PRAGMA quick_check(1)") != "ok":
                return False
            return bool(session.value("SELECT COUNT(*) FROM studies"))
    except CatalogUnavailableError:
        return False


def complete(
    catalog: Catalog,
    spool: Spool,
    recalled: Recalled,
    *,
    duplicates: Policy = "newest",
    rejecters: Rejecters = MappingProxyType({}),
    progress: Callable[[int], None] | None = None,
) -> RebuildSummary:
    """Index what a sound catalog lacks of ``instances/``, and what waits in ``arrived/``; it forgets nothing."""
    known = frozenset(digests(catalog))
    index = _Stored(catalog, spool, recalled, duplicates, rejecters, progress or (lambda done: None))
    index.run(known)
    waiting = list(spool.arrivals())
    Indexer(catalog, spool, duplicates=duplicates, rejecters=rejecters).index_batch(waiting)
    with catalog.read() as session:
        studies = int(session.value("SELECT COUNT(*) FROM studies"))
    return RebuildSummary(
        instances=index.stored + len(known),
        studies=studies,
        arrivals=len(waiting),
        bad=(*index.bad, *_missing(known, spool)),
    )


def _missing(known: frozenset[str], spool: Spool) -> list[str]:
    return sorted(digest for digest in known if not spool.instance_path(digest).exists())


class _Stored:
    """Rows for what is in ``instances/``, in the order in which it came."""

    def __init__(
        self,
        catalog: Catalog,
        spool: Spool,
        recalled: Recalled,
        duplicates: Policy,
        rejecters: Rejecters,
        progress: Callable[[int], None],
    ) -> None:
        self.bad: list[str] = []
        self.stored = 0
        self._catalog = catalog
        self._spool = spool
        self._recalled = recalled
        self._duplicates: Policy = duplicates
        self._rejecters = rejecters
        self._progress = progress

    def run(self, known: frozenset[str]) -> None:
        """Everything but the ``known``: a receipt after another where the journal has them, else the oldest first."""
        found = (
            (self._spool.instance_path(digest).stat().st_mtime_ns, digest)
            for digest in self._spool.instances()
            if digest not in known
        )
        for has_receipts, same in groupby(self._recalled.sent(found), key=attrgetter("known")):
            while chunk := list(islice(same, BATCH)):
                self._write(chunk, receipts=has_receipts)

    def _write(self, chunk: Sequence[Sent], *, receipts: bool) -> None:
        items = []
        for sent in chunk:
            try:
                items.append(_item(self._spool, sent))
            except (HeaderError, DamageError, OSError):
                if sent.digest not in self.bad:
                    self.bad.append(sent.digest)
        with self._catalog.write() as session:
            write_batch(session, items, duplicates=self._duplicates, rejecters=self._rejecters, receipts=receipts)
        self.stored += len({item.arrival.digest for item in items})
        self._progress(self.stored + len(self.bad))


def _item(spool: Spool, sent: Sent) -> Item:
    """One stored file as if it had just arrived."""
    path = spool.instance_path(sent.digest)
    size = path.stat().st_size
    with spool.open_instance(sent.digest) as stream:
        header = read_header(stream, size)
    return Item(
        Arrival(receipt=sent.receipt, peer=sent.peer, digest=sent.digest, path=path, size=size),
        header,
        note_of(spool, sent.digest, header),
    )
