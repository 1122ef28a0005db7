"""The machine: what the program runs on, and whether its clock can be believed."""

from __future__ import annotations

import ctypes
import platform
import sqlite3
import ssl
from collections.abc import Iterator
from importlib import metadata

from kuva_gateway import __version__
from kuva_gateway.doctor.findings import Diagnosis, Subject, fault, warning, well

OLDEST_SQLITE = (3, 35, 0)
"""The first with RETURNING, which the catalog uses."""

_LIBRARIES = ("pydicom", "pynetdicom", "peewee", "psycopg", "apscheduler", "pydantic", "structlog", "lxml")
_TIMEX_SIZE = 256  # struct timex has 208 bytes on 64-bit Linux (adjtimex(2))
_CLOCK_ERROR = 5  # TIME_ERROR: not synchronised


def installation(subject: Subject) -> Iterator[Diagnosis]:
    """The versions of what everything rests on."""
    missing = [name for name in _LIBRARIES if _version(name) is None]
    if missing:
        yield fault(
            "installation",
            f"not installed: {', '.join(missing)}",
            "Install the program anew into its virtual environment.",
        )
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        yield fault(
            "installation",
            f"SQLite is {sqlite3.sqlite_version}, at least {needed} is needed",
            "Run the gateway with a newer Python or a newer system.",
        )
        return
    if not missing:
        yield well(
            "installation",
            f"kuva-gateway {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
            f"{ssl.OPENSSL_VERSION.partition('  ')[0]}",
        )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def clock(subject: Subject) -> Iterator[Diagnosis]:
    """Whether the kernel says that the clock follows a time server (adjtimex(2))."""
    state = clock_state()
    if state is None:
        yield warning(
            "clock", "the kernel does not tell whether the clock is synchronised", "Look with timedatectl or chronyc."
        )
    elif state == _CLOCK_ERROR:
        yield warning(
            "clock",
            "the clock does not follow a time server",
            "Set up chrony or systemd-timesyncd: validity of codes, retries and certificates go by this clock.",
        )
    else:
        yield well("clock", f"synchronised; {subject.now:%Y-%m-%d %H:%M:%S} UTC")


def clock_state() -> int | None:
    """What adjtimex(2) returns for a question that sets nothing; None where there is no answer."""
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_SIZE))
    except (OSError, AttributeError):
        return None
    return state if state >= 0 else None
