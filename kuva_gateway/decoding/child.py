"""The process that decodes: it reads one request after the other, with a file to read from and one to write into.

It ends with whoever started it. Its memory is limited for all its life, its processor time for each object; it has no
configuration, no keys and no connection but the one to its parent, and leaves no core dump.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import resource
import signal
import socket
from collections.abc import Sequence
from typing import Any, Final

from kuva_gateway.decoding.codestream import look, photometric_of
from kuva_gateway.decoding.fragments import find_fragments, frames_of, read_frame
from kuva_gateway.decoding.image import DecodingError, Image

REQUEST: Final = 64 * 1024
MEMORY: Final = "it needs more memory than decoding.memory allows"
NOT_INSTALLED: Final = "the decoders are not installed (pip install 'kuva-gateway[decoding]')"
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


def main(arguments: Sequence[str]) -> int:
    """``python -m kuva_gateway.decoding SOCKET MEMORY PARENT``: a descriptor, bytes, and the parent's process id."""
    descriptor, memory, parent = (int(argument) for argument in arguments)
    _confine(memory, parent)
    with socket.socket(fileno=descriptor) as words:
        serve(words)
    return 0


def _confine(memory: int, parent: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent decides when it ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def serve(words: socket.socket) -> None:
    """Answer requests until the parent closes the connection."""
    while True:
        request, descriptors, _flags, _address = socket.recv_fds(words, REQUEST, 2)
        if not request:
            return
        try:
            answer = _answer(json.loads(request), *descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        words.sendall(json.dumps(answer).encode("ascii"))


def _answer(request: dict[str, Any], source: int, into: int) -> dict[str, Any]:
    try:
        from kuva_gateway.decoding import codecs

        codecs.load()
    except ImportError:
        return {"why": NOT_INSTALLED}
    except MemoryError:
        return {"why": MEMORY}
    image = Image(**request["image"])
    _limit(request["seconds"], image.pixel_bytes)
    try:
        return _decode(image, source, request["offset"], request["length"], into)
    except DecodingError as error:
        return {"why": str(error)}
    except MemoryError:
        return {"why": MEMORY}


def _limit(seconds: float, size: int) -> None:
    """Processor time for this object alone, and no more written than it has pixels."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 1, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _decode(image: Image, source: int, offset: int, length: int, into: int) -> dict[str, Any]:
    from kuva_gateway.decoding.codecs import decode

    digest, lossy, photometric = hashlib.sha256(), False, image.photometric
    for number, stretches in enumerate(frames_of(find_fragments(source, offset, length), image.frames)):
        frame = read_frame(source, stretches)
        stream = look(image, frame)
        pixels = decode(image, stream, frame)
        digest.update(pixels)
        lossy, photometric = lossy or stream.lossy, photometric_of(image, stream)
        _write(into, pixels, number * image.frame_bytes)
    return {"photometric": photometric, "lossy": lossy, "sha256": digest.hexdigest()}


def _write(into: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(into, view, position)
        position, view = position + written, view[written:]
