"""Queries of a real gateway: what was acknowledged is found at once, and peers' own answers beside ours."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from kuva_gateway.network import ProposedContext, RequestorAssociation, Target, connect
from tests.acceptance.gateway import Gateway
from tests.acceptance.orthanc import Orthanc
from tests.support import dcmtk, dcmtk_environment, free_port, skip_or_fail, wait_until
from tests.unit.catalog.making import data_set
from tests.unit.scp.conftest import EXPLICIT
from tests.unit.scp.querying import PATIENT_ROOT, STUDY_ROOT, ask, identifier

STORE = ["echo", "store", "find"]
PEERS = [
    {"name": "ct1", "ae_title": "CT1", "allow": STORE},
    {"name": "orthanc", "ae_title": "ORTHANC", "allow": STORE},
    {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("queries") / "gateway", processes=2, peers=PEERS) as running:
        yield running


def associate(port: int, root: str, *, called: str = "KUVAGW", calling: str = "CT1") -> RequestorAssociation:
    contexts = [ProposedContext(id=1, abstract_syntax=root, transfer_syntaxes=(EXPLICIT,))]
    return connect(Target(host="127.0.0.1", port=port, called_ae=called, calling_ae=calling), contexts)


def test_what_was_acknowledged_is_found_by_the_next_query(gateway: Gateway, tmp_path: Path) -> None:
    with associate(gateway.port, STUDY_ROOT) as asker:
        for number in range(8):
            path = tmp_path / f"{number}.dcm"
            write(path, data_set(f"1.3.{number}", PatientID="BARRIER"))
            subprocess.run(gateway.storescu_command([path]), env=dcmtk_environment(), check=True, timeout=30)
            found = ask(asker, identifier(PatientID="BARRIER", NumberOfStudyRelatedInstances=""))
            assert found.statuses == [0xFF00] * (number + 1) + [0x0000]


def test_a_process_that_only_stores_has_no_catalog_open(gateway: Gateway) -> None:
    """One association asks, so one process of two has the file open, beside the daemon."""
    with associate(gateway.port, STUDY_ROOT) as asker:
        ask(asker, identifier(PatientID="nobody"))
    assert gateway.process is not None
    catalog = str(gateway.state / "catalog.sqlite")
    children = Path(f"/proc/{gateway.process.pid}/task").glob("*/children")
    pids = [pid for path in children for pid in path.read_text().split()]
    links = {
        pid: {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()} for pid in pids
    }
    assert len(pids) == 2
    assert 1 <= sum(catalog in opened for opened in links.values()) <= 2


# -- peers -------------------------------------------------------------------------------------------------------------

IMAGES: tuple[dict[str, Any], ...] = (
    {"study": "1.2.1", "PatientName": "Virtanen^Matti", "PatientID": "P1", "StudyTime": "101500", "StudyID": "1"},
    {"study": "1.2.1", "PatientName": "Virtanen^Matti", "PatientID": "P1", "series": 2, "StudyTime": "101500"},
    {"study": "1.2.2", "PatientName": "Virtanen^Maija", "PatientID": "P2", "StudyDate": "20240201", "Modality": "MR"},
    {
        "study": "1.2.3",
        "PatientName": "Makinen^Liisa",
        "PatientID": "P3",
        "StudyDate": "20240301",
        "AccessionNumber": "A3",
    },
    {
        "study": "1.2.4",
        "PatientName": "Makinen^Liisa",
        "PatientID": "P3",
        "StudyDate": "20240401",
        "AccessionNumber": "A4",
    },
)
QUERIES: tuple[tuple[str, str, dict[str, str]], ...] = (
    (STUDY_ROOT, "StudyInstanceUID", {}),
    (STUDY_ROOT, "StudyInstanceUID", {"PatientID": "P3"}),
    (STUDY_ROOT, "StudyInstanceUID", {"PatientID": "P*"}),
    (STUDY_ROOT, "StudyInstanceUID", {"PatientID": "P?"}),
    (STUDY_ROOT, "StudyInstanceUID", {"PatientID": "p3"}),
    (STUDY_ROOT, "StudyInstanceUID", {"PatientName": "Virtanen^Matti"}),
    (STUDY_ROOT, "StudyInstanceUID", {"PatientName": "Virtanen"}),
    (STUDY_ROOT, "StudyInstanceUID", {"PatientName": "Virtanen*"}),
    (STUDY_ROOT, "StudyInstanceUID", {"PatientName": "*Liisa"}),
    (STUDY_ROOT, "StudyInstanceUID", {"PatientName": "VIRTANEN^MATTI"}),
    (STUDY_ROOT, "StudyInstanceUID", {"PatientName": "virtanen*"}),
    (STUDY_ROOT, "StudyInstanceUID", {"StudyDate": "20240201"}),
    (STUDY_ROOT, "StudyInstanceUID", {"StudyDate": "20240201-20240301"}),
    (STUDY_ROOT, "StudyInstanceUID", {"StudyDate": "-20240201"}),
    (STUDY_ROOT, "StudyInstanceUID", {"StudyDate": "20240301-"}),
    (STUDY_ROOT, "StudyInstanceUID", {"AccessionNumber": "A3"}),
    (STUDY_ROOT, "StudyInstanceUID", {"AccessionNumber": "A_"}),
    (STUDY_ROOT, "StudyInstanceUID", {"AccessionNumber": "%"}),
    (STUDY_ROOT, "StudyInstanceUID", {"StudyTime": "101500"}),
    (STUDY_ROOT, "StudyInstanceUID", {"StudyTime": "100000-110000"}),
    (PATIENT_ROOT, "PatientID", {"QueryRetrieveLevel": "PATIENT"}),
    (PATIENT_ROOT, "PatientID", {"QueryRetrieveLevel": "PATIENT", "PatientName": "Makinen*"}),
    (PATIENT_ROOT, "StudyInstanceUID", {"PatientID": "P3"}),
    (STUDY_ROOT, "SeriesInstanceUID", {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.2.1"}),
    (STUDY_ROOT, "SeriesInstanceUID", {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.2.2", "Modality": "CT"}),
    (
        STUDY_ROOT,
        "SOPInstanceUID",
        {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.2"},
    ),
)
DIFFERENT: dict[str, set[str]] = {
    "qrscp": {'{"PatientName": "VIRTANEN^MATTI"}'},
    "orthanc": set(),
    "dcmqrscp": {'{"PatientName": "VIRTANEN^MATTI"}', '{"PatientName": "virtanen*"}'},
}
"""Queries, as JSON, that a peer answers in another way; docs/decisions/0017 says why ours are as they are.

