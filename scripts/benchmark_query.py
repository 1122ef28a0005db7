"""Measures C-FIND: first answer and total of each usual query, through our own requestor and DCMTK's findscu.

The gateway's side is a catalog that ``scripts/fill-catalog`` filled, served by the gateway's own services in a process
of its own. With ``--peers N`` the first N of its studies (one image of each, synthetic and small) are also put into
DCMTK's dcmqrscp and into Orthanc, and the same queries are asked of them.

Examples::

    scripts/fill-catalog --path /tmp/large/catalog.sqlite
    scripts/benchmark-query --folder /tmp/large
    scripts/benchmark-query --folder /tmp/large --peers 2000 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian

from kuva_gateway import parts
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.config import Configuration
from kuva_gateway.network import Acceptor, Listener, ProposedContext, Target, connect
from kuva_gateway.scp.dispatch import Dispatcher
from kuva_gateway.scp.lookup import Lookup
from kuva_gateway.spool import Spool

STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
PATIENCE = 30.0  # seconds for a peer to start
Query = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Who is asked, and where."""

    name: str
    port: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one query: answers, and milliseconds to the first and to the last response."""

    answers: int
    first: float
    total: float


class Silent:
    """Says nothing."""

    def info(self, event: str, **fields: object) -> None:
        """Pass over."""

    warning = error = info


# -- servers -----------------------------------------------------------------------------------------------------------


@contextmanager
def gateway(folder: Path, limit: int) -> Iterator[Server]:
    """The gateway's services over the catalog in ``folder``, in a process of their own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, limit, theirs))
    process.start()
    try:
        yield Server(name="gateway", port=ours.recv(), title="KUVAGW")
    finally:
        ours.send(None)
        process.join()


def _serve(folder: Path, limit: int, pipe: Connection) -> None:
    with tempfile.TemporaryDirectory() as spool:
        configuration = Configuration.model_validate(
            {
                "environment": "test",
                "state_directory": folder,
                "peers": [{"name": "bench", "ae_title": "BENCH", "allow": ["find"]}],
                "query": {"limit": limit},
            }
        )
        lookup = Lookup(
            open_catalog=lambda: parts.open_catalog(configuration, create=False),
            wait_indexed=lambda moment, seconds: True,
            may_see=parts.make_may_see(configuration),
            barrier=5.0,
        )
        dispatcher = Dispatcher(
            configuration,
            Spool(Path(spool), minimum_free=0),
            on_receipt=lambda arrival, header: None,
            immediate=lambda header, peer: None,
            on_commitment_result=lambda *result: None,
            commitment_requests=None,  # type: ignore[arg-type]  # nobody asks for any here
            lookup=lookup,
            log=Silent(),
        )
        acceptor = Acceptor([Listener(host="127.0.0.1", port=0)], dispatcher, log=Silent())
        acceptor.start()
        pipe.send(acceptor.ports[0])
        pipe.recv()
        acceptor.drain(1)
        lookup.close()


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def dcmqrscp(folder: Path, files: list[Path]) -> Iterator[Server]:
    """DCMTK's, with these files."""
    port, area = free_port(), folder / "area"
    area.mkdir()
    for path in files:
        shutil.copy(path, area)
    config = folder / "dcmqrscp.cfg"
    empty = "".join(f"{table} BEGIN\n{table} END\n" for table in ("HostTable", "VendorTable"))
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n{empty}"
        f"AETable BEGIN\nDCMQRSCP {area} RW (200000, 1024mb) ANY\nAETable END\n"
    )
    indexed = subprocess.run(
        ["dcmqridx", str(area), *(str(area / path.name) for path in files)], check=False, capture_output=True
    )
    if indexed.returncode:  # its index takes no more than so many
        print(f"dcmqridx ended with {indexed.returncode}: dcmqrscp has fewer studies than the others")
    with _running(["dcmqrscp", "-c", str(config)], port):
        yield Server(name="dcmqrscp", port=port, title="DCMQRSCP")


