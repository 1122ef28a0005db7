"""What the daemon is told by signals: to stop, and to read its configuration again.

Promises that a signal is heard whenever it comes, also before anybody waits for it.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable


def hear_signals(stop: threading.Event, reload: Callable[[], None]) -> None:
    """Set ``stop`` on SIGTERM or SIGINT, call ``reload`` on SIGHUP, from a thread of its own that the interpreter's
    wakeup descriptor wakes.

    A Python handler would run inside the main thread's wait for ``stop``: a signal that comes just before the wait
    begins, or that another thread gets, is not seen until the next one; and setting the event may lock itself out.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: None)

    def wait() -> None:
        # Naming writing here keeps it open; further signals, while the daemon stops, are taken and change nothing.
        while (numbers := reading.recv(64)) and writing.fileno() >= 0:
            if {signal.SIGTERM, signal.SIGINT} & set(numbers):
                stop.set()
            else:
                reload()

    threading.Thread(target=wait, name="signals", daemon=True).start()
