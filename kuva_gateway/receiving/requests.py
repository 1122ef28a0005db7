"""Storage commitment requests on their way from a receiving process to the daemon, which has the catalog, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kuva_gateway.forward.references import Reference, Result
from kuva_gateway.receiving.channel import Channel
from kuva_gateway.scp.commitment import CommitmentRequests

_TAKE, _READY, _TOLD = "take request", "request ready", "request told"
REQUESTS = frozenset({_TAKE, _READY, _TOLD})
"""The names of these messages; each may take time to answer."""


class RequestsToDaemon:
    """The :class:`~kuva_gateway.scp.commitment.CommitmentRequests` of a receiving process: the daemon's, over there."""

    def __init__(self, channel: Channel, *, timeout: float) -> None:
        self._channel = channel
        self._timeout = timeout

    def take(self, peer: str, transaction_uid: str, references: Sequence[Reference]) -> str:
        """See the protocol."""
        plain = [tuple(one) for one in references]
        return str(self._channel.ask(_TAKE, peer, transaction_uid, plain, timeout=self._timeout))

    def ready(self, peer: str, transaction_uid: str, seconds: float) -> Result | None:
        """See the protocol."""
        found = self._channel.ask(_READY, peer, transaction_uid, seconds, timeout=self._timeout)
        if found is None:
            return None
        committed, failed = found
        return Result(transaction_uid=transaction_uid, committed=tuple(committed), failed=tuple(failed))

    def told(self, peer: str, transaction_uid: str, status: int | None) -> None:
        """See the protocol."""
        self._channel.ask(_TOLD, peer, transaction_uid, status, timeout=self._timeout)


def answerers(requests: CommitmentRequests) -> dict[str, Callable[..., Any]]:
    """What the daemon answers to the three messages."""

    def ready(peer: str, transaction_uid: str, seconds: float) -> tuple[list[Any], list[Any]] | None:
        found = requests.ready(peer, transaction_uid, seconds)
        return None if found is None else (list(found.committed), list(found.failed))

    return {_TAKE: requests.take, _READY: ready, _TOLD: requests.told}
