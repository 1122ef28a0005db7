"""Examinations of what only grows, and of what was set aside: the journal, the audit trail and ``corrupt/``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kuva_gateway.doctor.findings import Diagnosis, Subject, warning, well

MUCH: Final = 0.1
"""The share of its disk that is worth a thought: what only grows takes the room of images."""
_GIB: Final = 1 << 30


def records(subject: Subject) -> Iterator[Diagnosis]:
    """How large the journal and the audit trail have become; without limits nothing of either is removed."""
    state = subject.configuration.state_directory
    remedies = {
        "journal": "All of it is needed to make a lost catalog again: move the state directory to a larger disk.",
        "audit": "Set audit.keep_bytes, or move its oldest files to where logs are kept; not what a collector "
        "still waits for (docs/audit.rst).",
    }
    for name, remedy in remedies.items():
        files, size = _measured(state / name)
        if not files:
            continue
        found = os.statvfs(state / name)
        total = found.f_blocks * found.f_frsize
        says = f"{size / _GIB:.2f} GiB in {files} files"
        if total and size / total > MUCH:
            yield warning(name, f"{says}, {size / total:.0%} of its disk", remedy)
        else:
            yield well(name, says)


def set_aside(subject: Subject) -> Iterator[Diagnosis]:
    """Stored files that cannot be trusted."""
    folder = subject.configuration.state_directory / "spool" / "corrupt"
    count = sum(not name.endswith(".reason") for name in os.listdir(folder)) if folder.is_dir() else 0
    if count:
        yield warning(
            "set aside",
            f"{count} damaged or unreadable files in {folder}",
            "Beside each is a file that says why; spool verify and the log name what is to be sent again.",
        )
    else:
        yield well("set aside", "no damaged file")


def _measured(folder: Path) -> tuple[int, int]:
    """How many files a folder has, and their bytes; one that goes meanwhile is none."""
    files = size = 0
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return 0, 0
    for entry in entries:
        try:
            size += entry.stat().st_size
        except FileNotFoundError:
            continue
        files += 1
    return files, size
