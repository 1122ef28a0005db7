"""A daemon without descriptors, threads or memory: peers are refused, nothing is lost, and it needs no restart."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Pair
from tests.acceptance.gateway import Gateway
from tests.studies import HETUS, make_study

BOTH = ("request", "examination_entry")
UNLIMITED = resource.RLIM_INFINITY


@contextlib.contextmanager
def limited(gateway: Gateway, what: int, at: int) -> Iterator[None]:
    """Lower a limit of the running process, and lift it again."""
    assert gateway.process is not None
    before = resource.prlimit(gateway.process.pid, what)
    resource.prlimit(gateway.process.pid, what, (at, before[1]))
    try:
        yield
    finally:
        resource.prlimit(gateway.process.pid, what, before)


def descriptors(gateway: Gateway) -> int:
    assert gateway.process is not None
    return max(int(path.name) for path in Path(f"/proc/{gateway.process.pid}/fd").iterdir())


def address_space(gateway: Gateway) -> int:
    assert gateway.process is not None
    return int(Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[0]) * resource.getpagesize()


def knock(gateway: Gateway, times: int) -> int:
    """Connect at once so many times; returns how many were hung up on."""
    with contextlib.ExitStack() as open_ones:
        everyone = []
        for _ in range(times):
            with contextlib.suppress(OSError):
                one = open_ones.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=5))
                one.settimeout(1)
                everyone.append(one)
        hung_up = 0
        for one in everyone:
            try:
                hung_up += one.recv(1) == b""
            except TimeoutError:
                pass
            except OSError:
                hung_up += 1
    return hung_up


@pytest.mark.parametrize("kind", ["descriptors", "threads and memory"])
def test_what_runs_out_is_refused_and_comes_back_by_itself(pair: Pair, kind: str) -> None:
    gateway, archive = pair
    studies = [make_study(kind="ct", hetu=HETUS[n], accession=f"A{n}", series=1, instances=3) for n in range(2)]
    for study in studies:
        gateway.import_documents(study, *BOTH)
    gateway.send(studies[0])
    assert gateway.process is not None
    first = gateway.process.pid
    if kind == "descriptors":
        limit = limited(gateway, resource.RLIMIT_NOFILE, descriptors(gateway) + 4)
    else:
        limit = limited(gateway, resource.RLIMIT_AS, address_space(gateway) + (2 << 20))
    with limit:
        assert sum(knock(gateway, 20) for _ in range(2)) > 0
    gateway.send(studies[1])
    for study in studies:
        gateway.wait_state(study.uid, "archived", timeout=60)
    assert len(archive.events("stored")) == 6
    assert gateway.process.pid == first
    assert gateway.leftovers() == []
