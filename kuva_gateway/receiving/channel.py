"""Messages between the daemon and one receiving process over a pair of Unix sockets, in the order of their sending.

``tell`` says something, ``ask`` waits for an answer. Either side reads on one thread, :meth:`Channel.run`, which never
waits for anything but the next message: answers that take longer are made on threads of their own. Frames are a length
and a ``marshal`` value; both ends are this program, in one version.
"""

from __future__ import annotations

import contextlib
import itertools
import marshal
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any

from kuva_gateway.errors import DeferredError

_LENGTH = struct.Struct("=L")
_TELL, _ASK, _ANSWER, _FAILURE = range(4)
_BUFFER = 1 << 20  # bytes of messages that may wait unread before a sender has to
GONE = "the other process is gone"


class Channel:
    """One end.

    Parameters
    ----------
    answerers
        By name, what is called for a message; what it returns is the answer. A DeferredError is raised at the asker.
    apart
        The names whose answers may take time.
    """

    def __init__(
        self,
        connection: socket.socket,
        answerers: Mapping[str, Callable[..., object]],
        *,
        apart: frozenset[str] = frozenset(),
    ) -> None:
        connection.setblocking(True)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            connection.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        self._socket = connection
        self._answerers = dict(answerers)
        self._apart = apart
        self._numbers = itertools.count(1)
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._answers: dict[int, tuple[int, Any]] = {}
        self._asked: set[int] = set()
        self._closed = False

    def tell(self, name: str, *arguments: object) -> None:
        """Say something; it is with the kernel when this returns.

        Raises
        ------
        DeferredError
            Nobody is there any more.
        """
        self._send((_TELL, 0, name, arguments))

    def ask(self, name: str, *arguments: object, timeout: float) -> Any:
        """Ask, and wait for the answer.

        Raises
        ------
        DeferredError
            Nobody is there any more, no answer came in time, or the other side says so.
        """
        number = next(self._numbers)
        with self._changed:
            self._asked.add(number)
        try:
            self._send((_ASK, number, name, arguments))
            with self._changed:
                self._changed.wait_for(lambda: number in self._answers or self._closed, timeout)
                kind, value = self._answers.pop(number, (_FAILURE, (GONE if self._closed else "no answer in time", "")))
        finally:
            with self._changed:
                self._asked.discard(number)
                self._answers.pop(number, None)
        if kind == _FAILURE:
            raise DeferredError(value[0], code=value[1])
        return value

    def run(self) -> None:
        """Read and answer until the other side is gone."""
        try:
            with self._socket.makefile("rb") as stream:
                while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
                    self._take(marshal.loads(stream.read(*_LENGTH.unpack(head))))
        except (OSError, EOFError, ValueError):
            pass  # it died in the middle of a word
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()

    def close(self) -> None:
        """End both directions; the reader sees the end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _take(self, message: tuple[int, int, Any, Any]) -> None:
        kind, number, name, arguments = message
        if kind in (_ANSWER, _FAILURE):
            with self._changed:
                if number in self._asked:  # else its asker has given up
                    self._answers[number] = (kind, name)
                    self._changed.notify_all()
        elif name in self._apart:
            thread = threading.Thread(target=self._reply, args=(number, name, arguments), name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # none is to be had
                self._answer((_FAILURE, number, (f"{name}: no thread can be started", ""), None))
        else:
            self._reply(number, name, arguments)

    def _reply(self, number: int, name: str, arguments: tuple[Any, ...]) -> None:
        try:
            answer = (_ANSWER, number, self._answerers[name](*arguments), None)
        except DeferredError as error:
            answer = (_FAILURE, number, (str(error), error.code), None)
        except Exception as error:  # its text may quote what a peer sent
            answer = (_FAILURE, number, (f"{name}: {type(error).__name__}", ""), None)
        self._answer(answer)

    def _answer(self, answer: tuple[int, int, Any, None]) -> None:
        if answer[1]:
            with contextlib.suppress(DeferredError):
                self._send(answer)

    def _send(self, message: tuple[Any, ...]) -> None:
        frame = marshal.dumps(message)
        try:
            with self._sending:
                write_frame(self._socket, frame)
        except OSError:
            raise DeferredError(GONE) from None


def write_frame(connection: socket.socket, frame: bytes) -> None:
    """Send one frame."""
    connection.sendall(_LENGTH.pack(len(frame)) + frame)


def read_frame(connection: socket.socket) -> bytes:
    """Read one frame and nothing beyond it, before there is a Channel.

    Raises
    ------
    EOFError
        The other side is gone.
    """

    def exactly(count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = connection.recv(count - len(data))
            if not piece:
                raise EOFError(GONE)
            data += piece
        return data

    return exactly(*_LENGTH.unpack(exactly(_LENGTH.size)))
