"""Which file system a folder is on, and whether fsync of a renamed file makes its new name safe there.

On ext4, xfs and btrfs it does (measured: fsync after the rename, not fdatasync). Anywhere else, and where nobody can
tell, the folder is fsynced as well.

A second name is another matter. ext4 and xfs write changes of names in the order in which they were made: when an old
name is gone after a power cut, the new one that was made before is there. btrfs promises no such order (measured).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

NAMES_FOLLOW_FSYNC = frozenset({"ext4", "xfs", "btrfs"})

NAMES_IN_ANY_ORDER = frozenset({"btrfs"})

MOUNTS = Path("/proc/self/mountinfo")

_OCTAL = re.compile(r"\\([0-7]{3})")


def file_system(path: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system that holds ``path`` (``ext4``, ``nfs4`` ...), "" when it cannot be told."""
    return _mount(path, mounts)[0]


def mount_options(path: Path, mounts: Path = MOUNTS) -> frozenset[str]:
    """How the file system that holds ``path`` is mounted (``rw``, ``nobarrier`` ...): by the mount and by itself."""
    return frozenset(_mount(path, mounts)[1].split(","))


def _mount(path: Path, mounts: Path) -> tuple[str, str]:
    """Type and options of the file system that holds ``path``; "" for what cannot be told (proc(5), mountinfo)."""
    wanted = os.path.realpath(path)
    best, found = -1, ("", "")
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return found
    for line in lines:
        before, separator, after = line.partition(" - ")
        fields, own = before.split(" "), after.split(" ")
        if not separator or len(fields) < 6:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:  # the later of two mounts on one point hides the earlier
            best, found = len(point), (own[0], ",".join([fields[5], *own[2:3]]))
    return found


def folders_need_fsync(path: Path, durability: str, mounts: Path = MOUNTS) -> bool:
    """Whether a rename inside ``path`` is safe only after its folder was fsynced; ``durability`` auto or strict."""
    return durability == "strict" or file_system(path, mounts) not in NAMES_FOLLOW_FSYNC


def links_need_sync(path: Path, durability: str, mounts: Path = MOUNTS) -> bool:
    """Whether new links must be synced before the old names go, and no folder's fsync has done that."""
    return not folders_need_fsync(path, durability, mounts) and file_system(path, mounts) in NAMES_IN_ANY_ORDER
