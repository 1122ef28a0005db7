"""The supervisor is told what it asked to be told, and nobody else is."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuva_gateway.systemd import Watchdog, notify, passed_sockets, watchdog_interval
from tests.support import wait_until


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


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.bind(str(tmp_path / "notify"))
        found.setblocking(False)
        yield found


def heard(supervisor: socket.socket) -> list[str]:
    """Everything that was said since the last time."""
    lines: list[str] = []
    try:
        while True:
            lines += supervisor.recv(4096).decode().splitlines()
    except BlockingIOError:
        return lines


class Daemon:
    """What a watchdog asks."""

    def __init__(self, supervisor: socket.socket, **environ: str) -> None:
        self.hanging: list[str] = []
        self.status = "well"
        self.said: list[str] = []
        self.watchdog = Watchdog(
            lambda: self.hanging,
            lambda: self.status,
            log=self.said.append,
            environ={"NOTIFY_SOCKET": supervisor.getsockname(), **environ},
            look_every=0.01,
        )


def test_the_watchdog_is_fed_while_everything_goes_round_and_not_while_something_hangs(
    supervisor: socket.socket,
) -> None:
    daemon = Daemon(supervisor, WATCHDOG_USEC="4")
    daemon.watchdog.look()
    assert heard(supervisor) == ["STATUS=well", "WATCHDOG=1"]
    daemon.hanging = ["indexing has not gone round for 301 s"]
    daemon.watchdog.look()
    daemon.watchdog.look()
    assert heard(supervisor) == ["STATUS=hangs: indexing has not gone round for 301 s"]
    assert daemon.said == daemon.hanging, "once"
    daemon.hanging = []
    daemon.watchdog.look()
    assert heard(supervisor) == ["STATUS=well", "WATCHDOG=1"]


def test_the_watchdog_is_fed_a_few_times_in_its_interval_and_the_status_said_when_it_is_new(
    supervisor: socket.socket,
) -> None:
    daemon = Daemon(supervisor, WATCHDOG_USEC="60000000")
    for status in ("well", "well", "busy", "busy"):
        daemon.status = status
        daemon.watchdog.look()
    assert heard(supervisor) == ["STATUS=well", "WATCHDOG=1", "STATUS=busy"]


def test_a_watchdog_that_nobody_asked_for_is_not_fed_and_its_thread_ends(supervisor: socket.socket) -> None:
    daemon = Daemon(supervisor)
    daemon.watchdog.start()
    wait_until(lambda: heard(supervisor) == ["STATUS=well"])
    daemon.watchdog.stop()
    daemon.status = "late"
    assert heard(supervisor) == []


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_interval_is_the_supervisors_and_for_this_process(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_interval(environ) == seconds


PASSED = """
import os, sys
from kuva_gateway.systemd import passed_sockets
os.environ["LISTEN_PID"] = str(os.getpid() + int(sys.argv[1]))
found = passed_sockets()
left = [key for key in os.environ if key.startswith("LISTEN_")]
print(sorted((name, one.getsockname()[1], os.get_inheritable(one.fileno())) for name, one in found.items()), left)
"""


def passed(sockets: list[socket.socket], names: str, *, other: int = 0) -> str:
    """What a process says that got these as its first descriptors."""
    script = "; ".join(f"exec {3 + place}<&{one.fileno()}" for place, one in enumerate(sockets))
    environ = {**os.environ, "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": names}
    done = subprocess.run(
        ["/bin/bash", "-c", f'{script or ":"}; exec "$@"', "-", sys.executable, "-c", PASSED, str(other)],
        pass_fds=[one.fileno() for one in sockets],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_listening_sockets_that_were_passed_are_known_by_their_names_and_taken_once() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as plain,
        socket.create_server(("127.0.0.1", 0)) as tls,
        socket.socket() as deaf,
    ):
        ports = [one.getsockname()[1] for one in (plain, tls)]
        high = [_above(one) for one in (deaf, plain, tls)]
        said = passed(high, "other:dicom:dicom-tls")
        assert said == f"{[('dicom', ports[0], False), ('dicom-tls', ports[1], False)]} []"
        assert passed(high, "other:dicom:dicom-tls", other=1) == "[] []"
        for one in high:
            one.close()
    assert passed_sockets({}) == {}


def _above(one: socket.socket) -> socket.socket:
    """The same with a descriptor that the numbering of passed ones does not meet."""
    return socket.socket(fileno=fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, 50))
