"""An archive that lets everybody in and answers every C-STORE with one status; quick, so that the sender is measured.

``python scripts/refusing_archive.py PORT STATUS`` listens on loopback until it is ended.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kuva_gateway.network import (
    AcceptedContext,
    Acceptor,
    Admission,
    Answer,
    Association,
    AssociationRequest,
    Command,
    Listener,
    ProposedContext,
    Response,
)


class Refuser:
    """What the archive says to its peers."""

    def __init__(self, status: int) -> None:
        self._answer = Response(status=status, comment="out of space")

    def admit(self, request: AssociationRequest) -> Admission:
        """Everybody, with everything."""
        return Admission(peer=request.calling_ae, accept=self._accept, limit=100)

    def _accept(self, context: ProposedContext) -> Answer:
        return Answer(transfer_syntax=context.transfer_syntaxes[0])

    def store(self, association: Association, context: AcceptedContext, command: Command) -> Response:
        """The one status."""
        return self._answer

    def request(
        self, association: Association, context: AcceptedContext, command: Command, data_set: bytes
    ) -> Iterable[Response]:
        """C-ECHO, with success."""
        return [Response(status=0)]

    def refused(self, address: str, request: AssociationRequest | None, why: str) -> None:
        """Nobody is."""

    def closed(self, association: Association, how: str) -> None:
        """Nothing is kept."""


if __name__ == "__main__":
    Acceptor([Listener(host="127.0.0.1", port=int(sys.argv[1]))], Refuser(int(sys.argv[2], 16))).start()
    threading.Event().wait()
