"""Log lines are JSON for programs and text for people."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator

import pytest
import structlog

from kuva_gateway import log


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_lines_are_json_where_no_terminal_is() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    log.get_logger("scp").info("association closed", association=7)
    line = json.loads(stream.getvalue())
    assert (line["part"], line["event"], line["association"], line["level"]) == ("scp", "association closed", 7, "info")
    assert line["timestamp"].endswith("Z")


def test_lines_are_text_when_asked_for() -> None:
    stream = io.StringIO()
    log.configure(form="text", stream=stream)
    log.get_logger("scp").warning("resting", destination="archive")
    assert "resting" in stream.getvalue()
    assert "destination=archive" in stream.getvalue()


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    log.configure(level="warning", stream=stream)
    log.get_logger("scp").info("quiet")
    assert stream.getvalue() == ""


def test_a_log_that_nobody_reads_any_more_stops_nothing() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    logger = log.get_logger("scp")
    stream.close()
    logger.info("association closed")
    with open("/dev/full", "w") as full:
        log.configure(stream=full)
        log.get_logger("scp").info("association closed")
        with contextlib.suppress(OSError):
            full.close()
