"""The images that are sent, and the proof that a receiver holds the same bytes: SHA-256 of every data set."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from studymaker import load_files

from .processes import Stopped
from .workloads import KIB, Workload

CHUNK = 1 << 20
WARM_UP = 200
_LONG = (b"OB", b"OW", b"UN", b"SQ", b"UT", b"UC", b"UR", b"OD", b"OF", b"OL", b"OV", b"SV", b"UV")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a Part 10 file says before its data set, and where that begins (PS3.10 7.1)."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    offset: int


def read_meta(stream: BinaryIO) -> Meta:
    """The file meta information of a Part 10 file; ValueError when it is none."""
    if stream.read(132)[128:] != b"DICM":
        raise ValueError("not a Part 10 file")
    length = int.from_bytes(stream.read(12)[8:], "little")
    group, values, at = stream.read(length), {}, 0
    while at < len(group):
        element, long = int.from_bytes(group[at + 2 : at + 4], "little"), group[at + 4 : at + 6] in _LONG
        start = at + (12 if long else 8)
        size = int.from_bytes(group[at + (8 if long else 6) : start], "little")
        values[element] = group[start : start + size].rstrip(b"\0 ").decode("ascii", "replace")
        at = start + size
    return Meta(sop_class=values[0x2], sop_instance=values[0x3], transfer_syntax=values[0x10], offset=144 + length)


def fingerprint(path: Path) -> tuple[str, str]:
    """The SOP Instance UID of a Part 10 file, and the SHA-256 of its data set."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        meta = read_meta(stream)
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return meta.sop_instance, digest.hexdigest()


def equal_data_sets(sent: Mapping[str, str], held: Iterable[Path]) -> int:
    """How many of ``sent`` (digest by SOP Instance UID) are among the files ``held``, with equal bytes."""
    equal = set()
    for path in held:
        uid, digest = fingerprint(path)
        if sent.get(uid) == digest:
            equal.add(uid)
    return len(equal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The files of one workload: their paths, the digest of each by SOP Instance UID, and their bytes in all."""

    paths: tuple[Path, ...]
    digests: Mapping[str, str]
    size: int


def make_images(folder: Path, workload: Workload) -> Images:
    """Write the CT images of ``workload`` into ``folder``, of four studies, and take their digests."""
    needed, free = 3 * workload.count * workload.pixel_bytes, shutil.disk_usage(folder.parent).free
    if free < needed:
        raise Stopped(f"{workload.name} needs {needed >> 20} MiB free at {folder.parent}, and there are {free >> 20}")
    print(f"making {workload.title()}", file=sys.stderr)
    size = load_files(folder, count=workload.count, pixel_bytes=workload.pixel_bytes, studies=min(4, workload.count))
    paths = tuple(sorted(folder.iterdir()))
    return Images(paths=paths, digests=dict(map(fingerprint, paths)), size=size)


def warm_up_images(folder: Path) -> Images:
    """What each receiver takes before its time is taken: enough that all have found their pace, as daemons have."""
    return make_images(folder, Workload(name="warm-up", count=WARM_UP, pixel_bytes=64 * KIB))
