"""The control socket answers requests, survives nonsense and is the operator's alone."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.control import ControlServer, ask
from kuva_gateway.errors import DeferredError


def fail(request: Mapping[str, Any]) -> Mapping[str, Any]:
    raise RuntimeError("secret")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "control.sock"
    control = ControlServer(path, {"wake": lambda request: {"woken": request["what"]}, "fail": fail})
    control.start()
    yield path
    control.stop()
    assert not path.exists()


def test_a_request_is_answered(server: Path) -> None:
    assert ask(server, {"request": "wake", "what": "queue"}) == {"woken": "queue"}


def test_the_socket_is_the_operators_alone(server: Path) -> None:
    assert stat.S_IMODE(server.stat().st_mode) == 0o600


def test_an_unknown_request_is_said_to_be_unknown(server: Path) -> None:
    assert ask(server, {"request": "dance"}) == {"error": "unknown request"}


def test_a_failing_answer_names_the_failure_only(server: Path) -> None:
    assert ask(server, {"request": "fail"}) == {"error": "RuntimeError"}


@pytest.mark.parametrize(
    "line", [b"\n", b"no json\n", b"[1]\n", b"\xff\xfe\n", b"{}\n", b"x" * 100_000, b"[" * 60_000 + b"\n"]
)
def test_nonsense_is_survived(server: Path, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(server))
        with contextlib.suppress(OSError):
            channel.sendall(line)
    assert ask(server, {"request": "wake", "what": "queue"}) == {"woken": "queue"}


def test_a_full_descriptor_table_and_an_answer_that_cannot_be_written_are_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    failures = iter([OSError(errno.EMFILE, os.strerror(errno.EMFILE))])
    accept = socket.socket.accept

    def accept_later(listening: socket.socket) -> Any:
        if (failure := next(failures, None)) is not None:
            raise failure
        return accept(listening)

    monkeypatch.setattr(socket.socket, "accept", accept_later)
    control = ControlServer(tmp_path / "c.sock", {"wake": lambda request: {}, "endless": lambda request: endless})
    control.start()
    try:
        assert ask(tmp_path / "c.sock", {"request": "wake"}) == {}
        with pytest.raises(DeferredError):
            ask(tmp_path / "c.sock", {"request": "endless"})
        assert ask(tmp_path / "c.sock", {"request": "wake"}) == {}
    finally:
        control.stop()


def test_a_missing_daemon_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(DeferredError, match="not running"):
        ask(tmp_path / "control.sock", {"request": "wake"})


def test_a_deep_state_directory_does_not_matter(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a" * 30] * 5)
    folder.mkdir(parents=True)
    control = ControlServer(folder / "control.sock", {"wake": lambda request: {}})
    control.start()
    try:
        assert ask(folder / "control.sock", {"request": "wake"}) == {}
    finally:
        control.stop()
