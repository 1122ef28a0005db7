"""The gateway's services behind a real acceptor on loopback, with a spool whose files fail when a test says so."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from kuva_gateway.config import Configuration
from kuva_gateway.dicom.header import Header
from kuva_gateway.errors import DeferredError
from kuva_gateway.forward.references import Result
from kuva_gateway.network import (
    Acceptor,
    Command,
    Listener,
    ProposedContext,
    RequestorAssociation,
    Role,
    StoreAnswer,
    Target,
    Timers,
    commands,
    connect,
)
from kuva_gateway.network.negotiation import request_bytes
from kuva_gateway.network.sending import FileSlice
from kuva_gateway.scp.dispatch import Dispatcher
from kuva_gateway.scp.refusal import RefusalLike
from kuva_gateway.spool import Arrival, Spool
from tests.faults import FaultyFiles
from tests.support import wait_until
from tests.unit.network.peers import RawPeer, p_data, pdv, propose

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
PRIVATE = "1.2.826.0.1.3680043.9.1.1"
VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"

TIMERS = Timers(
    connect=5, handshake=5, associate=5, idle=30, message=5, send_stall=5, response=20, release=5, closing=0.5
)

CONFIGURATION: Mapping[str, Any] = {
    "environment": "test",
    "state_directory": "/nowhere",
    "private_storage_classes": [PRIVATE],
    "peers": [
        {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store"], "networks": ["127.0.0.0/8"]},
        {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
        {"name": "ct2", "ae_title": "CT2", "allow": ["store", "commit"]},
        {"name": "pacs", "ae_title": "PACS", "allow": ["echo", "store"]},
    ],
    "destinations": [
        {"name": "national-archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 104},
        {"name": "pacs-copy", "ae_title": "PACS", "host": "127.0.0.1", "port": 104},
    ],
}


class Lines:
    """A log that a test can read."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, event: str, **fields: object) -> None:
        self.lines.append({"event": event, **fields})

    warning = error = info

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


@dataclass
class Asked:
    """Who takes commitment requests in the daemon's place."""

    answer: str = "later"
    result: Result | None = None
    error: DeferredError | None = None
    taken: list[tuple[str, str, tuple[Any, ...]]] = field(default_factory=list)
    told_of: list[tuple[str, str, int | None]] = field(default_factory=list)

    def take(self, peer: str, transaction_uid: str, references: Any) -> str:
        if self.error is not None:
            raise self.error
        self.taken.append((peer, transaction_uid, tuple(references)))
        return self.answer

    def ready(self, peer: str, transaction_uid: str, seconds: float) -> Result | None:
        return self.result

    def told(self, peer: str, transaction_uid: str, status: int | None) -> None:
        self.told_of.append((peer, transaction_uid, status))


