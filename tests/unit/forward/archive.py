"""An archive on pynetdicom that does as it is told, in the test's own process."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.presentation import build_role
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

Reference = tuple[str, str]


@dataclass
class Report:
    """One N-EVENT-REPORT that the archive sends: after ``delay`` seconds, on the same or on a new association."""

    committed: Sequence[Reference] = ()
    failed: Sequence[tuple[str, str, int]] = ()
    transaction: str | None = None  # None: the one that was asked
    delay: float = 0.0


@dataclass
class Script:
    """How the archive behaves. Callables are asked for each request."""

    status: Callable[[str], int] = lambda uid: 0x0000
    close_at: Callable[[str], bool] = lambda uid: False  # closes the connection instead of answering
    silent_at: Callable[[str], bool] = lambda uid: False  # stores, and neither answers nor closes
    action_status: int = 0x0000
    reports: Callable[[str, list[Reference]], Iterable[Report]] | None = None  # None: what is stored is committed
    same_association: bool = True
    report_to: tuple[str, int, str] | None = None  # host, port, AE title
    classes: Sequence[str] | None = None  # None: every storage class
    syntaxes: Sequence[str] | None = None
    commitment: bool = True
    verification: bool = True
    find_status: int | None = None  # None: no C-FIND is offered; else the final status, after what is there
    require_called: bool = False
    calling: Sequence[str] = ()


@dataclass
class Archive:
    """What happened at the archive."""

    script: Script
    port: int = 0
    stored: list[tuple[str, str, str]] = field(default_factory=list)  # SOP instance, transfer syntax, digest
    data: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    asked: list[tuple[str, list[Reference]]] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)  # to our reports
    queries: list[Dataset] = field(default_factory=list)
    echoes: int = 0
    associations: int = 0
    leaving: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def instances(self) -> list[str]:
        """The SOP Instance UIDs that were stored, in their order."""
        return [uid for uid, _, _ in self.stored]

    def _store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.requests.append(uid)
        if self.script.close_at(uid):
            event.assoc.dul.socket.close()
            return 0x0000
        status = self.script.status(uid)
        if status == 0 or status in (0x0001, 0x0107, 0x0116) or status >> 12 == 0xB:
            self.data[uid] = event.request.DataSet.getvalue()
            digest = hashlib.sha256(self.data[uid]).hexdigest()
            self.stored.append((uid, str(event.context.transfer_syntax), digest))
        if self.script.silent_at(uid):
            self.leaving.wait(30)
        return status

    def _action(self, event: evt.Event) -> tuple[int, None]:
        asked = event.action_information
        transaction = str(asked.TransactionUID)
        references = [
            (str(i.ReferencedSOPClassUID), str(i.ReferencedSOPInstanceUID)) for i in asked.ReferencedSOPSequence
        ]
        self.asked.append((transaction, references))
        if self.script.action_status == 0:
            thread = threading.Thread(target=self._report, args=(event.assoc, transaction, references))
            self.threads.append(thread)
            thread.start()
        return self.script.action_status, None

    def _report(self, association: Any, transaction: str, references: list[Reference]) -> None:
        for report in (self.script.reports or self._honest)(transaction, references):
            if self.leaving.wait(report.delay + 0.05):  # the answer to the N-ACTION goes first
                return
            data_set, kind = data_set_of(report, transaction)
            if self.script.same_association:
                with suppress(Exception):
                    status, _ = association.send_n_event_report(
                        data_set, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
                    )
                    self.answers.append(status.get("Status"))
            elif self.script.report_to:
                self.answers.append(send_report(self.script.report_to, data_set, kind))

    def _honest(self, transaction: str, references: list[Reference]) -> Iterable[Report]:
        stored = set(self.instances)
        yield Report(
            committed=[one for one in references if one[1] in stored],
            failed=[(*one, 0x0112) for one in references if one[1] not in stored],
        )

    def _echo(self, event: evt.Event) -> int:
        self.echoes += 1
        return 0x0000

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Image level: what is there of the series that is asked for."""
        asked = event.identifier
        self.queries.append(asked)
        for uid, syntax, _ in list(self.stored):
            found = read_dataset(BytesIO(self.data[uid]), syntax == ImplicitVRLittleEndian, True, stop_when=_behind)
            if found.SeriesInstanceUID == asked.SeriesInstanceUID:
                answer = Dataset()
                answer.QueryRetrieveLevel, answer.SOPInstanceUID = "IMAGE", uid
                yield 0xFF00, answer
        yield self.script.find_status or 0x0000, None

    def _requested(self, event: evt.Event) -> None:
        self.associations += 1


def _behind(tag: Any, vr: str | None, length: int) -> bool:
    return int(tag) > 0x0020000E


def data_set_of(report: Report, transaction: str) -> tuple[Dataset, int]:
    """Event Information and Event Type of ``report`` (PS3.4 J.3.3)."""
    data_set = Dataset()
    data_set.TransactionUID = report.transaction or transaction
    committed, failed = [], []
    for sop_class, uid in report.committed:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        committed.append(item)
    for sop_class, uid, reason in report.failed:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID, item.FailureReason = sop_class, uid, reason
        failed.append(item)
    if committed:
        data_set.ReferencedSOPSequence = committed
    if failed:
        data_set.FailedSOPSequence = failed
    return data_set, 2 if failed else 1


def send_report(to: tuple[str, int, str], data_set: Dataset, kind: int, *, ae_title: str = "ARCHIVE") -> int | None:
    """Report on a new association, as the archive does (the requestor is the SCP: role selection)."""
    host, port, called = to
    ae = AE(ae_title=ae_title)
    ae.add_requested_context(StorageCommitmentPushModel, ImplicitVRLittleEndian)
    association = ae.associate(
        host, port, ae_title=called, ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)]
    )
    if not association.is_established:
        return None
    try:
        status, _ = association.send_n_event_report(
            data_set, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        found = status.get("Status")
        return int(found) if found is not None else None
    finally:
        association.release()


@contextmanager
def running(script: Script | None = None, *, port: int = 0) -> Iterator[Archive]:
    """An archive that listens until the block ends."""
    script = script or Script()
    archive = Archive(script)
    ae = AE(ae_title="ARCHIVE")
    if script.verification:
        ae.add_supported_context(Verification)
    classes = script.classes or [str(c.abstract_syntax) for c in AllStoragePresentationContexts]
    for sop_class in classes:
        ae.add_supported_context(sop_class, list(script.syntaxes or ALL_TRANSFER_SYNTAXES))
    if script.commitment:
        ae.add_supported_context(StorageCommitmentPushModel)
    if script.find_status is not None:
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    ae.require_called_aet = script.require_called
    ae.require_calling_aet = list(script.calling)
    handlers = [
        (evt.EVT_C_STORE, archive._store),
        (evt.EVT_N_ACTION, archive._action),
        (evt.EVT_C_ECHO, archive._echo),
        (evt.EVT_C_FIND, archive._find),
        (evt.EVT_REQUESTED, archive._requested),
    ]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    archive.port = server.server_address[1]
    try:
        yield archive
    finally:
        archive.leaving.set()
        for thread in archive.threads:
            thread.join(10)
        server.shutdown()
