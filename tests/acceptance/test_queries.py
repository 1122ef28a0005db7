"""Queries of a real gateway: what was acknowledged is found at once, and peers' own answers beside ours."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import CTImageStorage, MRImageStorage

from kuva_gateway.network import ProposedContext, RequestorAssociation, Target, connect
from tests.acceptance.differences import IMAGES, QUERIES, REASONS, RETRIEVALS, Question
from tests.acceptance.gateway import Gateway
from tests.acceptance.orthanc import Orthanc
from tests.support import ROOT, dcmtk, dcmtk_environment, free_port, module, wait_until
from tests.unit.catalog.making import data_set
from tests.unit.scp.conftest import EXPLICIT
from tests.unit.scp.querying import PATIENT_ROOT, STUDY_ROOT, ask, identifier
from tests.unit.scp.retrieving import PATIENT_GET, STUDY_GET

ALL = ["echo", "store", "find", "move", "get"]


def orthanc_beside(gateway: Gateway, folder: Path) -> Orthanc:
    """One that knows the gateway, and that the gateway knows."""
    return Orthanc(folder / "orthanc", ae_title="ORTHANC", gateway_port=gateway.port, dicom_port=orthanc_port())


@cache
def orthanc_port() -> int:
    """Where Orthanc is, when it runs."""
    return free_port()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    peers = [
        {"name": "ct1", "ae_title": "CT1", "allow": ALL},
        {
            "name": "orthanc",
            "ae_title": "ORTHANC",
            "allow": ALL,
            "host": "127.0.0.1",
            "port": orthanc_port(),
        },
        {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
    ]
    with Gateway(tmp_path_factory.mktemp("queries") / "gateway", processes=2, peers=peers) as running:
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


def write(path: Path, made: Dataset) -> None:
    made.ensure_file_meta()
    made.file_meta.TransferSyntaxUID = EXPLICIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_as(path, enforce_file_format=True, implicit_vr=False, little_endian=True)


Answered = tuple[Any, ...]


def answers(port: int, *, called: str, calling: str) -> list[Answered]:
    """To every query: its matches by their unique key, each once, the final status, and whether keys were warned of."""
    found: list[Answered] = []
    with ExitStack() as stack:
        askers: dict[str, RequestorAssociation] = {}
        for one in QUERIES:
            if one.root not in askers:
                opened = associate(port, one.root, called=called, calling=calling)
                askers[one.root] = stack.enter_context(opened)
            given = ask(askers[one.root], identifier(**{one.unique: "", **one.keys}))
            values = {str(match.get(one.unique, "")) for match in given.data_sets}
            own = sorted(value for value in values if not value.startswith(("1.3.", "BARRIER")))
            found.append((own, f"{given.final:04X}", 0xFF01 in given.statuses))
    return found


def retrievals(port: int, *, called: str, calling: str) -> list[Answered]:
    """To every C-GET, asked by pynetdicom: the final status and how many images came."""
    classes = [CTImageStorage, MRImageStorage]
    received: list[str] = []

    def store(event: evt.Event) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    ae = AE(ae_title=calling)
    for sop_class in (STUDY_GET, PATIENT_GET, *classes):
        ae.add_requested_context(sop_class, EXPLICIT)
    roles = [build_role(sop_class, scp_role=True) for sop_class in classes]
    association = ae.associate(
        "127.0.0.1", port, ae_title=called, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    found: list[Answered] = []
    try:
        for one in RETRIEVALS:
            received.clear()
            asked = Dataset()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # UIDs that are none
                for keyword, value in one.keys.items():
                    setattr(asked, keyword, value)
                *_, (status, _) = association.send_c_get(asked, PATIENT_GET if one.root == PATIENT_ROOT else STUDY_GET)
            found.append((f"{status.Status:04X}", len(received)))
    finally:
        association.release()
    return found


def differing(name: str, ours: Sequence[Answered], theirs: Sequence[Answered], asked: Sequence[Question]) -> list[Any]:
    """What is not as the table says: a difference without a reason, or a reason without a difference."""
    return [
        (dict(question.keys), mine, other)
        for question, mine, other in zip(asked, ours, theirs, strict=True)
        if (mine != other) != (name in question.different)
    ]


def qrscp(folder: Path, port: int) -> Sequence[str]:
    """pynetdicom's."""
    module("sqlalchemy")  # which it needs
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
def test_a_peer_answers_the_same_but_for_reasons(
    gateway: Gateway, images: list[Path], tmp_path: Path, name: str
) -> None:
    makers: dict[str, Callable[[Path, int], Sequence[str]]] = {"qrscp": qrscp, "dcmqrscp": dcmqrscp}
    port, title = free_port(), name.upper()
    with ExitStack() as stack:
        run_peer(stack, makers[name](tmp_path, port), tmp_path, port, title)
        send = [dcmtk("storescu"), "-aet", "CT1", "-aec", title, "127.0.0.1", str(port), *map(str, images)]
        subprocess.run(send, env=dcmtk_environment(), check=True, timeout=60)
        found = answers(port, called=title, calling="CT1")
        got = retrievals(port, called=title, calling="CT1")
    assert differing(name, answers(gateway.port, called="KUVAGW", calling="CT1"), found, QUERIES) == []
    assert differing(name, retrievals(gateway.port, called="KUVAGW", calling="CT1"), got, RETRIEVALS) == []


