"""systemd's side of the daemon: how it is told how the daemon is, and the sockets that it keeps open for it.

sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3), and nothing of it when nobody asked. Promises that the
watchdog is fed only while whatever must go round does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from time import monotonic, monotonic_ns

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START."""
LOOK_EVERY = 1.0  # seconds
OURS_ALONE = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
"""What is said to the daemon and to none of its processes."""


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


def reloading() -> None:
    """The configuration is being read again; READY=1 ends it (sd_notify(3): with the moment at which it began)."""
    notify("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds after which the supervisor takes a daemon that says nothing for dead; None: it does not watch."""
    own = environ.get("WATCHDOG_PID")
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
        if own is not None and int(own) != os.getpid():
            return None
    except ValueError:
        return None
    return microseconds / 1e6 if microseconds > 0 else None


def passed_sockets(environ: MutableMapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """The listening sockets that the supervisor keeps open, by their FileDescriptorName; taken once.

    Of several with one name the first counts; whatever is no listening TCP socket is left alone.
    """
    own, count, names = (environ.pop(key, "") for key in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if not (own.isdigit() and count.isdigit()) or int(own) != os.getpid():
        return {}
    found: dict[str, socket.socket] = {}
    named = names.split(":")
    for place in range(int(count)):
        name = named[place] if place < len(named) else ""
        with contextlib.suppress(OSError):
            passed = socket.socket(fileno=FIRST_DESCRIPTOR + place)
            passed.set_inheritable(False)
            if name not in found and _listens(passed):
                passed.setblocking(False)
                found[name] = passed
            else:
                passed.detach()
    return found


def _listens(passed: socket.socket) -> bool:
    return (
        passed.family in (socket.AF_INET, socket.AF_INET6)
        and passed.type == socket.SOCK_STREAM
        and passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    )


class Watchdog:
    """Feeds the supervisor's watchdog, and keeps its status line true, on a thread of its own.

    Parameters
    ----------
    hanging
        Who does not go round, in words; while there is anybody, nothing is fed.
    status
        How the daemon is, in one line.
    """

    def __init__(
        self,
        hanging: Callable[[], Sequence[str]],
        status: Callable[[], str],
        *,
        log: Callable[[str], object],
        environ: Mapping[str, str] = os.environ,
        look_every: float = LOOK_EVERY,
    ) -> None:
        self._hanging = hanging
        self._status = status
        self._log = log
        self._environ = dict(environ)
        self._look_every = look_every
        interval = watchdog_interval(self._environ)
        self._feed_every = None if interval is None else interval / 4
        self._fed_at = float("-inf")
        self._said = ""
        self._hangs = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin, if there is a supervisor."""
        if self._environ.get("NOTIFY_SOCKET"):
            self._thread.start()

    def stop(self) -> None:
        """Feed no more: a daemon that stops is not watched."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._look_every):
            self.look()

    def look(self) -> None:
        """Feed if it is time to and all is well; say what is new."""
        hanging = list(self._hanging())
        if hanging and not self._hangs:
            self._log("; ".join(hanging))
        self._hangs = bool(hanging)
        words = "hangs: " + "; ".join(hanging) if hanging else self._status()
        lines = [] if words == self._said else [f"STATUS={words}"]
        if not hanging and self._feed_every is not None and monotonic() - self._fed_at >= self._feed_every:
            lines.append("WATCHDOG=1")
            self._fed_at = monotonic()
        if lines:
            notify(*lines, environ=self._environ)
            self._said = words
