"""An archive that is dead or slow is left alone for a while, by all processes, and asked again by one question."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
from pydicom.dataset import Dataset

from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import Command
from kuva_gateway.network.records import Response
from kuva_gateway.scp.upstream_rest import FIRST, LONGEST, NAME, UpstreamRest, resting_seconds
from kuva_gateway.spool import Spool
from kuva_gateway.spool.fetched import FetchedFiles
from tests.support import free_port, wait_until
from tests.unit.scp.conftest import Lines
from tests.unit.scp.querying import querying
from tests.unit.scp.test_retrieval import STUDY_GET, Asker
from tests.unit.scp.upstream_archive import match, scripted_archive

CANNOT_COUNT = 0xA701
PATIENCE = 15.0


class House:
    """What two processes know of one archive, and the clock of both."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.log = Lines()
        self.spool = Spool(folder, minimum_free=0)
        self.one, self.other = (
            UpstreamRest(self.spool, name="archive", patience=PATIENCE, log=self.log, clock=lambda: self.now)
            for _ in range(2)
        )

    @property
    def said(self) -> list[str]:
        return [line["event"] for line in self.log.lines]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_all_processes_leave_it_alone_until_one_question_finds_out(house: House) -> None:
    assert house.one.refusal() == ""
    house.one.failed("no answer in time", house.one.began())
    assert house.other.refusal() == "no answer in time; asked again in 30 s"
    house.now += FIRST - 1
    assert house.one.refusal() == "no answer in time; asked again in 1 s"
    house.now += 1
    assert house.other.refusal() == ""
    assert house.one.refusal() != ""  # the other one asks
    house.other.answered()
    assert house.one.refusal() == house.other.refusal() == ""
    assert house.said == ["upstream_rests", "upstream_is_back"]


def test_each_question_that_fails_doubles_the_rest_up_to_some_minutes_and_nothing_more_is_said(house: House) -> None:
    rests = []
    for _ in range(6):
        assert house.one.refusal() == ""
        house.one.failed("away", house.one.began())
        begun = house.now
        while house.one._path.exists() and (refusal := house.other.refusal()):
            house.now += float(refusal.rsplit(" ", 2)[1])
        rests.append(house.now - begun)
        house.now += PATIENCE  # what was found out just now is not told
    assert rests == [30, 60, 120, 240, LONGEST, LONGEST]
    assert house.said == ["upstream_rests"]


def test_questions_that_failed_together_count_once_and_one_that_was_never_told_of_holds_nobody_up(house: House) -> None:
    began = house.one.began()
    house.now += 10
    house.one.failed("no answer in time", began)
    house.now += 0.1
    house.other.failed("no answer in time", began)
    house.now += FIRST
    assert house.one.refusal() == ""
    assert "asked again in 15 s" in house.other.refusal()
    house.now += PATIENCE
    assert house.other.refusal() == ""


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"failures": 3, "until": 1e300, "since": 5}', b'{"x": 1}', b'{"failures": "3"}']
)
def test_a_file_that_says_nothing_stops_nobody(house: House, text: bytes) -> None:
    (house.spool.fetched / NAME).write_bytes(text)
    assert house.one.refusal() == ""
    assert resting_seconds(house.spool) == 0
    house.one.answered()
    house.one.failed("away", house.one.began())
    assert house.other.refusal() != ""


def test_it_is_known_for_figures_and_forgotten_at_a_start(tmp_path: Path) -> None:
    spool = Spool(tmp_path, minimum_free=0)
    assert resting_seconds(spool) == 0
    rest = UpstreamRest(spool, name="archive", patience=PATIENCE)
    began = monotonic()
    rest.failed("away", rest.began())
    assert 0 <= resting_seconds(spool) <= monotonic() - began
    assert os.stat(spool.fetched / NAME).st_mode & 0o777 == 0o600
    FetchedFiles(spool, keep_for=60).sweep(starting=True)
    assert rest.refusal() == ""


def test_a_dead_archive_is_asked_once_and_everybody_else_is_answered_at_once(tmp_path: Path) -> None:
    with querying(tmp_path, allow=("find", "get"), archive={"port": free_port()}, upstream_timeout=5) as gateway:
        gateway.hospital.send("1.2.1", 1)
        first, second = gateway.find(StudyInstanceUID=""), gateway.find(StudyInstanceUID="")
        assert first.statuses == second.statuses == [0xFF00, 0]
        assert first.comment.startswith("not all of the archive")
        assert "asked again in" in second.comment
        with Asker(gateway, STUDY_GET) as asker:
            asker.get(StudyInstanceUID="1.2.9")
            final = asker.answers()[-1]
            assert final.status == CANNOT_COUNT
            assert "archive" in final.command.error_comment
        assert len(gateway.log.of("upstream_rests")) == len(gateway.log.of("upstream_query")) == 1


@contextmanager
def silent() -> Iterator[tuple[int, threading.Event]]:
    """An archive that takes every query and says nothing to it, until it is let."""
    speaks, asked = threading.Event(), threading.Event()

    def answer(association: Association, command: Command, identifier: Dataset) -> Iterable[Response]:
        asked.set()
        while not speaks.is_set() and not association.cancelled(command.message_id or 0):
            speaks.wait(0.02)
        if speaks.is_set():
            yield match(StudyInstanceUID="1.2.9")
        yield Response(status=0)

    with scripted_archive() as (archive, port):
        archive.answer = answer
        yield port, speaks
        speaks.set()


def test_an_archive_that_never_answers_costs_its_time_once(tmp_path: Path) -> None:
    with (
        silent() as (port, speaks),
        querying(tmp_path, allow=("find", "get"), archive={"port": port}, upstream_timeout=0.3) as gateway,
    ):
        found = gateway.find(StudyInstanceUID="")
        assert "no answer in time" in found.comment
        found = gateway.find(StudyInstanceUID="")
        assert (found.final, "asked again in" in found.comment) == (0, True)
        with Asker(gateway, STUDY_GET) as asker:
            asker.get(StudyInstanceUID="1.2.9")
            assert asker.answers()[-1].status == CANNOT_COUNT
        (line,) = gateway.log.of("upstream_rests")
        assert (line["upstream"], line["why"]) == ("archive", "no answer in time")
        path = tmp_path / "spool" / "fetched" / NAME
        path.write_bytes(path.read_bytes().replace(b'"until": ', b'"until": -1'))  # its rest is over
        speaks.set()
        assert gateway.find(StudyInstanceUID="").values("StudyInstanceUID") == ["1.2.9"]
        wait_until(lambda: gateway.log.of("upstream_is_back"), what="the line")
        assert resting_seconds(gateway.hospital.spool) == 0
