"""The spool's folders and who may do what in them. The spool is the truth, the catalog its index.

``incoming``   being received; whatever is there at start is swept away, because nobody was told that it is safe
``arrived``    received and acknowledged, not yet in the catalog
``instances``  in the catalog, by digest; only the indexer's thread makes and removes names here
``removing``   taken out of ``instances``, not yet gone
``fetched``    copies of what lives elsewhere
``corrupt``    what cannot be trusted, each beside a ``.reason`` file; nothing leaves by itself

Every step may be repeated after a crash at any point.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal

from kuva_gateway.errors import DamageError
from kuva_gateway.spool.errors import translate
from kuva_gateway.spool.files import Files
from kuva_gateway.spool.incoming import Incoming
from kuva_gateway.spool.mounts import folders_need_fsync, links_need_sync
from kuva_gateway.spool.receipt import DIGEST, Arrival, Receipt, arrival_name, parse_name
from kuva_gateway.spool.space import Space

Durability = Literal["auto", "strict"]
FOLDERS = ("incoming", "arrived", "instances", "removing", "fetched", "corrupt")

_READ_SIZE = 1 << 20  # bytes that are read at a time when a file is verified
SET_BACK_NS: Final = 2_000_000_000
"""A clock that is so far behind the last receipt was set; one that is less was pulled at."""


class Spool:
    """The folders below ``root``. Threads may share one; so may processes, except for :meth:`retire` and its kin.

    Parameters
    ----------
    durability
        ``strict`` fsyncs folders everywhere; ``auto`` only where fsync of a renamed file does not make its name safe.
    minimum_free
        Bytes that must stay free; below it nothing is begun.
    """

    def __init__(
        self,
        root: Path,
        *,
        durability: Durability = "auto",
        minimum_free: int,
        files: Files | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root = root
        self.files = files if files is not None else Files()
        self.space = Space(root, self.files, minimum_free=minimum_free, monotonic=monotonic)
        self._clock_ns = clock_ns
        self._stamp_lock = threading.Lock()
        self._last_stamp = 0
        self._names = itertools.count()
        self._unwanted: set[str] = set()  # refused, and not to be removed so far
        for folder in FOLDERS:
            self.files.make_directory(root / folder)
        self.incoming, self.arrived, self.instances_folder, self.removing, self.fetched, self.corrupt = (
            root / folder for folder in FOLDERS
        )
        self._prefix = f"{self.incoming}/{clock_ns()}-{os.getpid()}-"
        self.fsync_folders = folders_need_fsync(root, durability)
        self.sync_links = links_need_sync(root, durability)

    # -- receiving -----------------------------------------------------------------------------------------------

    def begin(self, sop_class: str, sop_instance: str, transfer_syntax: str) -> Incoming:
        """Begin to receive one data set; nothing of the three values becomes part of a name.

        Raises
        ------
        NoSpaceError
            Less than ``minimum_free`` is left.
        StorageError
            No file could be made.
        HeaderError
            A value is no UID at all.
        """
        self.space.require()
        incoming = Incoming(self, f"{self._prefix}{next(self._names)}", sop_class, sop_instance, transfer_syntax)
        if self._unwanted:
            self._discard_again()
        return incoming

    def discard(self, path: str) -> None:
        """Remove a file that nobody was told is safe, now or as soon as the file system lets us; never index it."""
        self._unwanted.add(path)
        with contextlib.suppress(OSError):
            self._remove(path)

    def _discard_again(self) -> None:
        with contextlib.suppress(OSError):  # no use in trying the others now
            for path in list(self._unwanted):
                self._remove(path)

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.files.unlink(path)
        self._unwanted.discard(path)

    def free_bytes(self) -> int:
        """Free bytes on the spool's file system at this moment."""
        return self.space.measure()

    def name_arrival(self, path: str, digest: str, size: int, peer: str, association: int, number: int) -> Arrival:
        """Move a complete file from ``incoming/`` to ``arrived/`` under a new receipt; it is not safe yet."""
        receipt = Receipt(time_ns=self._stamp(), association=association, number=number)
        target = self.arrived / arrival_name(receipt, peer, digest)
        try:
            self.files.rename_new(path, target)
        except OSError as error:
            raise translate(error, "naming an arrival") from error
        return Arrival(receipt=receipt, peer=peer, digest=digest, path=target, size=size)

    def reject_arrival(self, arrival: Arrival, reason: str, descriptor: int) -> None:
        """Take an arrival that was never acknowledged out of the indexer's sight, whatever the file system does.

        What can be neither set aside nor removed is cut to nothing, so that no process takes it for an image. A file
        system that does not even do that does nothing any more, and shows what it really has when it is mounted again;
        the descriptor is closed in any case, because an open one would keep it from being unmounted.
        """
        try:
            self.quarantine(arrival.path, reason)
        except OSError:
            with contextlib.suppress(OSError):
                self.files.truncate(descriptor)
            self.discard(str(arrival.path))
        with contextlib.suppress(OSError):
            self.files.close(descriptor)

    def _stamp(self) -> int:
        """Nanoseconds that grow with every call; when the clock is set back by more than some seconds, from there.

        One that went on telling the time before would keep its study from settling until the clock is there again.
        """
        with self._stamp_lock:
            now = self._clock_ns()
            was_set_back = now < self._last_stamp - SET_BACK_NS
            self._last_stamp = now if was_set_back else max(self._last_stamp + 1, now)
            return self._last_stamp

    # -- between receiving and the catalog -------------------------------------------------------------------------

    def sweep(self, *, untouched: float = 0.0) -> int:
        """Remove what receptions that never ended left in ``incoming/``; returns how many. Others' live ones stay.

        ``untouched``: only what nobody has written to for so many seconds. A reception that begins at this very moment
        is not mistaken for one that ended.
        """
        swept = 0
        for name in list(self.files.names(self.incoming)):
            path = self.incoming / name
            if (untouched and self._age(path) < untouched) or self.files.in_use(path):
                continue
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                self.files.unlink(path)
                swept += 1
        return swept

    def _age(self, path: Path) -> float:
        """Seconds since the file was written to; 0 when it is gone, or its time is yet to come."""
        try:
            return max(0.0, self._clock_ns() / 1e9 - self.files.written_at(path))
        except FileNotFoundError:
            return 0.0

    def arrivals(self) -> Iterator[Arrival]:
        """What is in ``arrived/``, oldest first; without what a live process is still making safe."""
        for name in sorted(self.files.names(self.arrived)):
            parsed = parse_name(name)
            path = self.arrived / name
            if parsed is None or str(path) in self._unwanted or self.files.in_use(path):
                continue
            receipt, peer, digest = parsed
            try:
                size = self.files.size(path)
            except FileNotFoundError:  # indexed meanwhile
                continue
            yield Arrival(receipt=receipt, peer=peer, digest=digest, path=path, size=size, confirmed=False)

    def waiting(self) -> tuple[int, datetime | None]:
        """How many files ``arrived/`` has, with those that are being made safe, and when the oldest was received.

        Raises
        ------
        OSError
            There is no ``arrived/``: the file system is not mounted, or sick.
        """
        found = [parsed[0].time_ns for name in self.files.names(self.arrived) if (parsed := parse_name(name))]
        return len(found), datetime.fromtimestamp(min(found) / 1e9, UTC) if found else None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep the file system mounted from an adoption to the end of what depends on it.

        A disk that fails may forget a new name that was not made durable yet. Were it mounted again between a link in
        ``instances/`` and the removal of the arrival's name, the only name left would be removed. And while this
        holds, a name that is not there is gone, and not merely out of sight.

        Raises
        ------
        OSError
            There is no ``arrived/``: the file system is not mounted, or sick.
        """
        descriptor = self.files.open_directory(self.arrived)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # nothing was written through it
                self.files.close(descriptor)

    def adopt(self, arrival: Arrival) -> Path:
        """Give an arrival's bytes their place in ``instances/``; bytes that are there already are the same bytes.

        Raises
        ------
        DamageError
            The bytes are not the ones that the name promises; the arrival is in ``corrupt/`` now, or it was gone.
        OSError
            The file system failed; nothing was moved, and nothing is lost by trying again.
        """
        if not arrival.confirmed:
            self._confirm(arrival)
        target = self.instance_path(arrival.digest)
        self._give_name(arrival.path, target, arrival.digest)
        if self.fsync_folders:
            self.files.fsync_directory(target.parent)
        return target

    def settle(self) -> None:
        """Make the places that :meth:`adopt` gave safe; one call for many. Only then may arrivals be forgotten.

        Raises
        ------
        OSError
            The file system failed; the arrivals' names must stay.
        """
        if self.sync_links:
            self.files.sync_file_system(self.root)

    def forget(self, arrival: Arrival) -> None:
        """Remove the arrival's name, once the catalog has it and its place is safe (:meth:`settle`); again is fine."""
        with contextlib.suppress(FileNotFoundError):
            self.files.unlink(arrival.path)

    def _confirm(self, arrival: Arrival) -> Arrival:
        """Make sure that an arrival which a listing found is what its name says, and on stable storage."""
        try:
            self._compare(arrival.path, arrival.digest)
        except DamageError as damage:
            if not isinstance(damage.__cause__, FileNotFoundError):
                self.quarantine(arrival.path, str(damage))  # acknowledged: whatever fails now, it is never removed
            elif self.holds(arrival.digest, arrival.size):
                return arrival  # this very arrival was adopted and forgotten before
            raise
        with self.files.open_read(arrival.path) as stream:
            self.files.fsync(stream.fileno())
        return replace(arrival, confirmed=True)

    def holds(self, digest: str, size: int) -> bool:
        """Whether the instance with this digest is in ``instances/`` with so many bytes; nothing is read."""
        try:
            return self.files.size(self.instance_path(digest)) == size
        except FileNotFoundError:
            return False

    def _give_name(self, source: Path, target: Path, digest: str) -> None:
        """Link ``source`` as ``target``. One that exists must have as many bytes; a damaged one gives way."""
        try:
            self.files.link(source, target)
            return
        except FileNotFoundError:
            if target.parent.is_dir():
                if target.exists():  # adopted and forgotten before
                    return
                raise
            self.files.make_directory(target.parent)
            if self.fsync_folders:
                self.files.fsync_directory(self.instances_folder)
        except FileExistsError:
            if self.files.size(source) == self.files.size(target):
                return
            self.quarantine(target, f"not as long as the bytes whose digest it bears, {digest}")
        self.files.link(source, target)

    # -- what is kept --------------------------------------------------------------------------------------------

    def instance_path(self, digest: str) -> Path:
        """Where the instance with this SHA-256 is, or would be.

        Raises
        ------
        ValueError
            ``digest`` is no SHA-256 in hexadecimal.
        """
        return self._by_digest(self.instances_folder / digest[:2], digest)

    def open_instance(self, digest: str) -> BinaryIO:
        """A stored file for reading, without a buffer.

        Raises
        ------
        DamageError
            It is not there.
        OSError
            It cannot be opened now; that says nothing about its bytes.
        """
        return self._open(self.instance_path(digest))

    def instances(self) -> Iterator[str]:
        """The digests of everything in ``instances/``, sorted."""
        for folder in sorted(self.files.names(self.instances_folder)):
            if len(folder) == 2 and (self.instances_folder / folder).is_dir():
                names = self.files.names(self.instances_folder / folder)
                yield from sorted(name for name in names if DIGEST.fullmatch(name) and name.startswith(folder))

    def verify(self, digest: str) -> None:
        """Read a stored file and compare it with its digest.

        Raises
        ------
        DamageError
            It is missing, cannot be read, or holds other bytes.
        """
        try:
            self._compare(self.instance_path(digest), digest)
        except OSError as error:
            raise DamageError(f"cannot be read: {os.strerror(error.errno or 0)}") from error

    def verify_or_set_aside(self, digest: str) -> None:
        """As :meth:`verify`; what holds other bytes, or has sectors that cannot be read, goes to ``corrupt/``.

        There it is sent to nobody and in nobody's way: the same image, sent again, takes its place. A file that
        cannot be opened or read for another reason says nothing about its bytes, and stays.

        Raises
        ------
        DamageError
            It is missing, cannot be read, or held other bytes.
        """
        try:
            self._verify_again(digest)
        except DamageError as damage:
            why = damage.__cause__
            if why is not None and not _is_unreadable(why):
                raise
            try:
                self.quarantine(self.instance_path(digest), str(damage))
            except OSError as error:
                raise DamageError(f"{damage}; not set aside: {os.strerror(error.errno or 0)}") from error
            raise DamageError(f"{damage}; it is in corrupt/ now") from why

    def _verify_again(self, digest: str) -> None:
        """Verify; what cannot be read is given a second chance, because controllers have their moments."""
        try:
            self.verify(digest)
        except DamageError as damage:
            if not _is_unreadable(damage.__cause__):
                raise
            self.verify(digest)

    def _compare(self, path: Path, digest: str) -> None:
        """DamageError: missing, or other bytes. An OSError is no statement about the bytes."""
        found = hashlib.sha256()
        with self._open(path) as stream:
            buffer = memoryview(bytearray(_READ_SIZE))
            while count := stream.readinto(buffer):  # type: ignore[attr-defined]
                found.update(buffer[:count])
        if found.hexdigest() != digest:
            raise DamageError("holds other bytes than its digest says")

    def _open(self, path: Path) -> BinaryIO:
        try:
            return self.files.open_read(path)
        except FileNotFoundError as error:
            raise DamageError(f"is gone: {os.strerror(error.errno or errno.ENOENT)}") from error

    # -- removal, by the indexer's thread only -------------------------------------------------------------------

    def retire(self, digest: str) -> None:
        """Take an instance out of ``instances/`` into ``removing/``; again is fine."""
        source, target = self.instance_path(digest), self._retired_path(digest)
        try:
            self.files.rename_new(source, target)
        except FileNotFoundError:
            return
        except FileExistsError:  # retired before, and the same bytes came again
            self.files.unlink(source)

    def restore(self, digest: str) -> bool:
        """Put a retired instance back; False when there is none to put back."""
        source, target = self._retired_path(digest), self.instance_path(digest)
        try:
            self.files.rename_new(source, target)
        except FileNotFoundError:
            return False
        except FileExistsError:
            self.files.unlink(source)
        return True

    def purge(self, digest: str) -> None:
        """Remove a retired instance for good; again is fine."""
        with contextlib.suppress(FileNotFoundError):
            self.files.unlink(self._retired_path(digest))

    def retired(self) -> Iterator[str]:
        """The digests in ``removing/``: a removal that did not come to its end."""
        yield from sorted(name for name in self.files.names(self.removing) if DIGEST.fullmatch(name))

    def _retired_path(self, digest: str) -> Path:
        return self._by_digest(self.removing, digest)

    @staticmethod
    def _by_digest(folder: Path, digest: str) -> Path:
        if DIGEST.fullmatch(digest) is None:
            raise ValueError("this is no SHA-256 in hexadecimal")
        return folder / digest

    # -- what cannot be trusted ------------------------------------------------------------------------------------

    def quarantine(self, path: Path, reason: str) -> Path:
        """Move a file to ``corrupt/`` beside a ``.reason`` file, under a name that nothing there bears yet."""
        for number in itertools.count():
            target = self.corrupt / (f"{path.name}.{number}" if number else path.name)
            try:
                self.files.rename_new(path, target)
            except FileExistsError:
                continue
            break
        with contextlib.suppress(OSError):  # the file itself is what matters
            target.with_name(target.name + ".reason").write_text(reason + "\n", encoding="utf-8")
        return target


def _is_unreadable(why: BaseException | None) -> bool:
    """Whether the disk itself says that it cannot read."""
    return isinstance(why, OSError) and why.errno == errno.EIO
