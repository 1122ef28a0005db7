"""The control socket: one JSON line each way between the command line and the running daemon.

Commands write the catalog directly, so that they work with the daemon down; the socket only tells a running daemon to
look at once (``wake``), and asks it for what only it knows (``live``). It is mode 0600: whoever may open it is the
operator.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kuva_gateway.errors import DeferredError
from kuva_gateway.log import get_logger

_LINE = 64 * 1024  # bytes of a request
_ANSWER = 4 * 1024 * 1024  # bytes
_PATIENCE = 5.0  # seconds for one request and its answer
_PAUSE = 0.5  # seconds after a failure, which may be a full descriptor table

Answerer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def ask(path: Path, request: Mapping[str, Any], *, timeout: float = _PATIENCE) -> dict[str, Any]:
    """Send one request to the daemon behind ``path`` and return its answer.

    Raises
    ------
    DeferredError
        No daemon answers there (within ``timeout`` seconds).
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel, _short(path) as name:
            channel.settimeout(timeout)
            channel.connect(name)
            channel.sendall(json.dumps(dict(request)).encode() + b"\n")
            answer = json.loads(_line(channel, _ANSWER))
    except (OSError, ValueError) as error:
        raise DeferredError("the gateway is not running (its control socket does not answer)") from error
    if not isinstance(answer, dict):
        raise DeferredError("the gateway's control socket gave no answer that can be read")
    return answer


class ControlServer:
    """Serves the socket at ``path`` from a thread of its own until :meth:`stop`.

    ``answerers`` has one callable per request name; what it returns is the answer. An unknown request, a line that is
    no JSON and an answerer's failure are answered with ``{"error": ...}``. The requests named in ``apart`` may take
    long: each is answered on a thread of its own, so that others need not wait.
    """

    def __init__(self, path: Path, answerers: Mapping[str, Answerer], *, apart: frozenset[str] = frozenset()) -> None:
        self._path = path
        self._answerers = dict(answerers)
        self._apart = apart
        self._log = get_logger("control")
        self._socket: socket.socket | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)

    def start(self) -> None:
        """Bind the socket (a left-over one is replaced: the lock says that no other daemon runs) and serve it."""
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            with _short(self._path) as name:
                listening.bind(name)
        finally:
            os.umask(before)
        listening.listen(16)
        self._socket = listening
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and remove the socket."""
        if self._socket is None:
            return
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        assert self._socket is not None
        while not self._stopping.is_set():
            try:
                self._serve_one(self._socket)
            except Exception as error:
                if self._stopping.is_set():
                    return
                self._log.warning("control socket failed", why=type(error).__name__)
                self._stopping.wait(_PAUSE)

    def _serve_one(self, listening: socket.socket) -> None:
        channel, _ = listening.accept()
        with contextlib.ExitStack() as closing, contextlib.suppress(OSError):
            closing.enter_context(channel)
            channel.settimeout(_PATIENCE)
            answerer, request = self._find(_line(channel))
            if request.get("request") in self._apart:
                kept = closing.pop_all()
                threading.Thread(
                    target=self._answer, args=(channel, kept, answerer, request), name="control answer", daemon=True
                ).start()
                return
            self._answer(channel, closing.pop_all(), answerer, request)

    def _find(self, line: bytes) -> tuple[Answerer, Mapping[str, Any]]:
        try:
            request = json.loads(line)
            return self._answerers[request["request"]], request
        except (ValueError, KeyError, TypeError, RecursionError):
            return (lambda request: {"error": "unknown request"}), {}

    def _answer(
        self, channel: socket.socket, closing: contextlib.ExitStack, answerer: Answerer, request: Mapping[str, Any]
    ) -> None:
        with closing, contextlib.suppress(OSError):
            try:
                answer = answerer(request)
            except Exception as error:
                self._log.exception("control request failed", request=request["request"])
                answer = {"error": type(error).__name__}
            channel.sendall(json.dumps(answer, default=str).encode() + b"\n")


@contextlib.contextmanager
def _short(path: Path) -> Any:
    """A name for ``path`` that fits a Unix socket address (107 bytes), however deep its folder lies."""
    if len(os.fsencode(path)) <= 107:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _line(channel: socket.socket, longest: int = _LINE) -> bytes:
    """The bytes up to the first line feed, at most ``longest``."""
    received = bytearray()
    while b"\n" not in received[-4096:] and len(received) < longest:
        part = channel.recv(4096)
        if not part:
            break
        received += part
    return bytes(received).partition(b"\n")[0]
