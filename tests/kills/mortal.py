"""A gateway whose processes are forked from one that has loaded the program, and die when they are told to."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from kuva_gateway.forward.call import Call, echo
from tests.acceptance.gateway import Gateway
from tests.support import ROOT, wait_until


class Mortal(Gateway):
    """A gateway whose processes are forked from one that has loaded the program; see ``dying.py``."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self._pid = 0
        with self.log.open("ab") as log:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.kills.dying", str(self.config)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
            )

    def _line(self, timeout: float) -> str:
        assert self._nursery.stdout is not None
        ready, _, _ = select.select([self._nursery.stdout], [], [], timeout)
        assert ready, f"no word of the gateway's end:\n{self.said()[-3000:]}"
        return self._nursery.stdout.readline().strip()

    def start(self) -> Mortal:
        assert self._nursery.stdin is not None
        self._nursery.stdin.write("run\n")
        self._pid = int(self._line(60))
        call = Call(name="us", host="127.0.0.1", port=self.port, called_ae="KUVAGW", calling_ae="MONITOR")
        wait_until(lambda: echo(call).stored, timeout=60, what="the gateway's answer to C-ECHO")
        return self

    def kill(self) -> None:
        """``kill -9``; returns when it is dead, but leaves its end to :meth:`wait_death`."""
        pid = self._pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not _runs(pid), what="its end")

    def wait_death(self) -> None:
        """Wait until the process has died of SIGKILL."""
        assert self._line(30) == str(-signal.SIGKILL)
        self._pid = 0

    def die_at(self, step: str) -> None:
        """Let the running process die there: ``before|after NAME NTH``."""
        part = self.folder / "die-at.part"
        part.write_text(step)
        part.rename(self.folder / "die-at")

    def ensure(self) -> None:
        """Be running, whatever the test before left."""
        (self.folder / "die-at").unlink(missing_ok=True)
        if self._pid and _runs(self._pid):
            return
        if self._pid:
            self._line(10)
        self.start()

    def close(self) -> None:
        """End it and what it came from."""
        if self._pid and _runs(self._pid):
            self.kill()
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.wait(20)
        assert self._nursery.stdout is not None
        self._nursery.stdout.close()


def _runs(pid: int) -> bool:
    """It is there, and no corpse that waits to be fetched."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