@contextmanager
def orthanc(folder: Path, files: list[Path]) -> Iterator[Server]:
    """Orthanc, with these files."""
    port, http = free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "Plugins": [],
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFind": True,
        "LimitFindResults": 0,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    program = shutil.which("Orthanc", path=os.environ.get("PATH", "") + ":/usr/sbin") or "Orthanc"
    with _running([program, str(folder / "orthanc.json")], http):
        for path in files:
            request = urllib.request.Request(
                f"http://127.0.0.1:{http}/instances", data=path.read_bytes(), method="POST"
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
        yield Server(name="Orthanc", port=port, title="ORTHANC")


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise SystemExit(f"{command[0]} did not start") from None
                time.sleep(0.05)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


# -- what is asked -----------------------------------------------------------------------------------------------------


def queries(catalog: Catalog, studies: int | None) -> dict[str, Query]:
    """The usual queries, about a study in the middle of those that are here (of the first ``studies``)."""
    with catalog.read() as session:
        last = studies or int(session.value("SELECT MAX(id) FROM studies"))
        row = session.rows("SELECT * FROM studies WHERE id = ?", max(1, last // 2))[0]
        month = str(row["study_date"])[:6]
        modality = json.loads(row["modalities"])[0]
    family, _, given = str(row["patient_name"]).partition("^")
    return {
        "PatientID": {"PatientID": row["patient_id"]},
        "AccessionNumber": {"AccessionNumber": row["accession_number"]},
        "StudyInstanceUID": {"StudyInstanceUID": row["uid"]},
        "a month and a modality": {"StudyDate": f"{month}01-{month}31", "ModalitiesInStudy": modality},
        "a name's beginning": {"PatientName": f"{family[:4]}*"},
        "a whole family name": {"PatientName": f"{family}^*"},
        "a name with a wildcard in front": {"PatientName": f"*{given[:5]}*"},
        "nobody with that in the name": {"PatientName": "*zzqzz*"},
        "everything": {},
    }


def identifier(query: Query) -> Dataset:
    """The query with the return keys that a PACS sends."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.QueryRetrieveLevel = "STUDY"
    usual = ("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "PatientName", "PatientID", "StudyID")
    for keyword in (*usual, "PatientBirthDate", "PatientSex", "ModalitiesInStudy", "StudyDescription"):
        setattr(made, keyword, "")
    for keyword, value in query.items():
        setattr(made, keyword, value)
    return made


def encoded(made: Dataset) -> bytes:
    """In explicit little endian."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dataset(stream, made)
    return bytes(stream.getvalue())


def ask(server: Server, query: Query, rounds: int) -> Figures:
    """The median of so many rounds on one association; the first round warms the caches and does not count."""
    contexts = [ProposedContext(id=1, abstract_syntax=STUDY_ROOT, transfer_syntaxes=(ExplicitVRLittleEndian,))]
    target = Target(host="127.0.0.1", port=server.port, called_ae=server.title, calling_ae="BENCH")
    data, found = encoded(identifier(query)), []
    with connect(target, contexts) as association:
        for _ in range(rounds + 1):
            begun, first, count = time.perf_counter(), 0.0, 0
            for answer in association.find(association.contexts[1], data):
                first = first or time.perf_counter() - begun
                count += answer.data_set is not None
            found.append(Figures(answers=count, first=first * 1000, total=(time.perf_counter() - begun) * 1000))
    return Figures(
        answers=found[-1].answers,
        first=statistics.median(one.first for one in found[1:]),
        total=statistics.median(one.total for one in found[1:]),
    )


def ask_with_findscu(server: Server, query: Query, folder: Path) -> float:
    """Milliseconds of findscu for the whole query, with its start and its association."""
    path = folder / "query.dcm"
    made = identifier(query)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_as(path, implicit_vr=False, little_endian=True)
    command = ["findscu", "-S", "-q", "-aet", "BENCH", "-aec", server.title, "127.0.0.1", str(server.port), str(path)]
    begun = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, "TCP_NODELAY": "1"}, capture_output=True)
    return (time.perf_counter() - begun) * 1000


def images(catalog: Catalog, count: int, folder: Path) -> list[Path]:
    """One small image of each of the first studies."""
    with catalog.read() as session:
        rows = session.rows("SELECT * FROM studies WHERE id <= ? ORDER BY id", count)
    folder.mkdir()
    return [_image(row, folder / f"{row['id']}.dcm") for row in rows]


def _image(row: dict[str, Any], path: Path) -> Path:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = CT, f"{row['uid']}.1.1"
    made.StudyDate, made.StudyTime, made.AccessionNumber = row["study_date"], row["study_time"], row["accession_number"]
    made.Modality, made.StudyDescription = json.loads(row["modalities"])[0], row["description"]
    made.PatientName, made.PatientID = row["patient_name"], row["patient_id"]
    made.PatientBirthDate, made.PatientSex = row["birth_date"], row["sex"]
    made.StudyInstanceUID, made.SeriesInstanceUID = row["uid"], f"{row['uid']}.1"
    made.StudyID, made.SeriesNumber, made.InstanceNumber = row["dicom_study_id"], "1", "1"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_as(path, enforce_file_format=True)
    return path


# -- the run -----------------------------------------------------------------------------------------------------------


def show(server: Server, asked: dict[str, Query], rounds: int, folder: Path) -> None:
    """A table of one server."""
    print(f"{server.name}:")
    print(f"  {'query':34}{'answers':>9}{'first ms':>10}{'total ms':>10}{'per s':>9}{'findscu ms':>12}")
    for name, query in asked.items():
        one = ask(server, query, rounds)
        rate = one.answers / one.total * 1000
        scu = ask_with_findscu(server, query, folder)
        print(f"  {name:34}{one.answers:>9}{one.first:>10.1f}{one.total:>10.1f}{rate:>9.0f}{scu:>12.0f}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="benchmark-query", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="where catalog.sqlite is")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--limit", type=int, default=10_000, help="answers at most (default: %(default)s)")
    parser.add_argument("--peers", type=int, default=0, help="studies to put into dcmqrscp and Orthanc (default: none)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        catalog = Catalog.open(None, options.folder / parts.CATALOG_FILE, create=False)
        stack.callback(catalog.close)
        with gateway(options.folder, options.limit) as server:
            show(server, queries(catalog, None), options.rounds, folder)
        if options.peers:
            files, asked = images(catalog, options.peers, folder / "images"), queries(catalog, options.peers)
            for make in (dcmqrscp, orthanc):
                with make(folder, files) as server:
                    show(server, asked, max(1, options.rounds // 2), folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
