"""The trail's way to a collector: RFC 5424 syslog over TLS (RFC 5425), over TCP (RFC 6587) or over UDP (RFC 5426).

What is delivered is remembered as the number of the last record, so that everything goes in order, at least once, also
what was written while the collector was away. Over TLS and TCP a record counts as delivered when the collector's
machine has acknowledged its bytes; syslog knows no answer of the collector itself. UDP knows none at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from kuva_gateway.audit.message import stamp
from kuva_gateway.audit.trail import Place, Record, last_number, records
from kuva_gateway.audit.trouble import Trouble
from kuva_gateway.errors import DamageError, DeferredError

_PRIORITY = 10 * 8 + 5
"""Facility 10 (security), severity 5 (notice): PS3.15 A.6."""
_MESSAGE_ID = "DICOM+RFC3881"
_APPLICATION = "kuva-gateway"
_BOM = "\ufeff"
_SIOCOUTQ = 0x5411
"""Bytes of a socket that its peer has not acknowledged (tcp(7))."""
_GROUP = 100
_PATIENCE = 5.0  # seconds for a connection, a handshake, and for bytes to be acknowledged
_LOOK_AGAIN = 0.01
_MOST_OVER_UDP = 65_507  # bytes of a datagram (RFC 5426 3.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the collector is."""

    host: str
    port: int
    transport: Literal["tls", "tcp", "udp"]
    tls: ssl.SSLContext | None = None


def frame(record: Record, *, host: str, process: int) -> bytes:
    """A record as an RFC 5424 message."""
    head = f"<{_PRIORITY}>1 {stamp(record.at)} {host or '-'} {_APPLICATION} {process} {_MESSAGE_ID} - "
    return (head + _BOM + record.message).encode("utf-8")


class Collector:
    """Delivers what the trail has and the collector has not."""

    def __init__(self, folder: Path, address: Address, *, log: Any, patience: float = _PATIENCE) -> None:
        self._folder = folder
        self._position = folder / "delivered"
        self._address = address
        self._patience = patience
        self._connection: socket.socket | None = None
        self._behind: Place | None = None
        self._trouble = Trouble(
            lambda why: log.warning("audit messages are not delivered", why=why),
            lambda: log.info("the audit collector takes messages again"),
        )
        self._host = socket.gethostname()
        self._stopping = threading.Event()
        self._delivering = threading.Lock()

    @property
    def away(self) -> bool:
        """Whether the last delivery failed."""
        return self._trouble.lasts

    @property
    def waiting(self) -> int:
        """Records that are not delivered yet; raises what :func:`~kuva_gateway.audit.trail.last_number` raises."""
        return max(0, last_number(self._folder) - self.delivered)

    @property
    def delivered(self) -> int:
        """The number of the last record that was delivered."""
        try:
            return int(self._position.read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def deliver(self) -> int:
        """Send everything that is waiting; returns how many records. A collector that is away is said once."""
        with self._delivering:
            return self._deliver()

    def _deliver(self) -> int:
        done = 0
        try:
            waiting = records(self._folder, after=self.delivered, behind=self._behind)
            while not self._stopping.is_set() and (group := list(islice(waiting, _GROUP))):
                self._send(group)
                self._remember(group[-1].number)
                self._behind = group[-1].place
                done += len(group)
        except (OSError, DeferredError) as error:
            self._drop()
            self._trouble.met(error)
        except DamageError as error:
            self._trouble.met(error)
        else:
            if done:
                self._trouble.passed()
        return done

    def close(self) -> None:
        """Send no more; returns when what is on its way has been sent."""
        self._stopping.set()
        with self._delivering:
            self._drop()

    def _send(self, group: Sequence[Record]) -> None:
        framed = [frame(record, host=self._host, process=os.getpid()) for record in group]
        if self._address.transport == "udp":
            self._send_datagrams(framed)
            return
        connection = self._connected()
        connection.sendall(b"".join(b"%d %s" % (len(one), one) for one in framed))
        self._wait_acknowledged(connection)

    def _send_datagrams(self, framed: Sequence[bytes]) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(
            self._address.host, self._address.port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, protocol) as out:
            for one in framed:
                # A longer one is cut, as RFC 5426 3.2 lets a sender do: that something happened is told all the same.
                out.sendto(one[:_MOST_OVER_UDP], address)

    def _connected(self) -> socket.socket:
        if self._connection is not None and _is_closed(self._connection):
            self._drop()
        if self._connection is None:
            where = self._address
            connection = socket.create_connection((where.host, where.port), timeout=self._patience)
            try:
                connection.settimeout(self._patience)
                if where.tls is not None:
                    connection = where.tls.wrap_socket(connection, server_hostname=where.host)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _wait_acknowledged(self, connection: socket.socket) -> None:
        """Until the collector's machine has every byte.

        Raises
        ------
        DeferredError
            It has not taken them in time, or has hung up.
        """
        deadline = monotonic() + self._patience
        while _unacknowledged(connection):
            if monotonic() >= deadline or self._stopping.wait(_LOOK_AGAIN):
                raise DeferredError("the collector does not take what is sent")
        if _is_closed(connection):
            raise DeferredError("the collector hung up")

    def _remember(self, number: int) -> None:
        """Replace the file with the position, whole or not at all; after a power cut some records go twice."""
        new = self._position.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, str(number).encode("ascii"))
        finally:
            os.close(descriptor)
        new.replace(self._position)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


def _unacknowledged(connection: socket.socket) -> int:
    raw = fcntl.ioctl(connection.fileno(), _SIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", raw)[0])


def _is_closed(connection: socket.socket) -> bool:
    """Whether the collector has hung up; it has nothing to say to us otherwise."""
    patience = connection.gettimeout()
    connection.settimeout(0)
    try:
        return connection.recv(4096) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        with contextlib.suppress(OSError):
            connection.settimeout(patience)
