"""An archive that answers queries as a test wrote them down, bytes and all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from kuva_gateway.network import Acceptor, Association, Command, Limits, Listener
from kuva_gateway.network.records import AcceptedContext, Admission, Answer, AssociationRequest, Rejection, Response
from tests.unit.scp.conftest import EXPLICIT, IMPLICIT, TIMERS, Lines
from tests.unit.scp.querying import identifier

Ask = Callable[["Association", Command, Dataset], Iterable[Response]]


def match(**keys: Any) -> Response:
    """A pending answer."""
    return Response(status=0xFF00, data_set=identifier(EXPLICIT, **keys))


@dataclass
class ScriptedArchive:
    """Implements the network's Services."""

    answer: Ask = lambda association, command, asked: (Response(status=0),)
    asked: list[Dataset] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    closed_count: int = 0

    def admit(self, request: AssociationRequest) -> Admission | Rejection:
        def accept(context: Any) -> Answer:
            chosen = EXPLICIT if EXPLICIT in context.transfer_syntaxes else context.transfer_syntaxes[0]
            return Answer(transfer_syntax=chosen, role=request.roles.get(context.abstract_syntax))

        return Admission(peer="gateway", accept=accept, limit=20)

    def refused(self, address: str, request: AssociationRequest | None, why: str) -> None: ...

    def store(self, association: Association, context: AcceptedContext, command: Command) -> Response:
        return Response(status=0x0110)

    def request(
        self, association: Association, context: AcceptedContext, command: Command, data_set: bytes
    ) -> Iterable[Response]:
        asked = read_dataset(BytesIO(data_set), context.transfer_syntax == IMPLICIT, True)
        self.asked.append(asked)
        for response in self.answer(association, command, asked):
            if association.cancelled(command.message_id or 0):
                self.cancelled.set()
                yield Response(status=0xFE00)
                return
            yield response

    def closed(self, association: Association, how: str) -> None:
        self.closed_count += 1


@contextmanager
def scripted_archive() -> Iterator[tuple[ScriptedArchive, int]]:
    """The archive, and its port."""
    archive = ScriptedArchive()
    acceptor = Acceptor([Listener(host="127.0.0.1", port=0)], archive, timers=TIMERS, limits=Limits(), log=Lines())
    acceptor.start()
    try:
        yield archive, acceptor.ports[0]
    finally:
        acceptor.drain(0)
