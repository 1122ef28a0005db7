"""A modality that retrieves and writes its own bytes, and what it hears."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from io import BytesIO

from pydicom.filereader import read_dataset

from kuva_gateway.network import Command, ProposedContext, Role, commands
from kuva_gateway.network.negotiation import request_bytes
from tests.unit.network.peers import RawPeer, p_data, pdv
from tests.unit.scp.conftest import CT, EXPLICIT, IMPLICIT
from tests.unit.scp.querying import Querying, identifier

STUDY_MOVE, STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.2.3"
PATIENT_MOVE, PATIENT_GET = "1.2.840.10008.5.1.4.1.2.1.2", "1.2.840.10008.5.1.4.1.2.1.3"
PENDING, SUCCESS, CANCELLED, SOME_FAILED, ALL_FAILED, UNKNOWN = 0xFF00, 0, 0xFE00, 0xB000, 0xA702, 0xA801


@dataclass
class Answer:
    """One response, with the identifier that came with it."""

    command: Command
    data_set: bytes = b""

    @property
    def status(self) -> int:
        return self.command.status or 0

    @property
    def counts(self) -> tuple[int | None, ...]:
        """Remaining, completed, failed, warning."""
        told = self.command
        return told.remaining, told.completed, told.failed, told.warning

    @property
    def failed_uids(self) -> list[str]:
        found = read_dataset(BytesIO(self.data_set), False, True).FailedSOPInstanceUIDList
        return [found] if isinstance(found, str) else list(found)


class Asker(RawPeer):
    """A modality that writes its own bytes: context 1 is the retrieval's, 3 is CT in explicit little endian."""

    def __init__(
        self,
        gateway: Querying,
        model: str,
        syntaxes: tuple[str, ...] = (IMPLICIT, EXPLICIT),
        *,
        calling: str = "PACS",
    ) -> None:
        super().__init__(gateway.port, timeout=60)
        self.model = model
        self.data: list[bytes] = []
        self._waiting: deque[Answer] = deque()
        self.received: list[str] = []
        contexts = [
            ProposedContext(id=1, abstract_syntax=model, transfer_syntaxes=(EXPLICIT,)),
            ProposedContext(id=3, abstract_syntax=CT, transfer_syntaxes=syntaxes),
        ]
        self.send(
            request_bytes(
                called_ae="KUVAGW",
                calling_ae=calling,
                contexts=contexts,
                roles={CT: Role(scu=False, scp=True)},
                length=16384,
            )
        )
        kind, _ = self.pdu()
        assert kind == 2

    def ask(self, field: int, model: str, data: bytes, *, destination: str = "", message_id: int = 7) -> None:
        request = Command(
            field=field,
            message_id=message_id,
            affected_class=model,
            priority=0,
            has_data_set=True,
            move_destination=destination,
        )
        self.send(p_data(pdv(1, 3, commands.encode(request))) + p_data(pdv(1, 2, data)))

    def move(self, destination: str = "ARCHIVE", **keys: str) -> None:
        self.ask(commands.C_MOVE_RQ, self.model, identifier(**keys), destination=destination)

    def get(self, **keys: str) -> None:
        self.ask(commands.C_GET_RQ, self.model, identifier(**keys))

    def cancel(self, message_id: int = 7) -> None:
        self.send(p_data(pdv(1, 3, commands.encode(Command(field=commands.C_CANCEL_RQ, responded_to=message_id)))))

    def answer(self, status: int = SUCCESS) -> Answer:
        """The next response; C-STOREs that come before it are answered with ``status``."""
        while not self._waiting:
            self._read(status)
        return self._waiting.popleft()

    def answers(self, status: int = SUCCESS) -> list[Answer]:
        """All responses of a request."""
        found = [self.answer(status)]
        while found[-1].status == PENDING:
            found.append(self.answer(status))
        return found

    def _read(self, status: int) -> None:
        command, data = self._message()
        if command.field == commands.C_STORE_RQ:
            self.received.append(command.affected_instance)
            self.data.append(data)
            told = Command(
                field=commands.C_STORE_RSP,
                responded_to=command.message_id,
                affected_class=command.affected_class,
                affected_instance=command.affected_instance,
                status=status,
            )
            self.send(p_data(pdv(3, 3, commands.encode(told))))
        else:
            self._waiting.append(Answer(command, data))

    def _message(self) -> tuple[Command, bytes]:
        parts: dict[int, bytes] = {1: b"", 0: b""}
        command: Command | None = None
        while True:
            kind, body = self.pdu()
            assert kind == 4, f"P-DATA expected, not type {kind}"
            while body:
                length = int.from_bytes(body[:4], "big")
                control, piece, body = body[5], body[6 : 4 + length], body[4 + length :]
                parts[control & 1] += piece
                if control == 3:
                    command = commands.decode(parts[1])
                if command is not None and (control == 2 or (control == 3 and not command.has_data_set)):
                    return command, parts[0]
