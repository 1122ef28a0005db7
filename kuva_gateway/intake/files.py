"""DICOM files taken in from a disk: through the same spool, with the same immediate checks as over the network.

Keeps nothing. A file counts as received only when its bytes are on stable storage (``Incoming.commit``); one that is
refused leaves nothing behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.part10 import Meta, read_meta
from kuva_gateway.dicom.scanner import scan_stream
from kuva_gateway.dicom.uids import is_valid_uid
from kuva_gateway.errors import RefusedError
from kuva_gateway.spool.receipt import Arrival
from kuva_gateway.spool.spool import Spool

_PIECE = 1 << 20  # bytes copied at a time


class RefusalLike(Protocol):
    """What an immediate rule says against an instance."""

    @property
    def comment(self) -> str: ...


class FileReceiver:
    """Takes files in under the name of one peer.

    Parameters
    ----------
    immediate
        The rules that refuse at once (DESIGN section 2, step 2), or None when there is nothing against the instance.
    """

    def __init__(self, spool: Spool, *, peer: str, immediate: Callable[[Header], RefusalLike | None]) -> None:
        self._spool = spool
        self._peer = peer
        self._immediate = immediate
        self._number = 0

    def receive(self, path: Path) -> Arrival:
        """Take one Part 10 file in; the file itself stays where it is.

        Raises
        ------
        HeaderError
            It is no DICOM file that can be understood.
        RefusedError
            Its meta information and data set differ, a UID is bad, or a rule refuses it.
        NoSpaceError, StorageError
            The spool cannot take it now.
        OSError
            The file cannot be read.
        """
        with path.open("rb") as stream:
            meta = read_meta(stream)
            length = os.fstat(stream.fileno()).st_size - meta.dataset_offset
            self._check(meta, scan_stream(stream, meta.dataset_offset, length, meta.transfer_syntax))
            return self._keep(stream, meta)

    def _check(self, meta: Meta, header: Header) -> None:
        if (header.sop_class_uid, header.sop_instance_uid) != (meta.sop_class, meta.sop_instance):
            raise RefusedError("file meta information and data set name different SOP class or instance", code="A900")
        for uid in (header.sop_instance_uid, header.study_instance_uid, header.series_instance_uid):
            if not is_valid_uid(uid):
                raise RefusedError("a UID of the data set is missing or malformed", code="A900")
        refusal = self._immediate(header)
        if refusal is not None:
            raise RefusedError(refusal.comment, code="0124")

    def _keep(self, stream: BinaryIO, meta: Meta) -> Arrival:
        incoming = self._spool.begin(meta.sop_class, meta.sop_instance, meta.transfer_syntax)
        try:
            stream.seek(meta.dataset_offset)
            while piece := stream.read(_PIECE):
                incoming.write(memoryview(piece))
            self._number += 1
            return incoming.commit(self._peer, 0, self._number)
        except BaseException:
            incoming.abandon()
            raise
