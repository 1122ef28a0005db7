"""Rejection notes of our own on their way from the catalog, where a withdrawal wrote them, into the spool.

Promises that a note comes into the spool however often this is interrupted; the same bytes again are the same instance.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from kuva_gateway.catalog import withdrawal
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.key_objects import KEY_OBJECT_SELECTION
from kuva_gateway.dicom.scanner import scan
from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE
from kuva_gateway.spool.receipt import Arrival
from kuva_gateway.spool.spool import Spool

OURS = "kuva-gateway"
"""In the place of a peer's name in receipts of what the gateway itself has made."""


class Notes:
    """Remembers which notes it has put there, so that none is put there every second while the indexer is busy."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: set[str] = set()

    def write(self, catalog: Catalog, spool: Spool, on_receipt: Callable[[Arrival, Header], None]) -> int:
        """Receive the notes that wait as a modality's images are received; returns how many.

        Raises
        ------
        DeferredError
            The catalog is away or the disk full: the rest waits.
        """
        done = 0
        with self._lock:
            for note in withdrawal.unwritten(catalog):
                if note.uid in self._written:
                    continue
                incoming = spool.begin(KEY_OBJECT_SELECTION, note.uid, EXPLICIT_LITTLE)
                try:
                    incoming.write(memoryview(note.content))
                    arrival = incoming.commit(OURS, 0, 1)
                except BaseException:
                    incoming.abandon()
                    raise
                on_receipt(arrival, scan(note.content, EXPLICIT_LITTLE, whole=True))
                self._written.add(note.uid)
                done += 1
        return done
