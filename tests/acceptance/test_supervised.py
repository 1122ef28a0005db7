"""The gateway under a supervisor that passes its socket on, watches it and restarts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kuva_gateway.network import CannotConnect, NetworkError, ProposedContext, Target, connect
from tests.acceptance.gateway import Gateway
from tests.support import ROOT, wait_until
from tests.unit.scp.conftest import EXPLICIT, VERIFICATION


class Supervisor:
    """Does what systemd does for a unit of ``Type=notify`` with a socket."""

    def __init__(self, folder: Path, gateway: Gateway, listening: socket.socket) -> None:
        self.gateway = gateway
        self._listening = listening
        self._heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._heard.bind(str(folder / "notify"))
        self._heard.settimeout(0.05)
        self.lines: list[str] = []

    def start(self) -> None:
        """Start the gateway with the socket as its first descriptor."""
        environ = {
            **os.environ,
            "NOTIFY_SOCKET": self._heard.getsockname(),
            "WATCHDOG_USEC": "2000000",
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "dicom",
        }
        number = self._listening.fileno()
        script = f'exec 3<&{number}; LISTEN_PID=$$ exec "$@"'
        program = [sys.executable, "-m", "kuva_gateway", "run", "--config", str(self.gateway.config)]
        with self.gateway.log.open("ab") as log:
            self.gateway.process = subprocess.Popen(
                ["/bin/bash", "-c", script, "-", *program],
                cwd=ROOT,
                env=environ,
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait("READY=1")

    def wait(self, line: str) -> None:
        """Wait until it was said, and forget what was said until then."""

        def said() -> bool:
            try:
                self.lines += self._heard.recv(4096).decode().splitlines()
            except TimeoutError:
                assert self.gateway.process is not None
                assert self.gateway.process.poll() in (None, 0), self.gateway.said()[-3000:]
            return any(one.startswith(line) for one in self.lines)

        wait_until(said, timeout=60, what=f"{line} after {self.lines}")
        self.lines.clear()

    def close(self) -> None:
        self._heard.close()


def echo(port: int, outcomes: list[str]) -> None:
    """One C-ECHO; what came of it."""
    contexts = [ProposedContext(id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(EXPLICIT,))]
    target = Target(host="127.0.0.1", port=port, called_ae="KUVAGW", calling_ae="MONITOR")
    try:
        with connect(target, contexts) as association:
            outcomes.append("answered" if association.echo() == 0 else "failed")
    except CannotConnect:
        outcomes.append("refused")
    except NetworkError:
        outcomes.append("cut off")


@pytest.mark.slow
def test_a_supervised_gateway_tells_how_it_is_and_a_restart_refuses_nobody(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gateway")
    with socket.create_server(("127.0.0.1", gateway.port)) as listening:
        supervisor = Supervisor(tmp_path, gateway, listening)
        outcomes: list[str] = []
        over = threading.Event()

        def call() -> None:
            while not over.is_set():
                echo(gateway.port, outcomes)
                over.wait(0.1)

        caller = threading.Thread(target=call)
        try:
            supervisor.start()
            supervisor.wait("STATUS=receiving as KUVAGW")
            supervisor.wait("WATCHDOG=1")
            supervisor.wait("WATCHDOG=1")
            caller.start()
            wait_until(lambda: outcomes.count("answered") >= 3)
            assert gateway.quick("config", "reload").status == 0
            supervisor.wait("RELOADING=1")
            supervisor.wait("READY=1")
            before = len(outcomes)
            assert gateway.stop() == 0
            supervisor.wait("STOPPING=1")
            supervisor.start()
            wait_until(lambda: outcomes[before:].count("answered") >= 5)
        finally:
            over.set()
            if caller.ident is not None:
                caller.join()
            if gateway.process is not None:
                gateway.stop()
            supervisor.close()
        assert set(outcomes) <= {"answered", "cut off"}
        assert outcomes.count("cut off") <= 1, "only one that was under way as the gateway stopped"
