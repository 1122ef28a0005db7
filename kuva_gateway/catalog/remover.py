"""The hand that removes stored files, for the indexer's thread (or a command in its place) alone.

For each helping: names go from ``instances/`` to ``removing/``, the files there are removed, and their rows are marked.
A process that ends between any two steps leaves files that are still asked for, and are removed by the next start.
"""

from __future__ import annotations

from typing import Final

from kuva_gateway.catalog import removal
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.dicom.part10 import read_meta
from kuva_gateway.spool.spool import Spool

HELPING: Final = 64
"""Files that are removed between two batches of arrivals at most, so that none of these waits long."""


class Remover:
    """Removes from ``spool`` what ``catalog`` wants removed."""

    def __init__(self, catalog: Catalog, spool: Spool) -> None:
        self._catalog = catalog
        self._spool = spool

    def remove_some(self) -> bool:
        """Remove one helping; returns whether there may be more.

        Raises
        ------
        CatalogUnavailableError, OSError
            Nothing is lost by trying again.
        """
        if self._remove(removal.pending(self._catalog, HELPING)) == HELPING:
            return True
        self._settle_retired()
        return False

    def remove_all(self) -> int:
        """Remove everything; returns how many files. Raises as :meth:`remove_some`."""
        removed = 0
        while found := self._remove(removal.pending(self._catalog, HELPING)):
            removed += found
        self._settle_retired()
        return removed

    def _remove(self, wanted: list[removal.Removal]) -> int:
        if wanted:
            with self._spool.held():
                for one in wanted:
                    self._spool.retire(one.digest)
                for one in wanted:
                    self._spool.purge(one.digest)
                self._spool.settle()
            removal.mark_purged(self._catalog, [one.instance_id for one in wanted])
        return len(wanted)

    def _settle_retired(self) -> None:
        """What is in ``removing/`` with nobody asking for it (any more): purged before, or else it is kept.

        Bytes that came again while their removal was under way are in both folders; a file that no row knows (the
        catalog was restored or made again) goes back to ``instances/``, where a rebuild finds it.
        """
        for digest in self._spool.retired():
            with self._spool.files.open_read(self._spool.removing / digest) as stream:
                uid = read_meta(stream).sop_instance
            if removal.is_purged(self._catalog, digest, uid):
                self._spool.purge(digest)
            else:
                self._spool.restore(digest)
