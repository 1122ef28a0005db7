"""What the pages read: the catalog, by a connection that cannot write. Each question may fail with a GatewayError."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from kuva_gateway.catalog import entries, flow, story, studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.flow import Flow
from kuva_gateway.errors import NotFoundError

Json = dict[str, Any]

SHOWN: Final = 100
"""Studies or entries in one list."""


class Reader(Protocol):
    """What is asked of the catalog. Raises GatewayError where there is no answer now."""

    def flow(self, until: datetime) -> Flow:
        """What went through in the day before ``until``."""

    def failed(self) -> list[Json]:
        """The newest entries that failed, the newest first."""

    def held(self, rule: str) -> list[Json]:
        """Studies that the rule holds, who was held longest first."""

    def found(self, text: str) -> list[Json]:
        """Studies with this accession number, or this UID on any level, the newest first."""

    def study(self, uid: str) -> tuple[Json, list[Json]]:
        """A study and its story; NotFoundError when there is none."""

    def picture(self, uid: str) -> bytes:
        """A PNG of an image of the study; GatewayError also where there is no picture of it."""


class CatalogReader:
    """Reads a catalog that is opened by the first question; one that was away is opened by a later one.

    ``open_file`` gives the stored file of a digest, ``folder`` is for what decoding a picture needs on the disk.
    """

    def __init__(self, open_catalog: Callable[[], Catalog], open_file: Callable[[str], BinaryIO], folder: Path) -> None:
        self._open = open_catalog
        self._open_file = open_file
        self._folder = folder
        self._drawing = threading.Lock()

    def flow(self, until: datetime) -> Flow:
        """See :class:`Reader`."""
        return flow.flow(self._open(), until)

    def failed(self) -> list[Json]:
        """See :class:`Reader`."""
        return entries.listing(self._open(), state="failed", limit=SHOWN)[::-1]

    def held(self, rule: str) -> list[Json]:
        """See :class:`Reader`."""
        return flow.held(self._open(), rule, SHOWN)

    def found(self, text: str) -> list[Json]:
        """See :class:`Reader`."""
        catalog = self._open()
        return [studies.show(catalog, uid) for uid in flow.found(catalog, text, SHOWN)]

    def study(self, uid: str) -> tuple[Json, list[Json]]:
        """See :class:`Reader`."""
        catalog = self._open()
        with catalog.read():  # of one moment
            return studies.show(catalog, uid), story.trace(catalog, uid)

    def picture(self, uid: str) -> bytes:
        """See :class:`Reader`. One at a time: decoding may take a processor, which others want for images."""
        from kuva_gateway.web.picture import picture

        digest = flow.image_of(self._open(), uid)
        if digest is None:
            raise NotFoundError("no image of the study is here")
        with self._drawing, self._open_file(digest) as stream:
            return picture(stream, self._folder)
