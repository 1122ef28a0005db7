"""Structured log lines: one per association, attempt and verdict, with the ids that join them.

A line holds identifiers of things (study, entry, association, peer), never of patients. Lines go to standard error:
JSON for machines, readable text on a terminal; where that is systemd's journal, to the journal with fields.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import sys
import warnings
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog

from kuva_gateway.log.journald import PREFIX, Journal, is_stream, plain
from kuva_gateway.log.repeats import Limited

__all__ = ["PREFIX", "Level", "Limited", "configure", "configure_for_commands", "get_logger", "limited"]

Level = Literal["debug", "info", "warning", "error"]
_NUMBERS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(
    *, form: Literal["auto", "json", "text"] = "auto", level: Level = "info", stream: TextIO | None = None
) -> None:
    """Send every logger's lines to ``stream`` (default: standard error) in ``form``, from ``level`` upwards.

    ``auto``: fields of the journal where the stream is the journal's, text on a terminal, JSON elsewhere.
    """
    target = stream if stream is not None else sys.stderr
    journal = _journal() if form == "auto" and is_stream(target) else None
    factory: Any = structlog.WriteLoggerFactory(cast("TextIO", _Lasting(target)))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            *([] if journal else [structlog.processors.TimeStamper(fmt="iso", utc=True)]),
            structlog.processors.format_exc_info,
            journal_line if journal else _renderer(form, target),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[level]),
        logger_factory=(lambda *_: _ToJournal(journal)) if journal else factory,
        cache_logger_on_first_use=False,
    )
    _quieten_libraries()


def _renderer(form: str, target: TextIO) -> Any:
    if form == "json" or (form == "auto" and not target.isatty()):
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=target.isatty())


@functools.cache
def _journal() -> Journal:
    return Journal()


def journal_line(logger: object, method: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    """What the journal is sent of a line: text for people with every value, and the values as fields."""
    event, level = str(line.pop("event", "")), str(line.pop("level", method))
    trouble = line.pop("exception", None)
    words = [event, *(f"{name}={_quoted(value)}" for name, value in line.items() if name != "part")]
    text = " ".join(words) if trouble is None else f"{' '.join(words)}\n{trouble}"
    return {"text": text, "level": level, "fields": {"event": event, **line}}


def _quoted(value: object) -> str:
    """On one line, and told apart from what stands beside it."""
    text = plain(value)
    harmless = text.isprintable() and not any(mark in text for mark in ' "=')
    return text if harmless or not isinstance(value, str) else json.dumps(text, ensure_ascii=False)


class _ToJournal:
    """What structlog calls with each line."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def msg(self, *, text: str, level: str, fields: dict[str, Any]) -> None:
        self._journal.send(text, level, fields)

    debug = info = warning = error = critical = exception = msg


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


def limited(log: Any) -> Limited:
    """The same logger for lines that a peer can provoke: so many of a kind from one address, then a count."""
    return Limited(log)


def _quieten_libraries() -> None:
    """Libraries' own lines may quote peers' bytes; only their warnings about themselves get through, as one line."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    # Each quotes the value that it is about, and Python remembers every text that it has shown.
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom)\b")
