"""The state directory: whose it is, what it lies on, and how much room is left."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from kuva_gateway.config import Configuration
from kuva_gateway.doctor.findings import Diagnosis, Subject, fault, warning, well
from kuva_gateway.spool import mounts

REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.glusterfs", "ceph", "afs"})
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
UNSAFE_OPTIONS = frozenset({"nobarrier", "barrier=0", "data=writeback", "nodatacow"})
"""What lets a power cut take what fsync had promised."""

SLOW_FSYNC = 0.05  # seconds: twenty images a second on one association
FSYNCS = 5
REASON = ".reason"  # beside each rejected file
FEW_INODES = 0.05  # of all


def permissions(subject: Subject) -> Iterator[Diagnosis]:
    """Whether the gateway's own user, and nobody else, can read and write what is here."""
    state = subject.configuration.state_directory
    if not state.is_dir():
        yield warning(
            "permissions",
            f"there is no state directory {state}",
            "It is made at the first start; if the gateway ran before, look at state_directory.",
        )
        return
    owner = state.stat().st_uid
    wrong = list(_wrong(state, owner))
    for path, why in wrong[:10]:
        yield fault("permissions", f"{path} {why}", f"chown -R {_name(owner)} {state}; chmod -R go= {state}")
    if len(wrong) > 10:
        yield fault("permissions", f"{len(wrong) - 10} more in {state}", "The same for these.")
    if os.geteuid() not in (0, owner):
        yield warning(
            "permissions",
            f"{state} belongs to {_name(owner)}",
            f"Run commands as that user: sudo -u {_name(owner)} kuva-gateway ...",
        )
    if not wrong:
        yield well("permissions", f"{state} is {_name(owner)}'s alone")


def _wrong(state: Path, owner: int) -> Iterator[tuple[Path, str]]:
    """The folders, and the files beside them, that others may enter or that are somebody else's.

    Stored images are not asked one by one: the folder above them keeps others out.
    """
    for folder in (state, *_folders(state)):
        for path in (folder, *_files(folder)):
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISLNK(status.st_mode):
                    continue
                if status.st_uid != owner:
                    yield path, f"belongs to {_name(status.st_uid)}"
                elif status.st_mode & 0o007:
                    yield path, "can be read by everybody"


def _folders(state: Path) -> list[Path]:
    inner = [path for path in state.iterdir() if path.is_dir()]
    return inner + [path for folder in inner for path in folder.iterdir() if path.is_dir()]


def _files(folder: Path) -> list[Path]:
    """Files of a folder that has few: the state directory itself and the folders right below it."""
    with os.scandir(folder) as found:
        return [Path(entry.path) for entry, _ in zip(found, range(200), strict=False) if entry.is_file()]


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def file_system(subject: Subject) -> Iterator[Diagnosis]:
    """Whether what fsync promises is kept there, and how long it takes."""
    place = _place(subject.configuration)
    kind, options = mounts.file_system(place), mounts.mount_options(place)
    if kind in IN_MEMORY:
        yield fault(
            "file system",
            f"{place} is on {kind}: it is empty after a restart of the machine",
            "Move state_directory to a disk.",
        )
        return
    if kind in REMOTE:
        yield fault(
            "file system",
            f"{place} is on {kind}: locks and SQLite's log do not hold over a network",
            "Move state_directory to a local disk.",
        )
    elif kind not in mounts.NAMES_FOLLOW_FSYNC:
        yield warning(
            "file system",
            f"{place} is on {kind or 'a file system that cannot be told'}, on which folders are fsynced as well",
            "ext4, xfs and btrfs are faster, and have been tried with power cuts.",
        )
    for option in sorted(options & UNSAFE_OPTIONS):
        yield fault(
            "file system",
            f"{place} is mounted with {option}: a power cut may lose acknowledged images",
            "Mount it without this option.",
        )
    seconds = _fsync_seconds(place)
    if seconds is None:
        yield fault("file system", f"{place} cannot be written", "Run doctor as the gateway's user, or mend the disk.")
    elif seconds > SLOW_FSYNC:
        yield warning(
            "file system",
            f"fsync takes {seconds * 1000:.0f} ms on {place}: each image waits for one",
            "A disk controller with a protected cache, or a solid-state disk, takes less than 5 ms.",
        )
    else:
        yield well("file system", f"{kind}, fsync takes {seconds * 1000:.1f} ms")


def room(subject: Subject) -> Iterator[Diagnosis]:
    """How much may still be written."""
    place = _place(subject.configuration)
    found = os.statvfs(place)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    minimum = subject.configuration.spool.minimum_free
    says = f"{_gib(free)} of {_gib(total)} free"
    if free < minimum:
        yield fault(
            "disk",
            f"{says}, less than spool.minimum_free ({_gib(minimum)}): images are refused",
            "Make room on the disk, or find out why studies are not archived (kuva-gateway stats).",
        )
    elif total and free / total < subject.configuration.retention.low_water:
        yield warning(
            "disk",
            f"{says}, less than retention.low_water: archived images are removed before their time",
            "Make the disk larger, or look which studies do not get on (kuva-gateway studies list --state held).",
        )
    else:
        yield well("disk", says)
    if found.f_files and found.f_favail / found.f_files < FEW_INODES:
        yield fault(
            "disk",
            f"{found.f_favail} files can still be made on {place}",
            "Remove files, or make the file system anew with more inodes.",
        )


def drop_folders(subject: Subject) -> Iterator[Diagnosis]:
    """Files that were rejected and wait for somebody."""
    own = subject.configuration
    waiting = 0
    for name, section in (("documents", own.documents), ("authorizations", own.authorizations), ("adt", own.adt)):
        folder, rejected = own.path(section.drop_folder), own.path(Path(name) / "rejected")
        with contextlib.suppress(FileNotFoundError):
            count = sum(1 for file in os.listdir(rejected) if not file.endswith(REASON))
            waiting += count
            if count:
                yield warning(
                    "drop folders",
                    f"{count} rejected files in {rejected}",
                    "Beside each is a file that says why; drop it again when it is mended, or remove both.",
                )
        if folder.is_dir() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield fault("drop folders", f"{folder} cannot be read and written", "chown it to the gateway's user.")
    if not waiting:
        yield well("drop folders", "nothing rejected waits there")


def _place(configuration: Configuration) -> Path:
    """The nearest folder of the spool's that exists."""
    path = configuration.state_directory / "spool"
    while not path.is_dir():
        path = path.parent
    return path


def _fsync_seconds(place: Path) -> float | None:
    """The median time of an fsync of 4 KiB; None when nothing can be written there. Leaves nothing behind."""
    path = place / f".doctor-{os.getpid()}"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    taken = []
    try:
        path.unlink()
        for _ in range(FSYNCS):
            os.write(descriptor, b"\0" * 4096)
            began = time.perf_counter()
            os.fsync(descriptor)
            taken.append(time.perf_counter() - began)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return statistics.median(taken)


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
