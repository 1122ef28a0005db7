"""The supervisor is told what it asked to be told, and nobody else is."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from kuva_gateway.systemd import notify


def test_the_supervisors_socket_gets_the_lines(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(path)
        supervisor.settimeout(5)
        assert notify("READY=1", "STATUS=well", environ={"NOTIFY_SOCKET": path})
        assert supervisor.recv(100) == b"READY=1\nSTATUS=well"


def test_an_abstract_socket_gets_the_lines() -> None:
    name = f"kuva-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind("\0" + name)
        supervisor.settimeout(5)
        assert notify("STOPPING=1", environ={"NOTIFY_SOCKET": "@" + name})
        assert supervisor.recv(100) == b"STOPPING=1"


def test_nobody_is_told_where_nobody_listens(tmp_path: Path) -> None:
    assert not notify("READY=1", environ={})
    assert not notify("READY=1", environ={"NOTIFY_SOCKET": str(tmp_path / "absent")})
