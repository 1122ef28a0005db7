"""What one C-MOVE or C-GET asks for, once it is understood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import PendingInstance
from kuva_gateway.catalog.retrieval import Chosen, pages
from kuva_gateway.decoding.process import Decoder
from kuva_gateway.dicom.information_model import Level
from kuva_gateway.forward.outgoing import OpenFile
from kuva_gateway.scp.fetching import Fetch
from kuva_gateway.scp.suboperations import Counts


class CancelledError(Exception):
    """The asker wants no more (C-CANCEL)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one request asks for."""

    message_id: int
    priority: int
    transfer_syntax: str
    """Of the identifiers of responses."""
    level: Level
    counts: Counts
    open_file: OpenFile
    catalog: Catalog
    chosen: Chosen
    as_received: bool
    fetch: Fetch | None = None
    """What only the archive has, on its way."""
    decoder: Decoder | None = None
    """For who gets compressed images decompressed; None: they go as they are."""

    def pages(self) -> Iterator[list[PendingInstance]]:
        """The instances, some at a time."""
        return pages(self.catalog, self.chosen, as_received=self.as_received)

    def instances(self) -> Iterator[PendingInstance]:
        """One after the other."""
        return chain.from_iterable(self.pages())