def test_an_answer_stands_for_one_study_or_patient(gateway: Gateway, images: list[Path]) -> None:
    for root, unique, level in ((STUDY_ROOT, "StudyInstanceUID", "STUDY"), (PATIENT_ROOT, "PatientID", "PATIENT")):
        with associate(gateway.port, root) as asker:
            values = ask(asker, identifier(QueryRetrieveLevel=level, **{unique: ""})).values(unique)
        assert len(set(values)) == len(values)


def test_every_difference_has_a_reason_that_cites_the_standard() -> None:
    text = (ROOT / "docs/decisions/0017-where-answers-to-queries-differ-from-peers.rst").read_text()
    given = dict(re.findall(r"^- \*(.+?)\*\. (.+?)(?=^- \*|^\S|\Z)", text, re.MULTILINE | re.DOTALL))
    assert given.keys() >= REASONS
    assert [reason for reason in REASONS if "PS3." not in given[reason]] == []


@pytest.mark.slow
def test_orthanc_answers_the_same_but_for_reasons(gateway: Gateway, images: list[Path], tmp_path: Path) -> None:
    with Orthanc(
        tmp_path / "orthanc", ae_title="ORTHANC", gateway_port=gateway.port, dicom_port=orthanc_port()
    ) as orthanc:
        for image in images:
            orthanc.post("/instances", image.read_bytes())
        found = answers(orthanc.port, called="ORTHANC", calling="KUVAGW")
        got = retrievals(orthanc.port, called="ORTHANC", calling="KUVAGW")
        assert differing("orthanc", answers(gateway.port, called="KUVAGW", calling="CT1"), found, QUERIES) == []
        mine = retrievals(gateway.port, called="KUVAGW", calling="CT1")
        assert differing("orthanc", mine, got, RETRIEVALS) == []


@pytest.mark.slow
def test_orthanc_asks_us_reads_our_answers_and_has_them_sent(
    gateway: Gateway, images: list[Path], tmp_path: Path
) -> None:
    """As a modality that queries, and as the destination of the C-MOVE that it asks for."""
    with Orthanc(
        tmp_path / "orthanc", ae_title="ORTHANC", gateway_port=gateway.port, dicom_port=orthanc_port()
    ) as orthanc:
        body = {"Level": "Study", "Query": {"PatientName": "Makinen*", "StudyDate": "", "ModalitiesInStudy": ""}}
        query = orthanc.post("/modalities/gateway/query", json.dumps(body).encode())["ID"]
        found = [
            orthanc.get(f"/queries/{query}/answers/{one}/content?simplify")
            for one in orthanc.get(f"/queries/{query}/answers")
        ]
        assert sorted(one["StudyDate"] for one in found) == ["20240301", "20240401"]
        assert {one["RetrieveAETitle"] for one in found} == {"KUVAGW"}
        orthanc.post(f"/queries/{query}/retrieve", json.dumps({"TargetAet": "ORTHANC", "Synchronous": True}).encode())
        assert orthanc.sop_instance_uids() == {"1.2.3.1.1", "1.2.4.1.1"}
