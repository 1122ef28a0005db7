"""The gateway, broken on purpose: ``python -m tests.power.broken BREAKAGE run --config FILE``.

Each breakage replaces one operation of the package and then runs the real command line, in one process.
It stops with an error when the place that it breaks is not there any more.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable

from kuva_gateway.catalog import database
from kuva_gateway.cli import main
from kuva_gateway.spool.files import Files
from kuva_gateway.spool.spool import Spool


def no_fsync() -> None:
    """Acknowledge what is only in memory."""
    replace("fsync", lambda self, descriptor: None)
    replace("fsync_directory", lambda self, path: None)


def fdatasync() -> None:
    """Sync the bytes after the rename, and nothing else that a reader could do without: not the name."""
    replace("fsync", lambda self, descriptor: os.fdatasync(descriptor))


def name_first() -> None:
    """Name and sync a file, then write its bytes, then acknowledge."""
    put_off: dict[int, list[bytes]] = defaultdict(list)
    write = Files.write

    def write_late(self: Files, descriptor: int, view: memoryview) -> None:
        put_off[descriptor].append(bytes(view))

    def fsync_early(self: Files, descriptor: int) -> None:
        os.fsync(descriptor)
        for piece in put_off.pop(descriptor, ()):
            write(self, descriptor, memoryview(piece))

    replace("write", write_late)
    replace("fsync", fsync_early)


def commit_normal() -> None:
    """Commit to the catalog without a sync, and then remove the arrivals' names."""
    change_pragma("normal")


def commit_off() -> None:
    """The same, and no sync of the catalog ever."""
    change_pragma("off")


def unsettled() -> None:
    """Remove arrivals' names without having made the instances' names safe; shows on btrfs, in a few cuts of 100."""
    if "settle" not in vars(Spool):
        raise SystemExit("the spool has no operation settle to break")
    Spool.settle = lambda self: None  # type: ignore[method-assign]


BREAKAGES: dict[str, Callable[[], None]] = {
    "no-fsync": no_fsync,
    "fdatasync": fdatasync,
    "name-first": name_first,
    "commit-normal": commit_normal,
    "commit-off": commit_off,
    "unsettled": unsettled,
}


def replace(name: str, operation: Callable[..., None]) -> None:
    """Replace an operation of the spool's files."""
    if name not in vars(Files):
        raise SystemExit(f"the spool's files have no operation {name} to break")
    setattr(Files, name, operation)


def change_pragma(value: str) -> None:
    """Let the embedded catalog's connections sync less."""
    if database.PRAGMAS.get("synchronous") != "full":
        raise SystemExit("the catalog's pragma synchronous is not full, or not where it was")
    database.PRAGMAS["synchronous"] = value


if __name__ == "__main__":
    BREAKAGES[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
