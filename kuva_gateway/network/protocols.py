"""What the acceptor asks of the part above it: who may come in, where a data set goes, how a request is answered.

Every call is made on the association's own thread. What raises is answered with 0110 (processing failure) and the
association goes on; :class:`~kuva_gateway.network.errors.NetworkError` passes through and ends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kuva_gateway.network.association import Association
    from kuva_gateway.network.census import Room
    from kuva_gateway.network.commands import Command
    from kuva_gateway.network.records import AcceptedContext, Admission, AssociationRequest, Rejection, Response


class Sink(Protocol):
    """Where the data set of one C-STORE goes, in pieces, in order."""

    def write(self, view: memoryview) -> None:
        """Take the next piece; the view is valid only during the call. May raise: the rest is then discarded."""

    def finish(self) -> Response:
        """The data set is complete: make it safe, and say what to answer."""

    def failed(self, error: Exception) -> Response:
        """``write`` or ``finish`` raised ``error``: clear up, and say what to answer."""

    def abandon(self) -> None:
        """The association ended in the middle: clear up; there is nobody left to answer."""


class Services(Protocol):
    """The part above: policy and the services themselves."""

    def admit(self, request: AssociationRequest) -> Admission | Rejection:
        """May this peer come in, and what may it do?"""

    def refused(self, address: str, request: AssociationRequest | None, why: str) -> None:
        """Somebody was not let in; without ``request`` the TLS handshake failed. Must not wait."""

    def store(self, association: Association, context: AcceptedContext, command: Command) -> Sink | Response:
        """A C-STORE-RQ came: where does its data set go? A Response refuses; the data set is then read and dropped."""

    def request(
        self, association: Association, context: AcceptedContext, command: Command, data_set: bytes
    ) -> Iterable[Response]:
        """Any other request came whole; yield its responses, the final one last."""

    def closed(self, association: Association, how: str) -> None:
        """The association is over; ``how`` is for its log line."""


class Counts(Protocol):
    """Who counts the connections of all processes together; see :class:`~kuva_gateway.network.census.Census`."""

    def depart(self, number: int) -> None:
        """A half-open connection became an association, or went away."""

    def join(self, peer: str, limit: int) -> Room:
        """Count an association of ``peer``, unless it has ``limit`` of them or the house is full."""

    def leave(self, peer: str) -> None:
        """An association of ``peer`` ended."""


class Log(Protocol):
    """The few calls of a structlog logger that the network makes."""

    def info(self, event: str, **fields: object) -> object:
        """Something worth a line."""

    def warning(self, event: str, **fields: object) -> object:
        """Something a person should look at."""

    def error(self, event: str, **fields: object) -> object:
        """A fault of our own."""
