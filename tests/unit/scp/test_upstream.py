"""Queries that are also put to the archive: merged, each match once, and never at the archive's mercy."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from pydicom.dataset import Dataset

from kuva_gateway.catalog import studies
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import Command
from kuva_gateway.network.records import Response
from kuva_gateway.scp import upstream
from tests.support import free_port, wait_until
from tests.unit.scp.conftest import EXPLICIT, IMPLICIT
from tests.unit.scp.querying import PATIENT_ROOT, Querying, ask, identifier, querying
from tests.unit.scp.upstream_archive import ScriptedArchive, match, scripted_archive

SUCCESS = Response(status=0)
TIMEOUT = 0.7


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Querying, ScriptedArchive]]:
    """A gateway that holds one study, and an archive."""
    with (
        scripted_archive() as (archive, port),
        querying(
            tmp_path_factory.mktemp("both"), archive={"port": port}, upstream_timeout=TIMEOUT, limit=40
        ) as gateway,
    ):
        gateway.hospital.send("1.2.1", PatientName="Virtanen^Matti", PatientID="P1")
        yield gateway, archive


@pytest.fixture
def pair(both: tuple[Querying, ScriptedArchive]) -> tuple[Querying, ScriptedArchive]:
    """The same, with nothing said yet."""
    gateway, archive = both
    archive.asked.clear()
    archive.cancelled.clear()
    return gateway, archive


def says(archive: ScriptedArchive, *responses: Response) -> None:
    archive.answer = lambda *_: (*responses, SUCCESS)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_answers_of_both_come_and_what_is_here_comes_once(pair: tuple[Querying, ScriptedArchive], syntax: str) -> None:
    gateway, archive = pair
    says(
        archive,
        match(StudyInstanceUID="1.2.1", PatientID="P1", PatientName="Elsewhere^Otherwise"),
        match(
            StudyInstanceUID="1.2.9", PatientID="P1", PatientName="Mäkelä^Åke", SpecificCharacterSet="ISO_IR 192",
            ModalitiesInStudy=["CT", "MR"], NumberOfStudyRelatedInstances="7", RetrieveAETitle="OTHER",
        ),
        match(StudyInstanceUID="1.2.9", PatientID="P1", PatientName="Twice^Said"),
    )  # fmt: skip
    found = gateway.find(
        syntax=syntax, PatientID="P1", PatientName="", ModalitiesInStudy="", NumberOfStudyRelatedInstances="",
        InstanceAvailability="",
    )  # fmt: skip
    assert found.statuses == [0xFF00, 0xFF00, 0]
    assert not found.comment
    here, there = found.data_sets
    assert (here.StudyInstanceUID, str(here.PatientName), here.InstanceAvailability) == (
        "1.2.1", "Virtanen^Matti", "ONLINE",
    )  # fmt: skip
    assert (there.StudyInstanceUID, str(there.PatientName)) == ("1.2.9", "Mäkelä^Åke")
    assert (list(there.ModalitiesInStudy), there.NumberOfStudyRelatedInstances) == (["CT", "MR"], 7)
    assert (there.InstanceAvailability, there.RetrieveAETitle) == ("NEARLINE", "KUVAGW")
    (asked,) = archive.asked
    assert (asked.PatientID, asked.StudyInstanceUID, asked.QueryRetrieveLevel) == ("P1", "", "STUDY")


def test_series_and_images_that_are_not_here_are_told_of_a_study_that_is(
    pair: tuple[Querying, ScriptedArchive],
) -> None:
    gateway, archive = pair
    says(
        archive,
        match(QueryRetrieveLevel="SERIES", SeriesInstanceUID="1.2.1.1", Modality="XX"),
        match(QueryRetrieveLevel="SERIES", SeriesInstanceUID="1.2.1.7", Modality="MR"),
    )
    found = gateway.find(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2.1", SeriesInstanceUID="", Modality="")
    assert [(one.SeriesInstanceUID, one.Modality) for one in found.data_sets] == [("1.2.1.1", "CT"), ("1.2.1.7", "MR")]
    image: dict[str, Any] = {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.1"}
    says(archive, match(SOPInstanceUID="1.2.1.1.1", Rows=9), match(SOPInstanceUID="1.2.1.1.5", Rows=512))
    found = gateway.find(**image, SOPInstanceUID="", Rows=None, InstanceNumber="")
    assert found.values("SOPInstanceUID") == ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.5"]
    found = gateway.find(**image, SOPInstanceUID="1.2.1.1.5", Rows="")
    assert [one.Rows for one in found.data_sets] == [512]


def test_a_patient_is_told_once_by_id_and_issuer(pair: tuple[Querying, ScriptedArchive]) -> None:
    gateway, archive = pair
    gateway.hospital.send("1.2.5", 1, PatientID="P5", IssuerOfPatientID="ours")
    says(
        archive,
        match(QueryRetrieveLevel="PATIENT", PatientID="P5", IssuerOfPatientID="ours"),
        match(QueryRetrieveLevel="PATIENT", PatientID="P5"),
        match(QueryRetrieveLevel="PATIENT", PatientID="P5", IssuerOfPatientID="theirs"),
    )
    found = gateway.find(PATIENT_ROOT, QueryRetrieveLevel="PATIENT", PatientID="P5", IssuerOfPatientID="")
    assert [one.IssuerOfPatientID for one in found.data_sets] == ["ours", "theirs"]


def test_what_was_withdrawn_here_is_not_seen_as_the_archives(tmp_path: Path) -> None:
    with scripted_archive() as (archive, port), querying(tmp_path, archive={"port": port}, show_held=False) as gateway:
        gateway.hospital.send("1.2.1", 1)
        with gateway.hospital.catalog.write() as session:
            session.execute("UPDATE studies SET state = 'held' WHERE uid = '1.2.1'")
        assert studies.find(gateway.hospital.catalog, "1.2.1") is not None
        says(archive, match(StudyInstanceUID="1.2.1"))
        assert gateway.find(StudyInstanceUID="1.2.1").statuses == [0]
        says(archive, match(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.9"))
        found = gateway.find(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2.1", SeriesInstanceUID="")
        assert found.statuses == [0]
        assert len(archive.asked) == 2


def test_a_producer_is_told_nothing_of_the_archive_that_no_right_covers(
    pair: tuple[Querying, ScriptedArchive],
) -> None:
    gateway, archive = pair
    says(archive, match(StudyInstanceUID="1.2.9"))
    with gateway.associate(calling="PRODUCER") as association:
        assert ask(association, identifier(StudyInstanceUID="1.2.9")).statuses == [0]
    assert not archive.asked
    says(archive, match(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1"))
    with gateway.associate(calling="PRODUCER") as association:
        asked = identifier(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2.9", SeriesInstanceUID="")
        assert ask(association, asked).statuses == [0]


def test_the_archive_is_not_asked_what_it_asks_nor_for_what_is_online(pair: tuple[Querying, ScriptedArchive]) -> None:
    gateway, archive = pair
    says(archive, match(StudyInstanceUID="1.2.9"))
    with gateway.associate(calling="ARCHIVE") as association:
        assert ask(association, identifier(StudyInstanceUID="1.2.9")).statuses == [0]
    assert gateway.find(StudyInstanceUID="1.2.9", InstanceAvailability="ONLINE").statuses[-1] == 0
    assert not archive.asked


def test_the_limit_counts_the_answers_of_both(pair: tuple[Querying, ScriptedArchive]) -> None:
    gateway, archive = pair
    says(archive, *(match(StudyInstanceUID=f"1.2.50.{number}") for number in range(100)))
    found = gateway.find(StudyInstanceUID="")
    assert len(found.data_sets) == 40
    assert found.final == 0xA700
    assert "1.2.1" in found.values("StudyInstanceUID")


def test_an_archive_that_refuses_or_answers_garbage_costs_its_own_answers_only(
    pair: tuple[Querying, ScriptedArchive],
) -> None:
    gateway, archive = pair
    archive.answer = lambda *_: [
        Response(status=0xFF00, data_set=b"\x08\x00\x05\x00CS\xff\xffgarbage"),
        Response(status=0xFF00, data_set=b""),
        match(PatientID="P1"),
        match(StudyInstanceUID="1.2.9", ModalitiesInStudy="CT"),
        Response(status=0xA700, comment="sick"),
    ]
    found = gateway.find(PatientID="P1", ModalitiesInStudy="")
    assert found.values("StudyInstanceUID") == ["1.2.1", "1.2.9"]
    assert (found.final, found.comment) == (0, "not all of the archive: A700")
    (line,) = [one for one in gateway.log.lines if one["event"] == "upstream_query" and one["why"] == "A700"]
    assert (line["unread"], line["why"], line["answers"]) == (3, "A700", 1)


def test_a_slow_archive_costs_no_more_than_it_may(pair: tuple[Querying, ScriptedArchive]) -> None:
    gateway, archive = pair
    pause = threading.Event()

    def slow(association: Association, command: Command, asked: Dataset) -> Iterable[Response]:
        yield match(StudyInstanceUID="1.2.9")
        while not association.cancelled(command.message_id or 0):
            pause.wait(0.05)
        yield SUCCESS

    archive.answer = slow
    begun = monotonic()
    found = gateway.find(PatientID="P1")
    assert TIMEOUT <= monotonic() - begun < TIMEOUT + 3
    assert found.values("StudyInstanceUID") == ["1.2.1", "1.2.9"]
    assert found.final == 0
    assert "no answer in time" in found.comment
    wait_until(archive.cancelled.is_set, what="the cancel")


def test_a_dead_archive_leaves_what_is_here(tmp_path: Path) -> None:
    with querying(tmp_path, archive={"port": free_port()}, upstream_timeout=5) as gateway:
        gateway.hospital.send("1.2.1", 1)
        found = gateway.find(StudyInstanceUID="")
        assert found.statuses == [0xFF00, 0]
        assert found.comment.startswith("not all of the archive")


def test_a_cancel_goes_on_to_the_archive(tmp_path: Path) -> None:
    begun, never = threading.Event(), threading.Event()

    def endless(association: Association, command: Command, asked: Dataset) -> Iterable[Response]:
        yield match(StudyInstanceUID="1.2.9")
        begun.set()
        while not never.is_set() and not association.cancelled(command.message_id or 0):
            never.wait(0.05)
        yield match(StudyInstanceUID="1.2.10")

    with scripted_archive() as (archive, port), querying(tmp_path, archive={"port": port}) as gateway:
        archive.answer = endless
        with gateway.associate() as association:
            statuses: list[Any] = []
            for answer in association.find(
                association.contexts[1], identifier(StudyInstanceUID=""), enough=begun.is_set
            ):
                statuses.append(answer.status)
            wait_until(archive.cancelled.is_set, what="the cancel at the archive")
            assert statuses in ([], [0xFF00])
            assert ask(association, identifier(StudyInstanceUID="1.2.3", InstanceAvailability="ONLINE")).final == 0
        never.set()


def test_an_archive_that_answers_with_other_patients_and_studies_is_not_believed(
    pair: tuple[Querying, ScriptedArchive],
) -> None:
    gateway, archive = pair
    says(
        archive,
        match(StudyInstanceUID="1.2.9", PatientID="P1"),
        match(StudyInstanceUID="1.2.10", PatientID="P2"),
        match(StudyInstanceUID="1.2.11"),
    )
    assert gateway.find(PatientID="P1").values("StudyInstanceUID") == ["1.2.1", "1.2.11", "1.2.9"]
    assert gateway.find(StudyInstanceUID="1.2.9\\1.2.10", PatientID="P*").values("StudyInstanceUID") == [
        "1.2.10",
        "1.2.9",
    ]
    says(archive, match(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2.8", SeriesInstanceUID="1.2.8.1"))
    found = gateway.find(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2.9", SeriesInstanceUID="")
    assert found.statuses == [0]


def test_an_answer_goes_out_when_the_archive_has_ended_and_not_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "LOOK_EVERY", 300)
    with (
        scripted_archive() as (archive, port),
        querying(tmp_path, archive={"port": port}, upstream_timeout=300) as gateway,
    ):
        says(archive)
        assert gateway.find(StudyInstanceUID="").statuses == [0]
        says(archive, *(match(StudyInstanceUID=f"1.2.50.{number}") for number in range(upstream.IN_MEMORY + 1)))
        assert len(gateway.find(StudyInstanceUID="").data_sets) == upstream.IN_MEMORY + 1
