"""A server that accepts one association and then does exactly what it is told with the socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from kuva_gateway.network.negotiation import accept_bytes, read_items
from kuva_gateway.network.records import Answer
from tests.unit.network.peers import RawPeer


class ScriptedServer:
    """Listens once, answers A-ASSOCIATE-RQ, then does what it is told with the socket."""

    def __init__(self, then: Callable[[ScriptedServer], None], *, length: int = 16384, accept: bool = True) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._then = then
        self._length = length
        self._accept = accept
        self.errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(20)
        self._listener.close()
        assert not self.errors

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(15)
        with connection:
            self.socket = connection
            try:
                if self._accept:
                    self.associate()
                self._then(self)
            except BaseException as error:
                self.errors.append(error)

    read = RawPeer.read
    pdu = RawPeer.pdu
    send = RawPeer.send

    def associate(self) -> None:
        kind, body = self.pdu()
        assert kind == 1
        contexts = read_items(body, accept=False).contexts
        answers = {context.id: Answer(transfer_syntax=context.transfer_syntaxes[0]) for context in contexts}
        self.send(accept_bytes(body, answers, roles={}, length=self._length, identity=None))

    def until_closed(self) -> bytes:
        """Everything that still comes."""
        data = b""
        while piece := self.read(65536):
            data += piece
        return data
