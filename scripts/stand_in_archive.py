"""A stand-in for the national archive: takes studies and commits to them, or misbehaves as it is told.

It keeps every data set as it came (one Part 10 file and the SHA-256 of its bytes per SOP Instance UID), answers C-ECHO,
takes storage commitment requests, and reports the result with N-EVENT-REPORT on a *new* association to the address
given with ``--report-to`` (PS3.4 J.3.3). It prints one JSON object a line for everything that happens, and stops on
SIGTERM or SIGINT. The faults are for tests and for people who want to see what the gateway does about them.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import itertools
import json
import logging
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.presentation import build_role
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification

SUCCESS = 0x0000
CANNOT_UNDERSTAND = 0xC000
NO_SUCH_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
ALL_COMMITTED, FAILURES_EXIST = 1, 2
REPORT_ATTEMPTS = 5
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


class Archive:
    """What the archive holds and how it was told to behave; any association's thread may call its methods."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.stopping = threading.Event()
        self.held: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()
        self._stores = 0
        self._associations = itertools.count(1)
        self._faults_left: float = options.faults if options.faults is not None else float("inf")
        self._threads: list[threading.Thread] = []

    def say(self, event: str, **details: object) -> None:
        """Print one event as a line of JSON."""
        line = json.dumps({"event": event, "at": round(time.time(), 3), **details})
        with self._lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def fault(self) -> bool:
        """Whether a fault that is due now is still among the ``--faults`` that were asked for."""
        with self._lock:
            if self._faults_left <= 0:
                return False
            self._faults_left -= 1
            return True

    def requested(self, event: evt.Event) -> None:
        """Note an association, and reject it if that was asked for (PS3.8 9.3.4: transient, local limit exceeded)."""
        event.assoc.kuva_number = next(self._associations)
        self.say(
            "association",
            association=event.assoc.kuva_number,
            calling_ae=event.assoc.requestor.primitive.calling_ae_title,
        )
        if self.options.reject_associations and self.fault():
            self.say("rejected")
            event.assoc.acse.send_reject(0x02, 0x03, 0x02)
            event.assoc.kill()

    def released(self, event: evt.Event) -> None:
        """Note that the peer has read every answer: it released the association."""
        self.say("released", association=getattr(event.assoc, "kuva_number", None))

    # -- storage (PS3.4 B) -------------------------------------------------------------------------------------------

    def store(self, event: evt.Event) -> int:
        """Keep one instance, or answer as the options say."""
        request = event.request
        uid, sop_class = str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID)
        with self._lock:
            self._stores += 1
            number = self._stores
        if self.options.delay_store:
            self.stopping.wait(self.options.delay_store)
        if self.options.abort_at and number % self.options.abort_at == 0 and self.fault():
            self.say("aborted", sop_instance_uid=uid)
            event.assoc.abort()
            return CANNOT_UNDERSTAND
        status = self.options.refuse_uid.get(uid)
        if status is None and self.options.status and number % self.options.every == 0:
            status = self.options.status
        if status is not None and self.fault():
            self.say("refused", sop_instance_uid=uid, status=f"{status:04X}")
            return int(status)
        digest = self._keep(event, uid)
        with self._lock:
            again = uid in self.held
            self.held[uid] = (sop_class, digest)
        self.say(
            "stored",
            association=event.assoc.kuva_number,
            sop_class_uid=sop_class,
            sop_instance_uid=uid,
            transfer_syntax_uid=str(event.context.transfer_syntax),
            digest=digest,
            again=again,
        )
        return SUCCESS

    def _keep(self, event: evt.Event, uid: str) -> str:
        """Write the instance if a folder was given; the digest is that of the data set's bytes as received."""
        data_set = event.request.DataSet.getvalue()
        if self.options.folder is not None:
            name = "".join(character for character in uid if character in "0123456789.")
            (self.options.folder / f"{name}.dcm").write_bytes(event.encoded_dataset())
        return hashlib.sha256(data_set).hexdigest()

    # -- storage commitment (PS3.4 J) --------------------------------------------------------------------------------

    def action(self, event: evt.Event) -> tuple[int, None]:
        """Take a storage commitment request; the result follows on its own thread."""
        asked = event.action_information
        transaction = str(asked.TransactionUID)
        instances = [
            (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
            for item in asked.ReferencedSOPSequence
        ]
        self.say("commitment_asked", transaction_uid=transaction, instances=len(instances))
        if self.options.refuse_commitment and self.fault():
            self.say("commitment_refused", transaction_uid=transaction)
            return self.options.refuse_commitment, None
        if not self.options.never_commit:
            thread = threading.Thread(target=self._report, args=(event.assoc, transaction, instances), daemon=True)
            self._threads.append(thread)
            thread.start()
        return SUCCESS, None

    def _result(self, transaction: str, instances: list[tuple[str, str]]) -> tuple[Dataset, int]:
        """The Event Information of the report (PS3.4 table J.3-2) and its Event Type."""
        committed, failed = [], []
        for sop_class, uid in instances:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
            reason = self.options.fail_commitment.get(uid)
            if reason is not None and not self.fault():
                reason = None
            with self._lock:
                held = self.held.get(uid)
            if reason is None and held is None:
                reason = NO_SUCH_INSTANCE
            elif reason is None and held is not None and held[0] != sop_class:
                reason = CLASS_INSTANCE_CONFLICT
            if reason is None:
                committed.append(item)
            else:
                item.FailureReason = reason
                failed.append(item)
        report = Dataset()
        report.TransactionUID = transaction
        report.RetrieveAETitle = self.options.ae_title
        if self.options.foreign_commitment:
            foreign = Dataset()
            foreign.ReferencedSOPClassUID, foreign.ReferencedSOPInstanceUID = CT_IMAGE, generate_uid(None)
            committed.append(foreign)
        if committed:
            report.ReferencedSOPSequence = committed
        if failed:
            report.FailedSOPSequence = failed
        return report, FAILURES_EXIST if failed else ALL_COMMITTED

    def _report(self, association: Any, transaction: str, instances: list[tuple[str, str]]) -> None:
        """Report a result after the delay that was asked for, as often and where the options say."""
        if self.stopping.wait(self.options.delay_commitment):
            return
        report, kind = self._result(transaction, instances)
        if self.options.foreign_commitment:
            stray = copy.deepcopy(report)
            stray.TransactionUID = generate_uid(None)
            self._send(association, stray, kind)
        for _ in range(2 if self.options.commit_twice else 1):
            self._send(association, report, kind)

    def _send(self, association: Any, report: Dataset, kind: int) -> None:
        if self.options.commit_same_association and association.is_established:
            status, _ = association.send_n_event_report(
                report, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            self._say_reported(report, kind, status, same_association=True)
            return
        for attempt in range(REPORT_ATTEMPTS):
            status = self._send_on_new_association(report, kind)
            if status is not None:
                self._say_reported(report, kind, status, same_association=False)
                return
            if self.stopping.wait(min(2**attempt * 0.5, 5)):
                return
        self.say("report_given_up", transaction_uid=str(report.TransactionUID))

    def _send_on_new_association(self, report: Dataset, kind: int) -> Dataset | None:
        if self.options.report_to is None:
            self.say("report_impossible", reason="no --report-to was given")
            return Dataset()
        host, port = self.options.report_to
        entity = AE(ae_title=self.options.ae_title)
        entity.add_requested_context(StorageCommitmentPushModel, [ImplicitVRLittleEndian])
        # The one that opens the association is the SCP here, which role selection says (PS3.4 J.3.3).
        association = entity.associate(
            host,
            port,
            ae_title=self.options.report_ae,
            ext_neg=[build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)],
        )
        if not association.is_established:
            self.say("report_refused", transaction_uid=str(report.TransactionUID), to=f"{host}:{port}")
            return None
        try:
            status, _ = association.send_n_event_report(
                report, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
        finally:
            association.release()
        return status if "Status" in status else None

    def _say_reported(self, report: Dataset, kind: int, status: Dataset, *, same_association: bool) -> None:
        self.say(
            "commitment_reported",
            transaction_uid=str(report.TransactionUID),
            committed=len(report.get("ReferencedSOPSequence", [])),
            failed=len(report.get("FailedSOPSequence", [])),
            event_type=kind,
            same_association=same_association,
            answer=f"{status.Status:04X}" if "Status" in status else None,
        )

    def stop(self) -> None:
        """Let reports under way finish or give up."""
        self.stopping.set()
        for thread in self._threads:
            thread.join(timeout=5)


def no_delay(event: evt.Event) -> None:
    """Switch Nagle's algorithm off on the accepted connection: small answers would wait for 40 ms otherwise."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def entity_for(archive: Archive) -> AE:
    """The application entity: every storage class of the standard in every transfer syntax, C-ECHO and commitment."""
    entity = AE(ae_title=archive.options.ae_title)
    entity.require_called_aet = True
    entity.maximum_pdu_size = 262144
    entity.maximum_associations = 50
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    for private in archive.options.storage_class:
        entity.add_supported_context(private, ALL_TRANSFER_SYNTAXES)
    entity.add_supported_context(Verification, ALL_TRANSFER_SYNTAXES)
    if not archive.options.no_commitment:
        entity.add_supported_context(StorageCommitmentPushModel, ALL_TRANSFER_SYNTAXES)
    return entity


def status_code(text: str) -> int:
    """A DIMSE status in hexadecimal, as ``A700``."""
    return int(text, 16)


def uid_and_status(text: str) -> tuple[str, int]:
    """``UID`` or ``UID=HEX``."""
    uid, _, status = text.partition("=")
    return uid, status_code(status) if status else CANNOT_UNDERSTAND


def host_and_port(text: str) -> tuple[str, int]:
    """``HOST:PORT``."""
    host, _, port = text.rpartition(":")
    return host or "127.0.0.1", int(port)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="stand-in-archive", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=11115, help="port to listen on, 0: any (default: %(default)s)")
    parser.add_argument("--ae-title", default="ARCHIVE", help="our AE title (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep what is stored as files here (default: keep digests only)")
    parser.add_argument("--report-to", type=host_and_port, metavar="HOST:PORT", help="the gateway, for results")
    parser.add_argument("--report-ae", default="KUVAGW", help="the gateway's AE title (default: %(default)s)")
    parser.add_argument("--storage-class", action="append", default=[], metavar="UID", help="a private class to take")
    parser.add_argument("--no-commitment", action="store_true", help="do not offer storage commitment at all")
    faults = parser.add_argument_group("faults")
    faults.add_argument("--faults", type=int, metavar="N", help="misbehave only N times in all")
    faults.add_argument("--reject-associations", action="store_true", help="reject every association")
    faults.add_argument(
        "--refuse-uid", action="append", default=[], type=uid_and_status, metavar="UID[=HEX]", help="refuse this one"
    )
    faults.add_argument("--status", type=status_code, metavar="HEX", help="answer C-STORE with this status")
    faults.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth C-STORE gets --status")
    faults.add_argument("--delay-store", type=float, default=0, metavar="S", help="wait before each C-STORE answer")
    faults.add_argument("--abort-at", type=int, default=0, metavar="N", help="abort at every Nth C-STORE")
    faults.add_argument("--delay-commitment", type=float, default=0, metavar="S", help="wait before reporting")
    faults.add_argument("--never-commit", action="store_true", help="take the request and never report")
    faults.add_argument("--refuse-commitment", type=status_code, metavar="HEX", help="answer N-ACTION with this status")
    faults.add_argument("--commit-twice", action="store_true", help="report every result twice")
    faults.add_argument("--commit-same-association", action="store_true", help="report on the association that asked")
    faults.add_argument("--foreign-commitment", action="store_true", help="report on things nobody asked about as well")
    faults.add_argument(
        "--fail-commitment", action="append", default=[], type=uid_and_status, metavar="UID=HEX", help="fail this one"
    )
    options = parser.parse_args(arguments)
    options.refuse_uid, options.fail_commitment = dict(options.refuse_uid), dict(options.fail_commitment)
    return options


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    options = parse(arguments)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    archive = Archive(options)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    entity = entity_for(archive)
    server = entity.start_server(
        (options.host, options.port),
        block=False,
        evt_handlers=[
            (evt.EVT_CONN_OPEN, no_delay),
            (evt.EVT_C_STORE, archive.store),
            (evt.EVT_N_ACTION, archive.action),
            (evt.EVT_REQUESTED, archive.requested),
            (evt.EVT_RELEASED, archive.released),
        ],
    )
    assert server is not None
    archive.say("listening", host=options.host, port=server.server_address[1], ae_title=options.ae_title)
    stop.wait()
    archive.stop()
    entity.shutdown()
    archive.say("stopped", held=len(archive.held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
