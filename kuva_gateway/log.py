"""Structured log lines: one per association, attempt and verdict, with the ids that join them.

A line holds identifiers of things (study, entry, association, peer), never of patients. Lines go to standard error:
JSON for machines, readable text on a terminal.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from typing import Any, Literal, TextIO, cast

import structlog

Level = Literal["debug", "info", "warning", "error"]
_NUMBERS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(
    *, form: Literal["auto", "json", "text"] = "auto", level: Level = "info", stream: TextIO | None = None
) -> None:
    """Send every logger's lines to ``stream`` (default: standard error) in ``form``, from ``level`` upwards."""
    target = stream if stream is not None else sys.stderr
    as_json = form == "json" or (form == "auto" and not target.isatty())
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=target.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Lasting(target))),
        cache_logger_on_first_use=False,
    )
    _quieten_libraries()


class _Lasting:
    """A stream whose end is no reason to stop: a log that nobody can read any more must not cost an image."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def configure_for_commands() -> None:
    """Send what libraries of ours say during a command to standard error: standard output is for results."""
    if not structlog.is_configured():
        configure(form="text", level="warning")


def get_logger(name: str) -> Any:
    """A logger whose lines carry ``part=name``."""
    return structlog.get_logger(part=name)


def _quieten_libraries() -> None:
    """Libraries' own lines may quote peers' bytes; only their warnings about themselves get through, as one line."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    # Each quotes the value that it is about, and Python remembers every text that it has shown.
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom)\b")
