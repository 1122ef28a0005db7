"""Listening and serving in one process: what comes in is answered by threads beside the one that accepts it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kuva_gateway.network.association import Association
from kuva_gateway.network.census import Census
from kuva_gateway.network.connections import Connections, Terms
from kuva_gateway.network.listening import Listening
from kuva_gateway.network.protocols import Log, Services
from kuva_gateway.network.records import Listener
from kuva_gateway.network.timers import Limits, Timers


class NoLog:
    """A log that nobody reads."""

    def info(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...

    def error(self, event: str, **fields: object) -> object: ...


class Acceptor:
    """The gateway's door, in one process."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        services: Services,
        *,
        timers: Timers | None = None,
        limits: Limits | None = None,
        log: Log | None = None,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        terms = Terms(
            tls=[listener.tls for listener in listeners],
            services=services,
            timers=timers or Timers(),
            limits=limits or Limits(),
        )
        log = log or NoLog()
        self.census = Census(terms.limits)
        self._connections = Connections(terms, counts=self.census, log=log)
        self._listening = Listening(
            listeners, self._connections.take, self._connections.give_way, census=self.census, log=log, beat=beat
        )

    @property
    def ports(self) -> tuple[int, ...]:
        """The port of each listener, in their order; chosen by the kernel where 0 was asked for. None after a drain."""
        return self._listening.ports

    def start(self) -> None:
        """Bind every listener and begin to accept.

        Raises
        ------
        OSError
            An address cannot be bound; nothing is left open.
        """
        self._listening.bind()
        self._listening.start()

    def serve_under(self, terms: Terms) -> None:
        """Serve who connects from now on under other terms; who is connected keeps his own."""
        self._connections.terms = terms
        self.census.limits = terms.limits

    def associations(self) -> tuple[Association, ...]:
        """The associations that are established now."""
        return self._connections.associations()

    def drain(self, timeout: float) -> int:
        """Stop listening, let messages in progress be finished and answered, end everything else, wait ``timeout`` s.

        Returns how many connections had to be cut at the end of that time.
        """
        self._listening.stop()
        return self._connections.drain(timeout)
