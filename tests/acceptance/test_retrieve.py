"""C-MOVE and C-GET by DCMTK, from a running gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.acceptance.gateway import Gateway
from tests.stand_in import data_set_digest
from tests.studies import make_study
from tests.support import dcmtk, dcmtk_environment, free_port, wait_until

EVERY_DOCUMENT_OFF = {"DOC-01": "off", "DOC-02": "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A gateway that holds two studies of a patient and one of another, and who asks it."""

    gateway: Gateway
    studies: tuple[Any, ...]
    viewer_port: int

    def kept(self, *studies: int) -> dict[str, str]:
        """SOP Instance UID to the digest of the data set, as the gateway keeps them."""
        wanted = {uid for number in studies for uid in self.studies[number].sop_instance_uids}
        found = {uid: digest for path in _files(self.gateway) for uid, digest in digests(path).items()}
        return {uid: found[uid] for uid in wanted}

    def ask(self, tool: str, *options: str, keys: dict[str, str], folder: Path | None = None) -> Any:
        """Run movescu or getscu as VIEWER; ``keys``: what the identifier holds."""
        wanted = [word for key, value in keys.items() for word in ("-k", f"{key}={value}")]
        command = [dcmtk(tool), "-v", "-aet", "VIEWER", "-aec", "KUVAGW", *options, *wanted]
        return subprocess.run(
            [*command, "127.0.0.1", str(self.gateway.port)],
            env=dcmtk_environment(), cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@contextmanager
def storescp(folder: Path, port: int, *options: str) -> Iterator[Path]:
    """DCMTK's storescp, which writes what it gets into ``folder``."""
    folder.mkdir(parents=True)
    command = [dcmtk("storescp"), "-aet", "VIEWER", "-od", str(folder), "+B", "+xa", *options, str(port)]
    process = subprocess.Popen(command, env=dcmtk_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _echoes(port), what="storescp")
        yield folder
    finally:
        process.terminate()
        process.wait(timeout=20)


def _echoes(port: int) -> bool:
    command = [dcmtk("echoscu"), "-to", "2", "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0


def _files(gateway: Gateway) -> list[Path]:
    return [path for name in ("instances/*/*", "arrived/*") for path in gateway.spool.glob(name)]


def digests(folder: Path) -> dict[str, str]:
    """SOP Instance UID to the digest of the data set of a file, or of every file in a folder."""
    found = {}
    for path in folder.iterdir() if folder.is_dir() else (folder,):
        found[str(dcmread(path, stop_before_pixels=True, force=True).SOPInstanceUID)] = data_set_digest(path)
    return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    port, viewer = free_port(), free_port()
    folder = tmp_path_factory.mktemp("house")
    peers = [
        {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store"]},
        {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
        {"name": "viewer", "ae_title": "VIEWER", "host": "127.0.0.1", "port": viewer, "allow": ["find", "move", "get"]},
        {"name": "nowhere", "ae_title": "NOWHERE", "allow": ["echo"]},
        {"name": "away", "ae_title": "AWAY", "host": "127.0.0.1", "port": free_port(), "allow": []},
    ]
    with Gateway(folder, port=port, peers=peers, processes=2, rules=EVERY_DOCUMENT_OFF) as gateway:
        studies = tuple(make_study(kind=kind, instances=3, series=series) for kind, series in (("ct", 2), ("mr", 1)))
        for number, study in enumerate(studies):
            gateway.storescu(study.write(folder / "sent" / str(number)))
        yield House(gateway=gateway, studies=studies, viewer_port=viewer)


def test_a_study_moves_to_a_peer_byte_for_byte_right_after_it_was_stored(house: House, tmp_path: Path) -> None:
    with storescp(tmp_path / "viewer", house.viewer_port) as folder:
        keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": house.studies[0].uid}
        done = house.ask("movescu", "-S", "-aem", "VIEWER", keys=keys)
        assert done.returncode == 0, done.stderr
        assert digests(folder) == house.kept(0)
    lines = [json.loads(line) for line in house.gateway.said().splitlines() if '"retrieval"' in line]
    assert [lines[-1][key] for key in ("query_level", "instances", "completed", "failed", "status")] == [
        "STUDY", 6, 6, 0, "0000",
    ]  # fmt: skip


def test_a_study_comes_by_c_get_on_the_same_association(house: House, tmp_path: Path) -> None:
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": house.studies[1].uid}
    done = house.ask("getscu", "-S", "+B", "-od", str(tmp_path), keys=keys, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path) == house.kept(1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("application", "options"),
    [
        ("movescu", ("-S", "-aem", "VIEWER", "--store", "--store-aet", "VIEWER", "--store-port", "{port}")),
        ("getscu", ("-S",)),
    ],
)
def test_pynetdicoms_applications_retrieve_a_study(
    house: House, tmp_path: Path, application: str, options: tuple[str, ...]
) -> None:
    done = applied(
        house, application, *(one.format(port=house.viewer_port) for one in options), "-od", str(tmp_path),
        keys={"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": house.studies[0].uid},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0x0000 (Success)" in done.stderr
    assert digests(tmp_path) == house.kept(0)


@pytest.mark.slow
def test_pynetdicoms_findscu_reads_what_is_here(house: House) -> None:
    wanted = house.studies[1]
    keys = {"QueryRetrieveLevel": "PATIENT", "PatientID": str(wanted.data_sets[0].PatientID), "PatientName": ""}
    done = applied(house, "findscu", "-P", keys=keys)
    assert done.returncode == 0, done.stderr
    assert str(wanted.data_sets[0].PatientName) in done.stdout + done.stderr
    assert "0x0000 (Success)" in done.stderr


def applied(house: House, application: str, *options: str, keys: dict[str, str]) -> Any:
    """Run one of pynetdicom's applications as VIEWER."""
    wanted = [word for key, value in keys.items() for word in ("-k", f"{key}={value}")]
    program = [sys.executable, "-m", "pynetdicom", application, "-v", "-aet", "VIEWER", "-aec", "KUVAGW"]
    return subprocess.run(
        [*program, *options, *wanted, "127.0.0.1", str(house.gateway.port)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_one_series_and_one_image_can_be_asked_for(house: House, tmp_path: Path) -> None:
    study = house.studies[0]
    image = study.data_sets[0]
    series = {
        "QueryRetrieveLevel": "SERIES",
        "StudyInstanceUID": study.uid,
        "SeriesInstanceUID": image.SeriesInstanceUID,
    }
    one = {**series, "QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": image.SOPInstanceUID}
    for name, keys, count in (("series", series, 3), ("image", one, 1)):
        (tmp_path / name).mkdir()
        done = house.ask("getscu", "-S", "+B", "-od", str(tmp_path / name), keys=keys, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(digests(tmp_path / name)) == count
        assert str(image.SOPInstanceUID) in digests(tmp_path / name)


@pytest.mark.parametrize(
    ("destination", "status", "words"),
    [
        ("STRANGER", "a801", "no peer with this AE title"),
        ("NOWHERE", "a801", "no peer with this AE title"),
        ("AWAY", "a702", "6 failed"),
    ],
)
def test_a_destination_that_is_not_there_is_answered_with_the_reason(
    house: House, destination: str, status: str, words: str
) -> None:
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": house.studies[0].uid}
    done = house.ask("movescu", "-d", "-S", "-aem", destination, keys=keys)
    assert f"0x{status}" in (done.stdout + done.stderr).lower()
    assert words in done.stdout + done.stderr


def test_what_is_not_here_is_found_to_be_nothing(house: House, tmp_path: Path) -> None:
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2.3.4.5"}
    done = house.ask("getscu", "-d", "-S", "-od", str(tmp_path), keys=keys, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_retrieval_without_its_unique_key_gets_a900_and_the_element(house: House, tmp_path: Path) -> None:
    done = house.ask("getscu", "-d", "-S", "-od", str(tmp_path), keys={"QueryRetrieveLevel": "STUDY"}, folder=tmp_path)
    assert "0xa900" in (done.stdout + done.stderr).lower()
    assert "unique key of level STUDY" in done.stdout + done.stderr


def test_who_may_not_retrieve_gets_no_presentation_context(house: House, tmp_path: Path) -> None:
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": house.studies[0].uid}
    for tool, more in (("getscu", ("-od", str(tmp_path))), ("movescu", ("-aem", "VIEWER"))):
        done = house.ask(tool, "-S", *more, "-aet", "CT1", keys=keys, folder=tmp_path)
        assert done.returncode != 0
        assert "no acceptable presentation contexts" in (done.stdout + done.stderr).lower()
