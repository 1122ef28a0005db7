"""Child processes of the benchmark: started, waited for, ended, and the CPU time of them and all that they forked."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

PATIENCE = 600.0
TICKS = os.sysconf("SC_CLK_TCK")
# DCMTK's own switch: with it in the environment, its tools set TCP_NODELAY on their sockets.
NODELAY = {"TCP_NODELAY": "1"}


class Stopped(Exception):
    """The benchmark cannot go on; the text says why."""


def program(name: str) -> str:
    """The path of a program, also where only root looks; Stopped when it is not installed."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Stopped(f"{name} is not installed (Debian: dcmtk, orthanc, gcc, openssl)")
    return found


def environment(**changes: str) -> dict[str, str]:
    """The environment of a child: ours without DCMTK's switch for Nagle's algorithm, and with ``changes``."""
    kept = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    return {**kept, **changes}


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody listens there, without connecting: dcmqrscp ends after a connection that asks for nothing."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(table).read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                if state == "0A" and local.endswith(wanted):
                    return True
    return False


def wait_for(condition: Callable[[], bool], what: str, *, pause: float = 0.01, patience: float = PATIENCE) -> None:
    """Poll ``condition`` every ``pause`` seconds until it holds; Stopped after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise Stopped(f"gave up waiting for {what} after {patience:.0f} s")
        time.sleep(pause)


def ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a child's end, and see it at once: Popen.wait with a timeout looks every 50 ms only."""
    descriptor = os.pidfd_open(process.pid)
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def child(
    command: Sequence[str], *, log: Path, port: int, env: Mapping[str, str], cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A receiver's process, from listening on ``port`` to its end; its output goes to ``log``."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd
        )
    try:
        wait_for(lambda: process.poll() is not None or listens(port), f"{command[0]} to listen", patience=60)
        if process.poll() is not None:
            raise Stopped(f"{command[0]} ended: {log.read_text(errors='replace')[-2000:]}")
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    forked = descendants(process.pid)
    process.terminate()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # What it forked and left behind would receive, write and be counted on.
    for pid in forked:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def descendants(pid: int) -> list[int]:
    """Every process below ``pid``, also those that have ended and were not waited for."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))) is not None:
            parents.setdefault(int(fields[1]), []).append(int(name))
    found, left = [], [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time, in seconds, of a process, of its living descendants and of those that it waited for.

    Complete unless somebody in the tree ignores SIGCHLD: then the kernel throws the time of its children away.
    """
    ticks = 0
    for each in (pid, *descendants(pid)):
        if (fields := _stat(each)) is not None:
            # utime, stime, cutime, cstime (proc(5), fields 14 to 17).
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS
