"""An archive, socket and bytes, that kills the gateway at the very moment at which an exchange has come to a step.

Keeps what it received in full, however often. It is a good archive: it commits to what it has and to nothing else, and
reports until it is heard, on the association that asked or on one of its own. The kill comes from its own threads, in
the middle of the exchange, so that nothing happens between the step and the end.
"""

from __future__ import annotations

import hashlib
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress

from kuva_gateway.dicom import uids
from kuva_gateway.dicom.syntaxes import IMPLICIT_LITTLE
from kuva_gateway.forward.references import Request, Result, event_type, read_request, write_result
from kuva_gateway.forward.report import ROLES
from kuva_gateway.network import commands, pdus
from kuva_gateway.network.commands import Command
from kuva_gateway.network.negotiation import accept_bytes, read_fixed, read_items, request_bytes
from kuva_gateway.network.records import Answer, ProposedContext
from tests.unit.network.peers import RawPeer

PDU_LENGTH = 16384
NO_SUCH_INSTANCE = 0x0112
STORAGE_COMMITMENT = uids.STORAGE_COMMITMENT_PUSH_MODEL


class Gone(Exception):
    """The gateway has been killed, or has left."""


class StepArchive:
    """Listens on ``port``; ``kill`` is called when the armed step is reached for the armed time."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self.received: dict[str, list[str]] = defaultdict(list)
        self.report_elsewhere = False
        self._classes: dict[str, str] = {}
        self.gateway_port = 0
        self._kill = kill
        self._lock = threading.Lock()
        self._armed = ("", 0, "")
        self._seen: Counter[str] = Counter()
        self.callers: Counter[str] = Counter()
        self._held_back = ("", "", 0)
        self.died = threading.Event()
        self._leaving = threading.Event()
        self._unheard = 0
        self._threads: list[threading.Thread] = []
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._begin(self._accept)

    def arm(self, step: str, nth: int = 1, *, caller: str = "") -> None:
        """Kill the gateway when this step is reached for the ``nth`` time from now, by ``caller`` if one is given."""
        with self._lock:
            self._seen.clear()
            self.died.clear()
            self._armed = (step, nth, caller)

    def hold_back(self, step: str, after: int, *, caller: str) -> None:
        """From the ``after``-th time on, ``caller`` stands still at this step until the kill, so that others get on."""
        with self._lock:
            self._held_back = (step, caller, after)

    @property
    def quiet(self) -> bool:
        """Everything that it had to report has been heard."""
        with self._lock:
            return self._unheard == 0

    def close(self) -> None:
        """End everything."""
        self._leaving.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def reach(self, step: str, caller: str = "") -> None:
        """An exchange has come this far, on an association of ``caller``'s."""
        self._stand_still(step, caller)
        with self._lock:
            armed, nth, wanted = self._armed
            if step != armed or wanted not in ("", caller):
                return
            self._seen[step] += 1
            if self._seen[step] != nth:
                return
            self._armed = ("", 0, "")
            self._kill()
        self.died.set()
        raise Gone(step)

    def _stand_still(self, step: str, caller: str) -> None:
        with self._lock:
            held_step, held_caller, left = self._held_back
            if (step, caller) != (held_step, held_caller):
                return
            self._held_back = (held_step, held_caller, max(left - 1, 0))
        while not left and not self.died.wait(1) and not self._leaving.is_set():
            pass

    # -- associations of the gateway's ---------------------------------------------------------------------------------

    def _begin(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                self._begin(lambda one=one: self._serve(one))  # type: ignore[misc]

    def _serve(self, one: socket.socket) -> None:
        with self._lock:
            self._sockets.add(one)
        with suppress(OSError, Gone), one:
            _Served(self, _Peer(one)).run()
        with self._lock:
            self._sockets.discard(one)

    def keep(self, sop_class: str, uid: str, data: bytes) -> None:
        """One instance has come in full."""
        with self._lock:
            self._classes[uid] = sop_class
            self.received[uid].append(hashlib.sha256(data).hexdigest())

    # -- storage commitment --------------------------------------------------------------------------------------------

    def result(self, request: Request) -> Result:
        """What it says of the instances that it was asked about."""
        with self._lock:
            here = {(sop_class, uid) for uid, sop_class in self._classes.items()}
        return Result(
            transaction_uid=request.transaction_uid,
            committed=tuple(one for one in request.references if one in here),
            failed=tuple((*one, NO_SUCH_INSTANCE) for one in request.references if one not in here),
        )

    def report_on_its_own(self, result: Result) -> None:
        """Report on associations of the archive's own until the gateway has answered."""

        with self._lock:
            self._unheard += 1

        def run() -> None:
            while not self._leaving.is_set():
                with suppress(OSError, Gone, AssertionError):
                    self._report(result)
                    with self._lock:
                        self._unheard -= 1
                    return
                self._leaving.wait(0.1)

        self._begin(run)

    def _report(self, result: Result) -> None:
        context = ProposedContext(id=1, abstract_syntax=STORAGE_COMMITMENT, transfer_syntaxes=(IMPLICIT_LITTLE,))
        with socket.create_connection(("127.0.0.1", self.gateway_port), timeout=10) as one:
            peer = _Peer(one)
            peer.send(
                request_bytes(
                    called_ae="KUVAGW", calling_ae="ARCHIVE", contexts=[context], roles=ROLES, length=PDU_LENGTH
                )
            )
            kind, _ = peer.pdu()
            assert kind == pdus.ASSOCIATE_AC
            self.reach("report associated")
            peer.tell(1, result, IMPLICIT_LITTLE)
            self.reach("report sent")
            answer = peer.response()
            assert answer.status == 0
            self.reach("report heard")
            peer.send(pdus.RELEASE_RQ_BYTES)
            peer.pdu()


class _Peer(RawPeer):
    """The bytes of one connection."""

    def __init__(self, one: socket.socket) -> None:
        one.settimeout(60)
        self.socket = one

    def say(self, context: int, command: Command, data: bytes | None = None) -> None:
        """One message."""
        parts = pdus.fragments(context, commands.encode(command), PDU_LENGTH, command=True)
        if data is not None:
            parts += pdus.fragments(context, data, PDU_LENGTH, command=False)
        self.send(*parts)

    def tell(self, context: int, result: Result, syntax: str) -> None:
        """An N-EVENT-REPORT-RQ."""
        command = Command(
            field=commands.N_EVENT_REPORT_RQ,
            message_id=77,
            affected_class=STORAGE_COMMITMENT,
            affected_instance=uids.STORAGE_COMMITMENT_INSTANCE,
            event_type=event_type(result),
            has_data_set=True,
        )
        self.say(context, command, write_result(result, syntax, retrieve_ae_title="ARCHIVE"))


class _Served:
    """One association that the gateway has opened, from its request to its end."""

    def __init__(self, archive: StepArchive, peer: _Peer) -> None:
        self._archive, self._peer = archive, peer
        self._syntaxes: dict[int, str] = {}
        self._what, self._caller = "echo", ""
        self._command, self._data = b"", b""
        self._unheard: Result | None = None

    def run(self) -> None:
        """Serve it."""
        try:
            self._associate()
            while True:
                kind, body = self._peer.pdu()
                if kind == pdus.RELEASE_RQ:
                    self._reach(f"{self._what} released")
                    self._peer.send(pdus.RELEASE_RP_BYTES)
                    return
                if kind != pdus.P_DATA:
                    return
                self._take(body)
        finally:
            if self._unheard is not None:
                self._archive.report_on_its_own(self._unheard)

    def _reach(self, step: str) -> None:
        self._archive.reach(step, self._caller)

    def _associate(self) -> None:
        kind, body = self._peer.pdu()
        if kind != pdus.ASSOCIATE_RQ:
            raise Gone
        _, _, self._caller = read_fixed(body)
        contexts = read_items(body, accept=False).contexts
        abstract = {context.abstract_syntax for context in contexts}
        if abstract == {STORAGE_COMMITMENT}:
            self._what = "commitment"
        elif abstract != {uids.VERIFICATION}:
            self._what = "store"
        self._archive.callers[self._caller] += 1
        self._reach(f"{self._what} asked")
        self._syntaxes = {context.id: context.transfer_syntaxes[0] for context in contexts}
        answers = {number: Answer(transfer_syntax=syntax) for number, syntax in self._syntaxes.items()}
        self._peer.send(accept_bytes(body, answers, roles={}, length=PDU_LENGTH, identity=None))
        self._reach(f"{self._what} associated")

    def _take(self, body: bytes) -> None:
        while body:
            length, context, control = pdus.PDV_HEADER.unpack_from(body)
            fragment, body = body[6 : 4 + length], body[4 + length :]
            if control & pdus.COMMAND_BIT:
                self._command += fragment
                if control & pdus.LAST_BIT:
                    self._commanded(context)
            else:
                self._data += fragment
                if control & pdus.LAST_BIT:
                    self._whole(context, commands.decode(self._command))
                    self._command = self._data = b""
                elif len(self._data) > 3 * PDU_LENGTH:
                    self._reach(f"{self._what} data")

    def _commanded(self, context: int) -> None:
        command = commands.decode(self._command)
        self._reach(f"{self._what} command")
        if not command.has_data_set:
            self._command = b""
            self._whole(context, command)

    def _whole(self, context: int, command: Command) -> None:
        if command.field == commands.C_STORE_RQ:
            self._archive.keep(command.affected_class, command.affected_instance, self._data)
            self._reach("stored")
            self._answer(context, command, commands.C_STORE_RSP)
            self._reach("store answered")
        elif command.field == commands.N_ACTION_RQ:
            self._reach("action")
            request = read_request(self._data, self._syntaxes[context])
            self._answer(context, command, commands.N_ACTION_RSP)
            self._unheard = self._archive.result(request)
            self._reach("action answered")
            if not self._archive.report_elsewhere:
                self._peer.tell(context, self._unheard, self._syntaxes[context])
                self._reach("same report sent")
        elif command.field == commands.N_EVENT_REPORT_RSP:
            self._unheard = None
            self._reach("same report heard")
        else:
            self._answer(context, command, commands.C_ECHO_RSP)

    def _answer(self, context: int, command: Command, field: int) -> None:
        answer = Command(
            field=field,
            responded_to=command.message_id,
            affected_class=command.affected_class or command.requested_class,
            affected_instance=command.affected_instance or command.requested_instance,
            status=0,
        )
        self._peer.say(context, answer)
