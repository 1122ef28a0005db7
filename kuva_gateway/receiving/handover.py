"""Connections on their way from the process that accepts them to the one that serves them (SCM_RIGHTS)."""

from __future__ import annotations

import array
import marshal
import socket

_LONGEST = 1024  # bytes of one message: an address and two numbers
_DESCRIPTOR = array.array("i").itemsize


def hand_over(channel: socket.socket, connection: socket.socket, address: str, listener: int, number: int) -> None:
    """Send a connection and what is known of it; the caller closes its own descriptor.

    Raises
    ------
    OSError
        Nobody takes it.
    """
    message = marshal.dumps((address, listener, number))
    rights = array.array("i", [connection.fileno()])
    channel.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def receive_connection(channel: socket.socket) -> tuple[socket.socket, str, int, int] | None:
    """The next connection, its peer's address, the listener's place and the connection's number; None at the end."""
    try:
        message, ancillary, _, _ = channel.recvmsg(_LONGEST, socket.CMSG_SPACE(_DESCRIPTOR), socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return None
    if not message:
        return None
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % _DESCRIPTOR])
    address, listener, number = marshal.loads(message)
    return socket.socket(fileno=descriptors[0]), address, listener, number
