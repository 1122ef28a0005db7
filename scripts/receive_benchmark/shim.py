"""Builds the shim that makes a receiver durable against its will, and reads how often it called fsync."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .processes import Stopped

SOURCE = Path(__file__).with_name("shim.c")


def build_shim(folder: Path) -> Path:
    """Compile the shim into ``folder``; Stopped without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Stopped("a C compiler is needed for storescp+fsync (Debian: gcc, libc6-dev)")
    library = folder / "fsync-on-close.so"
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", str(library), str(SOURCE), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode != 0:
        raise Stopped(f"the shim does not compile: {done.stderr[-1000:]}")
    return library


def new_count(path: Path) -> dict[str, str]:
    """Make the file that counts; what the environment of the receiver needs for it."""
    path.write_bytes(bytes(8))
    return {"KUVA_FSYNC_COUNT": str(path)}


def read_count(path: Path) -> int:
    """How many times fsync was called on closing so far."""
    return int.from_bytes(path.read_bytes()[:8], "little")
