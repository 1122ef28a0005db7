"""Retrieval of what only the archive has: fetched by C-GET, streamed on, kept for a while, and never received."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from kuva_gateway.forward.call import Call
from kuva_gateway.network import ProposedContext, Target, connect
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import C_FIND_RQ, Command
from kuva_gateway.network.records import Response
from kuva_gateway.scp import fetching, retrieval
from kuva_gateway.scp.fetching import Fetching
from kuva_gateway.spool import Spool
from kuva_gateway.spool.awaited import Wanted
from kuva_gateway.spool.fetched import GRACE, FetchedFiles
from tests.support import free_port, wait_until
from tests.unit.catalog.making import data_set, encode
from tests.unit.forward.archive import Archive, running
from tests.unit.forward.orthanc import orthanc
from tests.unit.scp.conftest import CT, EXPLICIT, MR, TIMERS
from tests.unit.scp.querying import Querying, querying
from tests.unit.scp.test_retrieval import PENDING, STUDY_GET, STUDY_MOVE, SUCCESS, Asker
from tests.unit.scp.upstream_archive import ScriptedArchive, match, scripted_archive

IMAGES = 4
WANTED = Wanted(study="1.2.9", series="1.2.9.1", sop_instance="1.2.9.1.1", sop_class=CT)
SOME_FAILED, ALL_FAILED, CANNOT_COUNT = 0xB000, 0xA702, 0xA701
PROCESSING_FAILURE, NOT_AUTHORISED, CANCELLED = 0x0110, 0x0124, 0xFE00


@dataclass
class Far:
    """Study 1.2.9 at the archive: what it lists, and what it sends of it."""

    archive: ScriptedArchive
    stop_after: int = IMAGES
    final: int = 0
    break_off: bool = False
    hold: threading.Event | None = None
    changes: dict[str, dict[str, str]] = field(default_factory=dict)
    instead: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    gets: list[Dataset] = field(default_factory=list)

    def answer(self, association: Association, command: Command, asked: Dataset) -> Iterable[Response]:
        if command.field == C_FIND_RQ:
            yield from self._found(asked)
            return
        self.gets.append(asked)
        uids = asked.SOPInstanceUID if not isinstance(asked.SOPInstanceUID, str) else [asked.SOPInstanceUID]
        context = association.context_for(CT)
        for number, uid in enumerate(uids):
            if number == self.stop_after:
                if self.break_off:
                    association.abort("broken off")
                    association.cancelled(0)
                yield Response(status=self.final or 0xB000)
                return
            if number == 1 and self.hold is not None:
                assert self.hold.wait(20)
            data = encode(data_set("1.2.9", 1, int(uid.rsplit(".", 1)[1]), **self.changes.get(uid, {})))
            sent = association.store(context, sop_class=CT, sop_instance=self.instead.get(uid, uid), data=[data])
            self.statuses.append(sent.status)
            yield Response(status=PENDING, remaining=1, completed=1, failed=0, warning=0)
        yield Response(status=self.final)

    def _found(self, asked: Dataset) -> Iterable[Response]:
        if asked.StudyInstanceUID == "1.2.9" and asked.QueryRetrieveLevel == "SERIES":
            yield match(StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1")
        elif asked.StudyInstanceUID == "1.2.9":
            for number in range(1, IMAGES + 1):
                yield match(SOPInstanceUID=f"1.2.9.1.{number}", SOPClassUID=CT)
        elif asked.QueryRetrieveLevel == "IMAGE":
            for uid in asked.SOPInstanceUID:
                yield match(SOPInstanceUID=uid, SOPClassUID=CT)
        yield SUCCESS_RESPONSE


SUCCESS_RESPONSE = Response(status=0)


@dataclass
class House:
    gateway: Querying
    far: Far
    destination: Archive
    folder: Path

    @property
    def fetched(self) -> list[Path]:
        return [one for one in (self.folder / "spool" / "fetched").iterdir() if not one.name.startswith(".")]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with scripted_archive() as (archive, port), running() as destination:
        call = Call(
            name="viewer",
            host="127.0.0.1",
            port=destination.port,
            called_ae="VIEWER",
            calling_ae="KUVAGW",
            timers=TIMERS,
        )
        far = Far(archive)
        archive.answer = far.answer
        with querying(
            tmp_path / "state", allow=("find", "move", "get"), callee={"VIEWER": call}.get, archive={"port": port},
            upstream_timeout=5,
        ) as gateway:  # fmt: skip
            yield House(gateway, far, destination, tmp_path / "state")


def test_what_only_the_archive_has_is_fetched_kept_and_then_given_from_here(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "WAIT", 300)  # its end is heard of, and not looked for
    for _ in range(2):
        with Asker(house.gateway, STUDY_GET) as asker:
            asker.get(StudyInstanceUID="1.2.9")
            *pending, final = asker.answers()
            assert final.status == SUCCESS
            assert final.counts == (None, IMAGES, 0, 0)
            assert all(one.status == PENDING for one in pending)
            assert sorted(asker.received) == [f"1.2.9.1.{number}" for number in range(1, IMAGES + 1)]
    assert len(house.far.gets) == 1
    assert len(house.fetched) == IMAGES
    assert {one.stat().st_mode & 0o777 for one in house.fetched} == {0o600}
    catalog = house.gateway.hospital.catalog
    with catalog.read() as session:
        assert session.value("SELECT COUNT(*) FROM studies") == 0
    assert not list((house.folder / "spool" / "arrived").iterdir())


def test_it_goes_on_to_a_destination_before_all_of_it_has_come(house: House) -> None:
    house.far.hold = threading.Event()
    with Asker(house.gateway, STUDY_MOVE) as asker:
        asker.move("VIEWER", StudyInstanceUID="1.2.9")
        wait_until(lambda: len(house.destination.stored) == 1, what="the first image")
        house.far.hold.set()
        *_, final = asker.answers()
    assert (final.status, final.counts) == (SUCCESS, (None, IMAGES, 0, 0))
    assert len(house.destination.stored) == IMAGES


@pytest.mark.parametrize("break_off", [False, True])
def test_an_archive_that_fails_midway_leaves_the_right_counts(house: House, break_off: bool) -> None:
    house.far.stop_after, house.far.break_off = 2, break_off
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.9")
        *_, final = asker.answers()
    assert (final.status, final.counts) == (SOME_FAILED, (None, 2, 2, 0))
    assert final.failed_uids == ["1.2.9.1.3", "1.2.9.1.4"]
    assert "archive" in final.command.error_comment
    house.far.stop_after, house.far.break_off = IMAGES, False
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.9")
        assert asker.answers()[-1].status == SUCCESS
    assert house.far.gets[-1].SOPInstanceUID == ["1.2.9.1.3", "1.2.9.1.4"]


def test_what_retention_removed_comes_from_the_archive_and_the_rest_from_here(house: House) -> None:
    house.gateway.hospital.send("1.2.9", IMAGES)
    catalog = house.gateway.hospital.catalog
    with catalog.write() as session:
        session.execute("UPDATE instances SET purged_at = ? WHERE uid LIKE '%.3'", "2026-01-01T00:00:00Z")
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.9")
        *_, final = asker.answers()
        assert (final.status, final.counts) == (SUCCESS, (None, IMAGES, 0, 0))
    assert [one.SOPInstanceUID for one in house.far.gets] == ["1.2.9.1.3"]


def test_nothing_is_fetched_for_a_study_that_is_hidden_or_for_whom_no_right_covers(house: House) -> None:
    house.gateway.hospital.send("1.2.9", 1)
    with house.gateway.hospital.catalog.write() as session:
        session.execute("UPDATE studies SET state = 'withdrawn'")
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.9")
        assert asker.answers()[-1].counts == (None, 0, 0, 0)
        asker.get(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1")
        assert asker.answers()[-1].counts == (None, 0, 0, 0)
    assert not house.far.gets


def test_an_archive_that_is_away_fails_what_is_not_here_and_nothing_else(tmp_path: Path) -> None:
    with querying(tmp_path, allow=("get",), archive={"port": free_port()}, upstream_timeout=5) as gateway:
        gateway.hospital.send("1.2.1", 2)
        with Asker(gateway, STUDY_GET) as asker:
            asker.get(StudyInstanceUID="1.2.1")
            assert asker.answers()[-1].status == SUCCESS
            asker.get(StudyInstanceUID="1.2.9")
            final = asker.answers()[-1]
            assert final.status == CANNOT_COUNT
            assert "archive" in final.command.error_comment
            asker.get(StudyInstanceUID="1.2.1\\1.2.9")
            assert asker.answers()[-1].counts == (None, 2, 1, 0)


@pytest.mark.slow
def test_an_asker_that_goes_away_ends_the_fetch(house: House) -> None:
    house.far.hold = threading.Event()
    before = house.far.archive.closed_count
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.9")
        assert asker.answer().status == PENDING
    wait_until(lambda: [one for one in house.gateway.log.lines if one["event"] == "retrieval"], what="the end")
    house.far.hold.set()
    wait_until(lambda: house.far.archive.closed_count >= before + 2, what="the archive's associations")
    wait_until(
        lambda: not any(one.name == "fetch from archive" for one in threading.enumerate()), what="the thread's end"
    )


def test_copies_are_swept_when_their_time_is_over(tmp_path: Path) -> None:
    now = [1e9]
    spool = Spool(tmp_path, minimum_free=0)
    files = FetchedFiles(spool, keep_for=60, clock=lambda: now[0])
    copying = files.begin(WANTED, CT, EXPLICIT)
    copying.write(memoryview(encode(data_set("1.2.9", 1, 1))))
    assert files.find("1.2.9.1.1") is None
    found = copying.keep()
    (path,) = spool.fetched.iterdir()
    now[0] = path.stat().st_mtime + 59
    assert files.find("1.2.9.1.1") == found
    now[0] += 1
    assert files.find("1.2.9.1.1") is None
    assert files.sweep() == 0
    now[0] += GRACE
    assert files.sweep() == 1
    unfinished = files.begin(WANTED, CT, EXPLICIT)
    unfinished.drop()
    assert not list(spool.fetched.iterdir())


@pytest.mark.slow
def test_orthanc_is_asked_and_gives_its_images(tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc", report_port=free_port()) as archive:
        target = Target(host="127.0.0.1", port=archive.port, called_ae="ARCHIVE", calling_ae="KUVAGW")
        contexts = [ProposedContext(id=1, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,))]
        sent = {f"1.2.9.1.{number}": encode(data_set("1.2.9", 1, number, PatientID="P9")) for number in (1, 2, 3)}
        with connect(target, contexts, timers=TIMERS) as association:
            for uid, data in sent.items():
                answer = association.store(association.contexts[1], sop_class=CT, sop_instance=uid, data=[data])
                assert answer.status == 0
        with querying(tmp_path / "state", allow=("find", "get"), archive={"port": archive.port}) as gateway:
            gateway.hospital.send("1.2.1", 1, PatientID="P9")
            found = gateway.find(PatientID="P9", NumberOfStudyRelatedInstances="", InstanceAvailability="")
            assert [(one.StudyInstanceUID, one.InstanceAvailability) for one in found.data_sets] == [
                ("1.2.1", "ONLINE"),
                ("1.2.9", "NEARLINE"),
            ]
            with Asker(gateway, STUDY_GET) as asker:
                asker.get(StudyInstanceUID="1.2.9")
                final = asker.answers()[-1]
                assert (final.status, final.counts) == (SUCCESS, (None, 3, 0, 0))
            kept = [dcmread(BytesIO(one.read_bytes())) for one in (tmp_path / "state/spool/fetched").iterdir()]
            assert {one.SOPInstanceUID for one in kept} == set(sent)
            assert {one.PatientID for one in kept} == {"P9"}


def test_the_sop_classes_are_asked_of_the_study_and_of_each_image_only_where_the_archive_does_not_say(
    house: House,
) -> None:
    find = house.far._found

    def found(asked: Dataset) -> Iterable[Response]:
        if "SOPClassesInStudy" in asked:
            yield match(StudyInstanceUID="1.2.9", SOPClassesInStudy=[CT, MR, "no uid"])
        yield from find(asked)

    for tells in (False, True):
        house.far._found = found if tells else find  # type: ignore[method-assign]
        house.far.archive.asked.clear()
        with Asker(house.gateway, STUDY_GET) as asker:
            asker.get(StudyInstanceUID="1.2.9")
            assert asker.answers()[-1].counts == (None, IMAGES, 0, 0)
        images = [one for one in house.far.archive.asked if one.get("QueryRetrieveLevel") == "IMAGE"]
        assert ["SOPClassUID" in one for one in images] == ([False, False] if tells else [True, False])
        for path in house.fetched:
            path.unlink()


def test_an_archive_that_sends_other_images_than_it_was_asked_for_gives_none_of_them(house: House) -> None:
    house.far.changes = {"1.2.9.1.1": {"StudyInstanceUID": "1.2.8"}, "1.2.9.1.2": {"SeriesInstanceUID": "1.2.9.2"}}
    house.far.instead = {"1.2.9.1.3": "1.2.9.1.33"}
    house.far.final = SOME_FAILED
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.9")
        final = asker.answers()[-1]
        assert (final.status, final.counts) == (SOME_FAILED, (None, 1, 3, 0))
        assert final.failed_uids == ["1.2.9.1.1", "1.2.9.1.2", "1.2.9.1.3"]
        assert asker.received == ["1.2.9.1.4"]
    assert house.far.statuses == [PROCESSING_FAILURE, PROCESSING_FAILURE, NOT_AUTHORISED, SUCCESS]
    assert len(house.fetched) == 1
    assert len(list((house.folder / "spool" / "fetched").glob(".copy-*"))) == 0


@pytest.mark.parametrize("destination", [None, "KUVAFETCH"])
def test_an_archive_that_takes_the_request_and_never_answers_ends_the_fetch_by_the_responses_deadline(
    tmp_path: Path, destination: str | None
) -> None:
    over = threading.Event()

    def silent(association: Association, command: Command, asked: Dataset) -> Iterable[Response]:
        assert over.wait(20)
        return ()

    with scripted_archive() as (archive, port):
        archive.answer = silent
        timers = replace(TIMERS, response=0.2)
        call = Call(name="a", host="127.0.0.1", port=port, called_ae="ARCHIVE", calling_ae="KUVAGW", timers=timers)
        files = FetchedFiles(Spool(tmp_path, minimum_free=0), keep_for=60)
        fetch = Fetching(call, call, files, seconds=5, destination=destination).fetch([WANTED])
        assert not [one for one in fetch.instances() if one is not None]
        assert fetch.missing() == [WANTED.sop_instance]
        assert fetch.why.startswith("the archive")
        assert not files.awaited.any()
        over.set()


def test_an_asker_hears_that_the_gateway_is_at_it_while_the_archive_lists_and_may_cancel(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "PENDING_AT_LEAST_EVERY", 0.05)
    lists, find = threading.Event(), house.far._found

    def slow(asked: Dataset) -> Iterable[Response]:
        assert lists.wait(20)
        return find(asked)

    house.far._found = slow  # type: ignore[method-assign]
    with Asker(house.gateway, STUDY_GET) as asker:
        asker.get(StudyInstanceUID="1.2.9")
        first = asker.answer()
        assert (first.status, first.counts) == (PENDING, (1, 0, 0, 0))
        asker.cancel()
        while (answer := asker.answer()).status == PENDING:
            pass
        assert answer.status == CANCELLED
        lists.set()
        asker.get(StudyInstanceUID="1.2.9")
        assert asker.answers()[-1].counts == (None, IMAGES, 0, 0)
