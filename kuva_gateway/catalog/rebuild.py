"""The index brought into line with the spool, or made again from it.

Promises that a person's decision and a delivery are never forgotten silently: a catalog that can be read keeps all it
knows, and every study of one that had to be made anew is held (QUA-03) until somebody says that it may go.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from kuva_gateway.catalog.batch import Item, write_batch
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.duplicates import Policy
from kuva_gateway.catalog.indexer import BATCH, Indexer, note_of, read_header
from kuva_gateway.catalog.instances import digests
from kuva_gateway.catalog.records import RebuildSummary
from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.errors import CatalogUnavailableError, DamageError, StateError
from kuva_gateway.spool.receipt import Arrival, Receipt
from kuva_gateway.spool.spool import Spool


def rebuild(
    url: str | None,
    path: Path,
    spool: Spool,
    *,
    duplicates: Policy = "newest",
    progress: Callable[[int], None] | None = None,
) -> RebuildSummary:
    """A new catalog at ``path`` (or ``url``), filled from ``instances/`` and then from ``arrived/``.

    What only the catalog knew is lost: receipts, peers (which are "" now), people's decisions, deliveries; so every
    study that is found bears the finding QUA-03. The time of an instance's receipt is the time of its file. Codes and
    documents are stored again by the caller. Of several objects with one SOP Instance UID the policy chooses by those
    times.

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
        stored, bad = _index_instances(catalog, spool, duplicates, progress or (lambda done: None))
        with catalog.write() as session:
            session.execute(
                "INSERT INTO observed_findings (study_id, rule, sop_instance_uid, other_uid, severity, place, at) "
                "SELECT id, 'QUA-03', '', '', 'hold', 'study', CAST(? AS BIGINT) FROM studies",
                session.at,
            )
        waiting = list(spool.arrivals())
        Indexer(catalog, spool, duplicates=duplicates).index_batch(waiting)
        with catalog.read() as session:
            studies = int(session.value("SELECT COUNT(*) FROM studies"))
    finally:
        catalog.close()
    return RebuildSummary(instances=stored, studies=studies, arrivals=len(waiting), bad=tuple(bad))


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
    catalog: Catalog, spool: Spool, *, duplicates: Policy = "newest", progress: Callable[[int], None] | None = None
) -> RebuildSummary:
    """Index what a sound catalog lacks of ``instances/``, and what waits in ``arrived/``; it forgets nothing."""
    known = frozenset(digests(catalog))
    stored, bad = _index_instances(catalog, spool, duplicates, progress or (lambda done: None), known)
    waiting = list(spool.arrivals())
    Indexer(catalog, spool, duplicates=duplicates).index_batch(waiting)
    with catalog.read() as session:
        studies = int(session.value("SELECT COUNT(*) FROM studies"))
    return RebuildSummary(
        instances=stored + len(known), studies=studies, arrivals=len(waiting), bad=(*bad, *_missing(known, spool))
    )


def _missing(known: frozenset[str], spool: Spool) -> list[str]:
    return sorted(digest for digest in known if not spool.instance_path(digest).exists())


def _index_instances(
    catalog: Catalog,
    spool: Spool,
    duplicates: Policy,
    progress: Callable[[int], None],
    known: frozenset[str] = frozenset(),
) -> tuple[int, list[str]]:
    """Rows for everything in ``instances/`` but the ``known``, the oldest file first.

    Returns how many, and what cannot be read.
    """
    found = sorted(
        (spool.instance_path(digest).stat().st_mtime_ns, digest) for digest in spool.instances() if digest not in known
    )
    rest = iter(enumerate(found))
    stored, bad = 0, []
    while chunk := list(islice(rest, BATCH)):
        items = []
        for number, (time_ns, digest) in chunk:
            try:
                items.append(_item(spool, digest, Receipt(time_ns=time_ns, association=0, number=number)))
            except (HeaderError, DamageError, OSError):
                bad.append(digest)
        with catalog.write() as session:
            write_batch(session, items, duplicates=duplicates, receipts=False)
        stored += len(items)
        progress(stored + len(bad))
    return stored, bad


def _item(spool: Spool, digest: str, receipt: Receipt) -> Item:
    """One stored file as if it had just arrived."""
    path = spool.instance_path(digest)
    size = path.stat().st_size
    with spool.open_instance(digest) as stream:
        header = read_header(stream, size)
    return Item(
        Arrival(receipt=receipt, peer="", digest=digest, path=path, size=size), header, note_of(spool, digest, header)
    )
