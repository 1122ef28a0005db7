"""One data set on its way in: written to ``incoming/`` while it is digested, then named into ``arrived/``.

Promises bounded memory whatever the object's size, and exactly one end: :meth:`Incoming.commit`, after which the bytes
are on stable storage, or :meth:`Incoming.abandon`, after which nothing is left. Belongs to one thread.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from kuva_gateway.dicom.part10 import preamble_and_meta
from kuva_gateway.spool.errors import StorageError, translate
from kuva_gateway.spool.receipt import Arrival

if TYPE_CHECKING:
    from kuva_gateway.spool.spool import Spool

HEAD = 256 * 1024
"""Bytes of the data set that stay in memory for the header scanner."""

_BATCH = 64 * 1024  # bytes that are gathered before they are digested and written: each costs two changes of thread
_WRITE_BEHIND = 4 << 20  # bytes after which the kernel is asked to begin: a long object's fsync has little left to do
_META_ROOM = 1024  # preamble, prefix and meta information have at most 3 UIDs of 64 characters beside 240 bytes


class _Heads:
    """Spare buffers for heads, so that each image does not cost 64 page faults; deque's ends are atomic."""

    def __init__(self, keep: int) -> None:
        self._spare: deque[memoryview] = deque(maxlen=keep)

    def take(self) -> memoryview:
        try:
            return self._spare.pop()
        except IndexError:
            return memoryview(bytearray(_META_ROOM + HEAD))

    def give(self, buffer: memoryview) -> None:
        self._spare.append(buffer)


_HEADS = _Heads(keep=16)


class Incoming:
    """What :meth:`Spool.begin` returns.

    ``size`` and ``head`` speak of the data set; the digest covers the whole file, preamble included.
    """

    def __init__(self, spool: Spool, path: str, sop_class: str, sop_instance: str, transfer_syntax: str) -> None:
        start = preamble_and_meta(sop_class, sop_instance, transfer_syntax)
        if len(start) > _META_ROOM:
            raise ValueError("the file meta information is longer than three UIDs make it")
        self._spool = spool
        self._path = path
        self._descriptor: int | None = None
        self._digest = hashlib.sha256()
        self._buffer = _HEADS.take()
        self._offset = len(start)
        self._limit = self._offset + HEAD
        self._buffer[: self._offset] = start
        self._filled = self._offset  # bytes of the file that are in the buffer
        self._put = 0  # of these, bytes that are digested and written
        self._written = 0  # bytes of the file that the kernel has
        self._begun = 0  # of these, bytes that it was asked to put on the disk
        self._beyond = 0  # bytes of the file that went past the buffer
        self.on_batch: Callable[[], None] | None = None
        """Called once, when the first 64 KiB have come and more may: time to look at :attr:`head` before the end."""
        try:
            self._descriptor = spool.files.open_new(path)
        except OSError as error:
            self._give_back()
            raise translate(error, "making a file") from error
        except BaseException:
            self._give_back()
            raise

    @property
    def size(self) -> int:
        """Bytes of the data set so far."""
        return self._filled - self._offset + self._beyond

    @property
    def head(self) -> memoryview:
        """The data set's first 256 KiB, or all of it; valid until the end."""
        return self._buffer[self._offset : self._filled]

    @property
    def whole(self) -> bool:
        """Whether :attr:`head` is all of the data set so far."""
        return not self._beyond

    def write(self, view: memoryview) -> None:
        """Take the next piece.

        Raises
        ------
        NoSpaceError
            The file system is full or nearly so; the data set was abandoned.
        StorageError
            It failed otherwise; the data set was abandoned.
        ValueError
            It has ended.
        """
        if self._filled < self._limit:
            taken = min(len(view), self._limit - self._filled)
            self._buffer[self._filled : self._filled + taken] = view[:taken]
            self._filled += taken
            view = view[taken:]
            if self._filled - self._put >= _BATCH:
                self._flush()
                if self.on_batch is not None:
                    on_batch, self.on_batch = self.on_batch, None
                    on_batch()
        if view:
            self._flush()  # what is left of the head comes first, also when a piece before has just filled it
            self._store(view)
            self._beyond += len(view)

    def _flush(self) -> None:
        if self._put < self._filled:
            self._store(self._buffer[self._put : self._filled])
            self._put = self._filled

    def _store(self, view: memoryview) -> None:
        if self._descriptor is None:
            raise ValueError("this data set has ended")
        try:
            self._spool.space.require(len(view))
            self._digest.update(view)
            self._spool.files.write(self._descriptor, view)
            self._written += len(view)
            if self._written - self._begun >= _WRITE_BEHIND:
                with contextlib.suppress(OSError):  # a matter of speed: fsync has the last word
                    self._spool.files.start_writing(self._descriptor, self._begun, self._written - self._begun)
                self._begun = self._written
        except BaseException as error:
            self.abandon()
            if isinstance(error, OSError):
                raise translate(error, "writing") from error
            raise

    def open_data_set(self) -> tuple[BinaryIO, int]:
        """The file for reading, and the offset in bytes at which its data set begins; the caller closes it."""
        self._flush()
        try:
            return self._spool.files.open_read(self._path), self._offset
        except OSError as error:
            raise translate(error, "opening a file") from error

    def commit(self, peer: str, association: int, number: int) -> Arrival:
        """Name the file into ``arrived/`` and put it on stable storage; only then may it be acknowledged.

        Raises
        ------
        NoSpaceError, StorageError
            It did not come to that; nothing is left in ``incoming/`` or ``arrived/``. After a failed fsync the file is
            in ``corrupt/``.
        """
        if self._descriptor is None:
            raise ValueError("this data set has ended")
        try:
            self._flush()
            arrival = self._spool.name_arrival(
                self._path, self._digest.hexdigest(), self._filled + self._beyond, peer, association, number
            )
        except BaseException:
            self.abandon()
            raise
        descriptor, self._descriptor = self._descriptor, None
        try:
            self._make_safe(descriptor, arrival)
        finally:
            self._give_back()
        with contextlib.suppress(OSError):  # fsync has said all there is to say about these bytes
            self._spool.files.close(descriptor)
        return arrival

    def _make_safe(self, descriptor: int, arrival: Arrival) -> None:
        """fsync after the rename. A failed one is final: the pages are marked clean, a second try would lie."""
        spool = self._spool
        try:
            spool.files.fsync(descriptor)
            if spool.fsync_folders:
                spool.files.fsync_directory(arrival.path.parent)
        except BaseException as error:
            spool.reject_arrival(arrival, "fsync failed before it was acknowledged", descriptor)
            if isinstance(error, OSError):
                raise StorageError("fsync failed", code=errno.errorcode.get(error.errno or 0, "")) from error
            raise

    def abandon(self) -> None:
        """Leave nothing behind. May be called at any time, and again; what cannot be removed now goes later."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        self._give_back()
        self._spool.discard(self._path)
        with contextlib.suppress(OSError):
            self._spool.files.close(descriptor)

    def _give_back(self) -> None:
        buffer, self._buffer, self._limit = self._buffer, memoryview(b""), 0
        if buffer.nbytes:
            _HEADS.give(buffer)
