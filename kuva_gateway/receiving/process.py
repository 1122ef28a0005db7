"""One receiving process: it gets connections from the daemon, serves them, and tells the daemon what is safe.

It ends when the daemon asks it to drain, and with the daemon: the kernel kills it when the daemon dies, so that a new
daemon never finds an old one's processes at work.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import socket
import threading
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from kuva_gateway import log, parts
from kuva_gateway.config import Configuration
from kuva_gateway.dicom.header import Header
from kuva_gateway.errors import DeferredError, GatewayError
from kuva_gateway.metrics.tally import Tally
from kuva_gateway.metrics.usage import Usage
from kuva_gateway.network.census import Room
from kuva_gateway.network.connections import Connections, Terms
from kuva_gateway.receiving.channel import Channel, read_frame
from kuva_gateway.receiving.handover import receive_connection
from kuva_gateway.receiving.notices import write_notice
from kuva_gateway.receiving.requests import RequestsToDaemon
from kuva_gateway.receiving.serving import Serving
from kuva_gateway.spool import Arrival

_PR_SET_PDEATHSIG = 1
PATIENCE = 30.0
"""Seconds that the daemon may take to answer what an association's thread asks."""


def _mention(channel: Channel, name: str, *arguments: object) -> None:
    """Tell the daemon, if it is there: without it nobody counts any more, and this process ends."""
    with contextlib.suppress(DeferredError):
        channel.tell(name, *arguments)


class DaemonCounts:
    """The daemon's census, asked over the channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def depart(self, number: int) -> None:
        """A half-open connection became an association, or went away."""
        _mention(self._channel, "depart", number)

    def join(self, peer: str, limit: int) -> Room:
        """Count an association of ``peer``, unless it has ``limit`` of them or the house is full."""
        try:
            return Room(self._channel.ask("join", peer, limit, timeout=PATIENCE))
        except DeferredError:
            return Room.FULL

    def leave(self, peer: str) -> None:
        """An association of ``peer`` ended."""
        _mention(self._channel, "leave", peer)


class Process:
    """What a receiving process is made of."""

    def __init__(
        self, configuration: Configuration, words: socket.socket, handover: socket.socket, tally: Tally, usage: Usage
    ) -> None:
        self._handover = handover
        self._channel = channel = Channel(
            words,
            {
                "ping": lambda: True,
                "in_flight": self._in_flight,
                "keep_out": self._keep_out,
                "prepare": self._prepare,
                "take_on": self._take_on,
                "drain": self._drain,
                "give_way": self._give_way,
            },
            apart=frozenset({"prepare", "drain"}),
        )
        self._drained = threading.Event()
        self._log = log.limited(log.get_logger("network"))
        self._audit = parts.audit_writer(configuration, log.get_logger("audit"))
        self._serving = Serving(
            configuration,
            parts.open_spool(configuration),
            on_receipt=self._on_receipt,
            on_commitment_result=self._on_commitment_result,
            commitment_requests=RequestsToDaemon(channel, timeout=PATIENCE),
            wait_indexed=self._wait_indexed,
            audit=self._audit,
            tally=tally,
            usage=usage,
        )
        self._prepared: tuple[bytes, Configuration, Terms] | None = None
        self._connections = Connections(
            self._serving.terms,
            counts=DaemonCounts(channel),
            log=self._log,
            ended=partial(_mention, channel, "ended"),
        )

    def run(self) -> None:
        """Serve until the daemon asks to drain."""
        threading.Thread(target=self._read, name="channel", daemon=True).start()
        threading.Thread(target=self._take_connections, name="handover", daemon=True).start()
        self._channel.tell("ready")
        self._drained.wait()
        self._channel.close()

    def _read(self) -> None:
        """Read what the daemon says; when it is gone, so is this process."""
        self._channel.run()
        if not self._drained.is_set():
            os._exit(1)

    def _take_connections(self) -> None:
        while (found := receive_connection(self._handover)) is not None:
            connection, address, listener, number = found
            try:
                self._connections.take(connection, address, listener, number)
            except (OSError, RuntimeError) as error:
                self._log.error("accept_failed", error=str(error) or type(error).__name__)
                connection.close()
                _mention(self._channel, "depart", number)
                _mention(self._channel, "ended", number)

    def _in_flight(self, study_uid: str) -> bool:
        return self._serving.in_flight(study_uid)

    def _give_way(self, number: int) -> None:
        self._connections.give_way(number)

    def _keep_out(self, sop_instances: frozenset[str]) -> None:
        self._serving.keep_out(sop_instances)

    def _prepare(self, pickled: bytes) -> None:
        """Make everything that another configuration needs, so that taking it on cannot fail."""
        configuration: Configuration = pickle.loads(pickled)
        try:
            self._prepared = pickled, configuration, self._serving.make(configuration)
        except DeferredError:
            raise
        except GatewayError as error:
            raise DeferredError(str(error)) from None

    def _take_on(self, pickled: bytes) -> None:
        """Serve who connects from now on under another configuration.

        One that this process did not prepare was taken on just before the process came: without it there is nothing to
        serve under, and a successor begins with it.
        """
        if self._prepared is None or self._prepared[0] != pickled:
            try:
                self._prepare(pickled)
            except Exception:
                self._log.error("a receiving process cannot take on the configuration", exc_info=True)
                os._exit(1)
        assert self._prepared is not None
        _, configuration, terms = self._prepared
        self._prepared = None
        self._serving.take_on(configuration, terms)
        self._connections.terms = terms
        log.configure(form=configuration.log.format, level=configuration.log.level)
        _mention(self._channel, "ready")

    def _drain(self, timeout: float) -> None:
        """Finish what is being received; the process ends when that is done."""
        self._connections.drain(timeout)
        self._audit.close()
        self._drained.set()

    def _on_receipt(self, arrival: Arrival, header: Header) -> None:
        # Raises DeferredError when the daemon is gone: the peer hears a failure and sends again. What is in arrived/
        # is indexed at the next start all the same.
        self._channel.tell("notice", write_notice(arrival, header))

    def _wait_indexed(self, moment: datetime, seconds: float) -> bool:
        return bool(self._channel.ask("indexed", moment.timestamp(), seconds, timeout=seconds + PATIENCE))

    def _on_commitment_result(
        self,
        destination: str,
        transaction_uid: str,
        committed: Sequence[tuple[str, str]],
        failed: Sequence[tuple[str, str, int]],
    ) -> None:
        plain = [tuple(one) for one in committed], [tuple(one) for one in failed]
        self._channel.ask("commitment", destination, transaction_uid, *plain, timeout=PATIENCE)


def main(arguments: Sequence[str]) -> int:
    """``python -m kuva_gateway.receiving CHANNEL HANDOVER TALLY USAGE PARENT``: descriptors, and the daemon's pid."""
    channel_fd, handover_fd, tally_fd, usage_fd, parent = (int(argument) for argument in arguments)
    die_with(parent)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the daemon decides when it ends
    os.umask(0o077)
    with socket.socket(fileno=channel_fd) as words, socket.socket(fileno=handover_fd) as handover:
        # The first frame is the configuration: the daemon's own, over a socket that nobody else has.
        configuration: Configuration = pickle.loads(read_frame(words))
        log.configure(form=configuration.log.format, level=configuration.log.level)
        tally = Tally(tally_fd)
        os.close(tally_fd)
        Process(configuration, words, handover, tally, Usage(usage_fd)).run()
    return 0


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before
        os._exit(1)
