"""Telling systemd how the daemon is: the datagrams of sd_notify(3), and nothing when nobody asked for them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def notify(*lines: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send ``lines`` such as ``READY=1`` to the supervisor; False when there is none or it does not listen."""
    address = environ.get("NOTIFY_SOCKET")
    if not address or address[0] not in "@/":
        return False
    target = "\0" + address[1:] if address[0] == "@" else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto("\n".join(lines).encode(), target)
    except OSError:
        return False
    return True
