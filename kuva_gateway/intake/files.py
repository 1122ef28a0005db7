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
from kuva_gateway.dicom.part10 import read_meta
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

    def __init__(self, spool: Spool, *, peer: str, immediate: Callable[[Header, str], RefusalLike | None]) -> None:
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
            A UID of its data set is missing or malformed, or a rule refuses it.
        NoSpaceError, StorageError
            The spool cannot take it now.
        OSError
            The file cannot be read.
        """
        with path.open("rb") as stream:
            meta = read_meta(stream)
            length = os.fstat(stream.fileno()).st_size - meta.dataset_offset
            header = scan_stream(stream, meta.dataset_offset, length, meta.transfer_syntax)
            self._check(header)
            return self._keep(stream, meta.dataset_offset, header)

    def _check(self, header: Header) -> None:
        for uid in (
            header.sop_class_uid,
            header.sop_instance_uid,
            header.study_instance_uid,
            header.series_instance_uid,
        ):
            if not is_valid_uid(uid):
                raise RefusedError("a UID of the data set is missing or malformed", code="A900")
        refusal = self._immediate(header, self._peer)
        if refusal is not None:
            raise RefusedError(refusal.comment, code="0124")

    def _keep(self, stream: BinaryIO, offset: int, header: Header) -> Arrival:
        """The data set as it stands; SOP class and instance are the data set's own, as a sender's command would say."""
        incoming = self._spool.begin(header.sop_class_uid, header.sop_instance_uid, header.transfer_syntax_uid)
        try:
            stream.seek(offset)
            while piece := stream.read(_PIECE):
                incoming.write(memoryview(piece))
            self._number += 1
            return incoming.commit(self._peer, 0, self._number)
        except BaseException:
            incoming.abandon()
            raise
