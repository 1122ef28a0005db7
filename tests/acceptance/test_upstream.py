"""An archive behind a real gateway: Orthanc asked and fetched from by C-GET, dcmqrscp by C-MOVE, by DCMTK's askers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.acceptance.gateway import Gateway
from tests.acceptance.orthanc import Orthanc
from tests.acceptance.test_queries import write
from tests.acceptance.test_retrieve import storescp
from tests.support import dcmtk, dcmtk_environment, free_port, program, wait_until
from tests.unit.catalog.making import data_set

pytestmark = pytest.mark.slow

NEAR, FAR, IMAGES = "1.2.1", "1.2.9", 3
FETCH = "KUVAFETCH"
UIDS = {f"{FAR}.1.{number}" for number in range(1, IMAGES + 1)}


def study(folder: Path, uid: str) -> list[Path]:
    """The files of a study of patient P1."""
    folder.mkdir(parents=True)
    paths = []
    for number in range(1, IMAGES + 1):
        paths.append(folder / f"{number}.dcm")
        write(paths[-1], data_set(uid, 1, number, PatientID="P1", PatientName="Virtanen^Matti"))
    return paths


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A gateway that holds study NEAR, in front of an archive that holds FAR."""

    gateway: Gateway
    viewer_port: int

    def ask(self, tool: str, *options: str, folder: Path, **keys: str) -> subprocess.CompletedProcess[str]:
        """Run one of DCMTK's askers as VIEWER."""
        wanted = [word for key, value in keys.items() for word in ("-k", f"{key}={value}")]
        command = [dcmtk(tool), "-v", "-S", "-aet", "VIEWER", "-aec", "KUVAGW", *options, *wanted]
        return subprocess.run(
            [*command, "127.0.0.1", str(self.gateway.port)],
            env=dcmtk_environment(), cwd=folder, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip

    def found(self, folder: Path) -> dict[str, str]:
        """Study Instance UID to Instance Availability, of all studies of patient P1."""
        folder.mkdir(parents=True)
        keys = {"QueryRetrieveLevel": "STUDY", "PatientID": "P1", "StudyInstanceUID": "", "InstanceAvailability": ""}
        assert self.ask("findscu", "-X", folder=folder, **keys).returncode == 0
        found = [dcmread(path, force=True) for path in folder.glob("rsp*.dcm")]
        return {one.StudyInstanceUID: one.InstanceAvailability for one in found}

    def get(self, folder: Path, uid: str) -> tuple[int, set[str]]:
        """How getscu ended, and which images it has."""
        folder.mkdir(parents=True)
        keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": uid}
        done = self.ask("getscu", "+B", "-od", str(folder), folder=folder, **keys)
        return done.returncode, uids(folder)

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What the gateway logged under this name."""
        said = (json.loads(line) for line in self.gateway.said().splitlines() if line.startswith("{"))
        return [line for line in said if line["event"] == event]

    def fetched(self) -> int:
        """How many copies there are."""
        return sum(one.is_file() for one in (self.gateway.spool / "fetched").iterdir())

    def assert_nothing_was_received_but_near(self) -> None:
        """No receipt, no revision and no entry came of what was fetched."""
        assert [(one["study_instance_uid"], one["instances"], one["revision"]) for one in self.gateway.studies()] == [
            (NEAR, IMAGES, 1)
        ]
        assert self.gateway.json("queue", "list") == []
        assert not self.gateway.waiting()


def uids(folder: Path) -> set[str]:
    return {str(dcmread(path, force=True).SOPInstanceUID) for path in folder.iterdir() if path.is_file()}


@contextmanager
def in_front_of(folder: Path, archive_port: int, gateway_port: int, **changes: Any) -> Iterator[House]:
    """A gateway that holds NEAR."""
    viewer = free_port()
    address = {"host": "127.0.0.1", "allow": []}
    peers = [
        {"name": "ct1", "ae_title": "CT1", "allow": ["store"]},
        {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
        {"name": "viewer", "ae_title": "VIEWER", **address, "port": viewer, "allow": ["find", "move", "get"]},
        {"name": "archive", "ae_title": "ARCHIVE", **address, "port": archive_port, "networks": ["127.0.0.0/8"]},
    ]
    query = {"upstream": "archive", **changes.pop("query", {})}
    with Gateway(folder, port=gateway_port, peers=peers, query=query, **changes) as gateway:
        gateway.storescu(study(folder / "near", NEAR))
        yield House(gateway=gateway, viewer_port=viewer)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("archive")
    with Orthanc(folder / "orthanc", ae_title="ARCHIVE", gateway_port=free_port()) as archive:
        for path in study(folder / "far", FAR):
            archive.post("/instances", path.read_bytes())
        yield archive


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_orthanc_behind_the_gateway_is_found_and_fetched_with_what_is_here(
    orthanc: Orthanc, database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if database == "sqlite":
        _found_moved_and_got(orthanc, tmp_path)
        return
    with request.getfixturevalue("postgresql").database() as url:
        _found_moved_and_got(orthanc, tmp_path, catalog={"url": url})


def _found_moved_and_got(orthanc: Orthanc, folder: Path, **changes: Any) -> None:
    with in_front_of(folder / "gateway", orthanc.port, free_port(), **changes) as house:
        assert house.found(folder / "found") == {NEAR: "ONLINE", FAR: "NEARLINE"}
        with storescp(folder / "viewer", house.viewer_port) as viewer:
            keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": FAR}
            done = house.ask("movescu", "-aem", "VIEWER", folder=folder, **keys)
            assert done.returncode == 0, done.stderr
            assert uids(viewer) == UIDS
        assert house.fetched() == IMAGES
        assert house.get(folder / "got", FAR) == (0, UIDS)
        assert len(house.get(folder / "near", NEAR)[1]) == IMAGES
        moved, got, _ = house.lines("retrieval")
        assert (moved["fetched"], moved["completed"], got["fetched"], got["completed"]) == (IMAGES,) * 4
        house.assert_nothing_was_received_but_near()


@contextmanager
def dcmqrscp(folder: Path, port: int, gateway_port: int) -> Iterator[subprocess.Popen[bytes]]:
    """DCMTK's archive, which refuses C-GET (``--disable-get``) and knows the gateway's second title."""
    out = folder / "out"
    out.mkdir(parents=True)
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nfetch = ({FETCH}, 127.0.0.1, {gateway_port})\nHostTable END\n"
        f"VendorTable BEGIN\nVendorTable END\nAETable BEGIN\nARCHIVE {out} RW (50, 100mb) ANY\nAETable END\n"
    )
    command = [program("dcmqrscp"), "-c", str(config), "--fork", "-dhl", "--disable-get"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=dcmtk_environment(), stdout=log, stderr=subprocess.STDOUT)
    try:
        command = [dcmtk("echoscu"), "-to", "2", "-aec", "ARCHIVE", "127.0.0.1", str(port)]
        wait_until(lambda: not subprocess.run(command, capture_output=True, timeout=20, check=False).returncode)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_dcmqrscp_without_c_get_sends_to_the_second_title_and_may_die(tmp_path: Path) -> None:
    port, gateway_port = free_port(), free_port()
    with (
        dcmqrscp(tmp_path / "archive", port, gateway_port) as archive,
        in_front_of(
            tmp_path / "gateway",
            port,
            gateway_port,
            processes=2,  # so that the archive may reach another one than the asker did
            query={"fetch_ae_title": FETCH, "upstream_timeout": "5s"},
        ) as house,
    ):
        command = [dcmtk("storescu"), "-aec", "ARCHIVE", "127.0.0.1", str(port)]
        subprocess.run([*command, *map(str, study(tmp_path / "far", FAR))], check=True, timeout=60)
        assert house.found(tmp_path / "found") == {NEAR: "ONLINE", FAR: "NEARLINE"}
        assert house.get(tmp_path / "got", FAR) == (0, UIDS)
        assert house.fetched() == IMAGES
        (line,) = [one for one in house.lines("association") if one["calling_ae"] == "ARCHIVE"]
        assert (line["fetched"], line["stored"]) == (IMAGES, 0)
        house.assert_nothing_was_received_but_near()
        archive.terminate()
        archive.wait(timeout=20)
        assert house.found(tmp_path / "alone") == {NEAR: "ONLINE"}
        assert house.get(tmp_path / "kept", NEAR)[1] == {f"{NEAR}.1.{number}" for number in range(1, IMAGES + 1)}