@dataclass
class Gateway:
    """A running acceptor with the dispatcher under test, and everything that it told."""

    spool: Spool
    files: FaultyFiles
    dispatcher: Dispatcher
    acceptor: Acceptor
    log: Lines
    asked: Asked
    receipts: list[tuple[Arrival, Header]] = field(default_factory=list)
    results: list[tuple[str, str, tuple[Any, ...], tuple[Any, ...]]] = field(default_factory=list)
    immediate: Callable[[Header, str], RefusalLike | None] = lambda header, peer: None
    on_receipt: Callable[[Arrival, Header], None] = lambda arrival, header: None
    result_error: DeferredError | None = None

    @property
    def port(self) -> int:
        return self.acceptor.ports[0]

    @contextmanager
    def associate(
        self,
        *contexts: tuple[str, str],
        calling: str = "CT1",
        called: str = "KUVAGW",
        roles: Mapping[str, Role] | None = None,
    ) -> Iterator[RequestorAssociation]:
        """An association with contexts 1, 3, 5 ... for pairs of abstract and transfer syntax."""
        proposed = [
            ProposedContext(id=2 * number + 1, abstract_syntax=abstract, transfer_syntaxes=(syntax,))
            for number, (abstract, syntax) in enumerate(contexts or ((CT, EXPLICIT),))
        ]
        target = Target(host="127.0.0.1", port=self.port, called_ae=called, calling_ae=calling)
        with connect(target, proposed, roles=roles or {}, timers=TIMERS) as association:
            yield association

    def store(self, data: bytes, *, syntax: str = EXPLICIT, **more: Any) -> StoreAnswer:
        """One C-STORE on an association of its own."""
        with self.associate((CT, syntax)) as association:
            return store(association, data, **more)

    @contextmanager
    def raw(self, *pairs: tuple[str, str], calling: str = "CT1") -> Iterator[RawPeer]:
        """An association whose bytes the test writes itself; it ends without a farewell."""
        contexts = propose(*(pairs or ((CT, EXPLICIT),)))
        with RawPeer(self.port) as peer:
            peer.send(request_bytes(called_ae="KUVAGW", calling_ae=calling, contexts=contexts, roles={}, length=16384))
            kind, _ = peer.pdu()
            assert kind == 2, f"A-ASSOCIATE-AC expected, not type {kind}"
            yield peer

    def kept(self) -> dict[str, list[str]]:
        """The files in each folder of the spool; folders without files are left out."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.spool.root.rglob("*")):
            if path.is_file():
                found.setdefault(path.relative_to(self.spool.root).parts[0], []).append(path.name)
        return found

    def closed(self, count: int = 1) -> list[dict[str, Any]]:
        """The lines of the first ``count`` associations that ended."""
        return wait_until(
            lambda: self.log.of("association") if len(self.log.of("association")) >= count else None,
            what=f"{count} log lines of associations",
        )


def store(
    association: RequestorAssociation,
    data: bytes,
    *,
    sop_class: str = CT,
    sop_instance: str = "1.2.3.4",
    context: int = 1,
) -> StoreAnswer:
    """C-STORE of these bytes; command and data set may say different things."""
    descriptor = os.memfd_create("data-set")
    try:
        os.write(descriptor, data)
        return association.store(
            association.contexts[context],
            sop_class=sop_class,
            sop_instance=sop_instance,
            data=[FileSlice(descriptor=descriptor, offset=0, length=len(data))],
        )
    finally:
        os.close(descriptor)


def store_command(message_id: int = 1) -> bytes:
    """A C-STORE-RQ for :func:`image` on context 1, as a PDU."""
    request = Command(
        field=commands.C_STORE_RQ,
        message_id=message_id,
        affected_class=CT,
        affected_instance="1.2.3.4",
        priority=0,
        has_data_set=True,
    )
    return p_data(pdv(1, 3, commands.encode(request)))


def image(*, pixels: int = 512, **changes: Any) -> Dataset:
    """A small CT image; a change to None removes the element."""
    data_set = Dataset()
    values: dict[str, Any] = {
        "SOPClassUID": CT,
        "SOPInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.1",
        "PatientID": "010101-999R",
        "PatientName": "Testi^Potilas",
        "Modality": "CT",
        **changes,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(data_set, keyword, value)
    data_set.BitsAllocated = 8
    data_set.add_new(0x7FE00010, "OB", bytes(pixels))
    return data_set


def encode(data_set: Dataset, syntax: str = EXPLICIT) -> bytes:
    """The data set as it goes over the wire."""
    stream = DicomBytesIO()
    stream.is_little_endian = True
    stream.is_implicit_VR = syntax == IMPLICIT
    write_dataset(stream, data_set)
    return stream.getvalue()


@contextmanager
def serve(folder: Path, configuration: Mapping[str, Any] = CONFIGURATION) -> Iterator[Gateway]:
    """A gateway with this configuration, drained at the end."""
    files = FaultyFiles()
    spool = Spool(folder, minimum_free=0, files=files)
    log = Lines()
    asked = Asked()
    gateway: Gateway

    def on_receipt(arrival: Arrival, header: Header) -> None:
        gateway.on_receipt(arrival, header)
        gateway.receipts.append((arrival, header))

    def on_result(destination: str, transaction_uid: str, committed: Any, failed: Any) -> None:
        if gateway.result_error is not None:
            raise gateway.result_error
        gateway.results.append((destination, transaction_uid, tuple(committed), tuple(failed)))

    dispatcher = Dispatcher(
        Configuration.model_validate(configuration),
        spool,
        on_receipt=on_receipt,
        immediate=lambda header, peer: gateway.immediate(header, peer),  # noqa: PLW0108  (tests replace it)
        on_commitment_result=on_result,
        commitment_requests=asked,
        log=log,
    )
    acceptor = Acceptor([Listener(host="127.0.0.1", port=0)], dispatcher, timers=TIMERS, log=log)
    gateway = Gateway(spool=spool, files=files, dispatcher=dispatcher, acceptor=acceptor, log=log, asked=asked)
    acceptor.start()
    try:
        yield gateway
    finally:
        acceptor.drain(5)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with serve(tmp_path / "spool") as running:
        yield running


class Gate:
    """Stops whoever passes until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, *_: object) -> None:
        self.reached.set()
        assert self.open.wait(20), "nobody opened the gate"


def read_file(path: Path) -> BytesIO:
    """The whole file in memory."""
    return BytesIO(path.read_bytes())
