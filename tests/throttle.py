"""A slow line: a proxy in the test's own process that lets so many bytes a second through, or stops in the middle."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

PIECE = 16 * 1024


@dataclass
class Line:
    """What passed towards the far end so far; ``stop_after`` bytes nothing passes any more, and nothing is closed."""

    port: int
    rate: float
    stop_after: float = float("inf")
    passed: int = 0
    connections: int = 0
    leaving: threading.Event = field(default_factory=threading.Event)

    def carry(self, near: socket.socket, far: socket.socket) -> None:
        """Carry bytes from ``near`` to ``far`` at the line's rate."""
        begun, own = time.monotonic(), 0
        with suppress(OSError):
            while self.passed < self.stop_after and (data := near.recv(PIECE)):
                own += len(data)
                self.passed += len(data)
                if self.leaving.wait(max(begun + own / self.rate - time.monotonic(), 0)):
                    return
                far.sendall(data)
            if self.passed >= self.stop_after:
                self.leaving.wait(30)
            far.shutdown(socket.SHUT_WR)


@contextmanager
def slow_line(to: int, rate: float, *, stop_after: float = float("inf")) -> Iterator[Line]:
    """A line to the local port ``to`` that carries ``rate`` bytes per second out, and answers back at once."""
    listener = socket.socket()
    # Small buffers, so that what the sender has handed over is nearly what has passed.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * PIECE)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    line = Line(listener.getsockname()[1], rate, stop_after)
    threads: list[threading.Thread] = []
    sockets: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                line.connections += 1
                far = socket.create_connection(("127.0.0.1", to))
                sockets.extend((near, far))
                for arguments in ((line.carry, near, far), (_answer, far, near)):
                    thread = threading.Thread(target=arguments[0], args=arguments[1:])
                    threads.append(thread)
                    thread.start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield line
    finally:
        line.leaving.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(10)
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)
        for one in sockets:
            one.close()


def _answer(far: socket.socket, near: socket.socket) -> None:
    with suppress(OSError):
        while data := far.recv(PIECE):
            near.sendall(data)
        near.shutdown(socket.SHUT_WR)