Where qrscp has an answer for every image, one of each counts.
"""


def write(path: Path, made: Dataset) -> None:
    made.ensure_file_meta()
    made.file_meta.TransferSyntaxUID = EXPLICIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_as(path, enforce_file_format=True, implicit_vr=False, little_endian=True)


def answers(port: int, *, called: str, calling: str) -> dict[str, list[str]]:
    """Every query's matches, by their unique key."""
    found = {}
    for root, unique, keys in QUERIES:
        with associate(port, root, called=called, calling=calling) as asker:
            given = ask(asker, identifier(**{unique: "", **keys}))
            values = [str(one.get(unique, "")) for one in given.data_sets if str(one.get("PatientID", "")) != "BARRIER"]
            found[json.dumps(keys)] = sorted(value for value in values if not value.startswith(("1.3.", "BARRIER")))
    return found


def qrscp(folder: Path, port: int) -> Sequence[str]:
    """pynetdicom's."""
    pytest.importorskip("sqlalchemy") if sys.modules.get("sqlalchemy") else None
    try:
        import sqlalchemy  # noqa: F401
    except ImportError:
        skip_or_fail("sqlalchemy, which pynetdicom's qrscp needs, is not installed")
    settings = "[DEFAULT]\nae_title: QRSCP\nport: {}\nmax_pdu: 16382\nacse_timeout: 30\ndimse_timeout: 30\n"
    settings += "network_timeout: 30\nbind_address: 127.0.0.1\ninstance_location: {}\ndatabase_location: {}\n"
    settings += "log_identifier: False\n"
    (folder / "qrscp.ini").write_text(settings.format(port, folder / "qrscp", folder / "qrscp.sqlite"))
    return [sys.executable, "-m", "pynetdicom", "qrscp", "-c", str(folder / "qrscp.ini")]


