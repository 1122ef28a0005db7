"""The journal of systemd, spoken to in its own protocol: fields beside the text (systemd.io/JOURNAL_NATIVE_PROTOCOL).

Promises that a journal that does not listen costs a line, never an image, and that the next line tells
how many it cost.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import functools
import json
import os
import socket
import threading
from collections.abc import Mapping
from typing import Any, TextIO

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "kuva-gateway"
PREFIX = "KUVA_"
"""Before our own fields: PEER and STUDY may be somebody else's."""
PATIENCE = 0.5
"""Seconds that the first line waits for a journal that is full; those after it do not."""
_BUFFER = 8 << 20  # bytes; what systemd's own library asks for
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_EACH = {"studies": "study", "rules": "rule"}
"""Lists whose every value can be asked for."""
_JSON = json.JSONEncoder(ensure_ascii=False, default=str)
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def is_stream(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether what is written to ``stream`` goes to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class Journal:
    """Sends lines as datagrams; threads may share it."""

    def __init__(self, address: str = SOCKET) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._lost = 0
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        with contextlib.suppress(OSError):
            self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)

    def send(self, text: str, level: str, fields: Mapping[str, Any]) -> None:
        """One line: ``text`` for people, ``fields`` for who asks for them."""
        with self._lock:
            lost = {"lost_lines": self._lost} if self._lost else {}
            self._channel.settimeout(0.0 if self._lost else PATIENCE)  # once is enough for one that stands still
            try:
                self._send(encode(text, level, {**fields, **lost}))
                self._lost = 0
            except OSError:  # it is being restarted, or takes nothing
                self._lost += 1

    def _send(self, datagram: bytes) -> None:
        try:
            self._channel.sendto(datagram, self._address)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_large(datagram)

    def _send_large(self, datagram: bytes) -> None:
        """What no datagram holds goes as a sealed file in memory."""
        descriptor = os.memfd_create(IDENTIFIER, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(descriptor, "wb", buffering=0) as file:
            file.write(datagram)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
            self._channel.sendmsg([], [rights], 0, self._address)

    def close(self) -> None:
        """Send no more."""
        self._channel.close()


def encode(text: str, level: str, fields: Mapping[str, Any]) -> bytes:
    """The datagram of one line."""
    parts = [
        _field("MESSAGE", text),
        _field("PRIORITY", str(_PRIORITIES.get(level, 6))),
        _field("SYSLOG_IDENTIFIER", IDENTIFIER),
    ]
    for name, value in fields.items():
        several = name in _EACH and isinstance(value, list | tuple)
        label = PREFIX + _name(_EACH.get(name, name))
        parts += [_field(label, plain(one)) for one in (value if several else [value])]
    return b"".join(parts)


def plain(value: object) -> str:
    """A value as text; lists and the like as JSON."""
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else _JSON.encode(value)


def _field(name: str, value: str) -> bytes:
    content = value.encode("utf-8", "replace")
    if b"\n" in content:  # with its length, or it would begin another field
        return name.encode("ascii") + b"\n" + len(content).to_bytes(8, "little") + content + b"\n"
    return name.encode("ascii") + b"=" + content + b"\n"


@functools.cache
def _name(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name.upper())[:60]
