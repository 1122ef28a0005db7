"""What every test tier needs: waiting without sleeping, free ports, and the peers' programs."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
IN_CI = os.environ.get("CI") == "true"


def wait_until(condition: Callable[[], T], *, timeout: float = 20.0, what: str = "the condition") -> T:
    """Poll ``condition`` until it is true and return its value; fail after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come true within {timeout} s")
        pause.wait(0.01)


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def skip_or_fail(reason: str) -> None:
    """Skip with a visible reason; in CI, where everything must be there, fail."""
    if IN_CI:
        pytest.fail(f"{reason} (CI must have it)")
    pytest.skip(reason, allow_module_level=True)


def program(name: str, *also: str) -> str:
    """The path of a peer's program, or a visible skip (a failure in CI)."""
    for candidate in (name, *also):
        found = shutil.which(candidate, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if found:
            return found
    skip_or_fail(f"{name} is not installed")
    raise AssertionError


def module(name: str) -> Any:
    """A module of an optional package, or a visible skip (a failure in CI)."""
    try:
        return importlib.import_module(name)
    except ImportError:
        skip_or_fail(f"{name} is not installed")
        raise AssertionError from None


def dcmtk(name: str) -> str:
    """The path of one of DCMTK's tools."""
    return program(name)


def dcmtk_environment(**extra: str) -> Mapping[str, str]:
    """The environment for DCMTK's tools: Nagle's algorithm off, so that tests are quick."""
    return {**os.environ, "TCP_NODELAY": "1", **extra}


def shared_data(name: str) -> Path:
    """A file of the real data beside the project, or a visible skip (a failure in CI)."""
    path = SHARED_DATA / name
    if not path.exists():
        skip_or_fail(f"{name} is not beside the project")
    return path


NoThreads = Callable[[], contextlib.AbstractContextManager[None]]
"""While it lasts, no thread can be started."""


@contextlib.contextmanager
def no_thread_starts() -> Iterator[None]:
    """What a limit on processes does to ``threading`` (pthread_create says EAGAIN)."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        yield