def dcmqrscp(folder: Path, port: int) -> Sequence[str]:
    """DCMTK's."""
    (folder / "area").mkdir()
    text = f"""NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
DCMQRSCP {folder / "area"} RW (200, 1024mb) ANY
AETable END
"""
    (folder / "dcmqrscp.cfg").write_text(text)
    return [dcmtk("dcmqrscp"), "-c", str(folder / "dcmqrscp.cfg")]


def run_peer(stack: ExitStack, command: Sequence[str], folder: Path, port: int, title: str) -> None:
    """Start it; it ends with the stack."""
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def end() -> None:
        process.terminate()
        process.wait(timeout=20)

    stack.callback(end)
    echo = [dcmtk("echoscu"), "-to", "5", "-aet", "CT1", "-aec", title, "127.0.0.1", str(port)]
    wait_until(
        lambda: (
            subprocess.run(echo, env=dcmtk_environment(), capture_output=True, timeout=20, check=False).returncode == 0
        ),
        what=title,
    )


@pytest.fixture(scope="module")
def images(gateway: Gateway) -> list[Path]:
    """The images, in the gateway already."""
    paths = []
    for number, values in enumerate(IMAGES):
        path = gateway.folder / f"image{number}.dcm"
        write(path, data_set(**values))
        paths.append(path)
    subprocess.run(gateway.storescu_command(paths), env=dcmtk_environment(), check=True, timeout=30)
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qrscp", "dcmqrscp"])
def test_a_peer_answers_the_same_but_where_we_know_better(
    gateway: Gateway, images: list[Path], tmp_path: Path, name: str
) -> None:
    makers: dict[str, Callable[[Path, int], Sequence[str]]] = {"qrscp": qrscp, "dcmqrscp": dcmqrscp}
    port, title = free_port(), name.upper()
    ours = answers(gateway.port, called="KUVAGW", calling="CT1")
    assert all(len(set(found)) == len(found) for found in ours.values())
    with ExitStack() as stack:
        run_peer(stack, makers[name](tmp_path, port), tmp_path, port, title)
        send = [dcmtk("storescu"), "-aet", "CT1", "-aec", title, "127.0.0.1", str(port), *map(str, images)]
        subprocess.run(send, env=dcmtk_environment(), check=True, timeout=60)
        theirs = answers(port, called=title, calling="CT1")
    assert {query for query in ours if ours[query] != sorted(set(theirs[query]))} == DIFFERENT[name]


@pytest.mark.slow
def test_orthanc_answers_the_same_and_reads_our_answers(gateway: Gateway, images: list[Path], tmp_path: Path) -> None:
    ours = answers(gateway.port, called="KUVAGW", calling="CT1")
    with Orthanc(tmp_path / "orthanc", ae_title="ORTHANC", gateway_port=gateway.port) as orthanc:
        for image in images:
            orthanc.post("/instances", image.read_bytes())
        theirs = answers(orthanc.port, called="ORTHANC", calling="KUVAGW")
        assert {query for query in ours if ours[query] != sorted(set(theirs[query]))} == DIFFERENT["orthanc"]
        body = {"Level": "Study", "Query": {"PatientName": "Makinen*", "StudyDate": "", "ModalitiesInStudy": ""}}
        query = orthanc.post("/modalities/gateway/query", json.dumps(body).encode())["ID"]
        found = [
            orthanc.get(f"/queries/{query}/answers/{one}/content?simplify")
            for one in orthanc.get(f"/queries/{query}/answers")
        ]
    assert sorted(one["StudyDate"] for one in found) == ["20240301", "20240401"]
    assert {one["RetrieveAETitle"] for one in found} == {"KUVAGW"}
