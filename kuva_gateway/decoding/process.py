"""The daemon's side of decoding: a process that is started when it is first needed, asked, and killed on overrun.

Used by one thread. Promises that whatever the process does ends in decoded pixels whose digest is that of what two
decoders found, in :class:`~kuva_gateway.decoding.image.DecodingError`, or, when the gateway itself lacks something or
is to stop, in DeferredError; and that no process outlives :meth:`Decoder.close` or the gateway.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import kuva_gateway
from kuva_gateway.decoding.image import DecodingError, Image
from kuva_gateway.errors import DeferredError, NoSpaceError

if TYPE_CHECKING:
    from kuva_gateway.config import Configuration

_GLANCE: Final = 0.2  # seconds between looks whether the gateway stops
_ANSWER: Final = 64 * 1024
_PIECE: Final = 1 << 20
_TOO_LONG: Final = "it takes longer than decoding.timeout allows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """``memory`` of the process and ``minimum_free`` of the disk in bytes, ``timeout`` for one object in seconds."""

    memory: int = 1 << 30
    timeout: float = 600.0
    minimum_free: int = 0

    @classmethod
    def of(cls, configuration: Configuration) -> Bounds:
        """What the configuration allows."""
        own = configuration.decoding
        return cls(memory=own.memory, timeout=own.timeout, minimum_free=configuration.spool.minimum_free)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """``photometric`` of the decoded pixels; ``lossy``: the compression had lost something."""

    photometric: str
    lossy: bool


class Decoder:
    """One process for as many objects as come, one after the other; a new one when it had to be killed."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._process: subprocess.Popen[bytes] | None = None
        self._words: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The process id, while there is one."""
        return None if self._process is None else self._process.pid

    def decode(
        self,
        image: Image,
        source: tuple[int, int, int],
        into: BinaryIO,
        *,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Decoded:
        """Decode the fragments at ``source`` (descriptor, offset, length) into the empty file ``into``.

        Raises
        ------
        DecodingError
            They cannot be decoded within the bounds, or not for certain.
        DeferredError
            There is no room for them or no process, or ``stopping`` turned true.
        """
        self._require_space(image, into)
        descriptor, offset, length = source
        request = {
            "image": json.loads(image.to_json()),
            "offset": offset,
            "length": length,
            "seconds": self._bounds.timeout,
        }
        words = self._started()
        try:
            socket.send_fds(words, [json.dumps(request).encode("ascii")], [descriptor, into.fileno()])
            answer = self._answer(words, stopping)
        except ConnectionError:
            why = self._why_it_died()
            self.close()
            raise DecodingError(why) from None
        except BaseException:
            self.close()
            raise
        if "why" in answer:
            raise DecodingError(str(answer["why"]))
        if _digest(into) != (answer.get("sha256"), image.pixel_bytes):
            raise DecodingError("what was written is not what was decoded")
        return Decoded(photometric=str(answer["photometric"]), lossy=bool(answer["lossy"]))

    def close(self) -> None:
        """End the process, at once."""
        process, words, self._process, self._words = self._process, self._words, None, None
        if words is not None:
            words.close()
        if process is not None:
            process.kill()
            process.wait()

    def _require_space(self, image: Image, into: BinaryIO) -> None:
        room = os.fstatvfs(into.fileno())
        if room.f_bavail * room.f_frsize - image.pixel_bytes < self._bounds.minimum_free:
            raise NoSpaceError("there is no room for the decoded pixels", code="minimum_free")

    def _started(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._words is not None:
            return self._words
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = _start(theirs.fileno(), self._bounds.memory)
            except OSError as error:
                ours.close()
                raise DeferredError(f"the process that decodes cannot be started: {error.strerror}") from error
        self._words = ours
        return ours

    def _answer(self, words: socket.socket, stopping: Callable[[], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + self._bounds.timeout
        words.settimeout(_GLANCE)
        while True:
            with contextlib.suppress(TimeoutError):
                if not (said := words.recv(_ANSWER)):
                    raise ConnectionResetError
                found: dict[str, Any] = json.loads(said)
                return found
            if stopping():
                raise DeferredError("the gateway stops")
            if time.monotonic() > deadline:
                raise DecodingError(_TOO_LONG)

    def _why_it_died(self) -> str:
        assert self._process is not None
        try:
            status = self._process.wait(_GLANCE)
        except subprocess.TimeoutExpired:
            return "a decoder closed its connection"
        if status == -signal.SIGXCPU:
            return _TOO_LONG
        if status < 0:
            return f"a decoder was ended by {signal.Signals(-status).name}"
        return f"a decoder ended with status {status}"


def _digest(file: BinaryIO) -> tuple[str, int]:
    digest, position = hashlib.sha256(), 0
    while data := os.pread(file.fileno(), _PIECE, position):
        digest.update(data)
        position += len(data)
    return digest.hexdigest(), position


def _start(descriptor: int, memory: int) -> subprocess.Popen[bytes]:
    """A new interpreter with this very package, and nothing of the daemon's environment."""
    environment = {
        "PYTHONPATH": str(Path(kuva_gateway.__file__).resolve().parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-s", "-m", "kuva_gateway.decoding", str(descriptor), str(memory), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # decoders write there what they think of an image
        pass_fds=(descriptor,),
        env=environment,
        cwd="/",
    )
