"""Much of everything: descriptors beyond the reach of select(), and associations that do nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests.holes.compare import both
from tests.holes.crowded import HELD
from tests.holes.raw import Peer, StillOpen
from tests.holes.receivers import Identity, Receiver, gateway, plain

START: dict[str, Callable[..., AbstractContextManager[Receiver]]] = {"gateway": gateway, "pynetdicom": plain}
IDLE = 50
WINDOW = 0.4  # seconds


@pytest.mark.parametrize("name", both("asks select() which socket is ready"))
def test_more_than_1024_descriptors_are_no_obstacle(name: str, identity: Identity, tmp_path: Path) -> None:
    with START[name](tmp_path, identity, crowded=True, answers=False) as receiver:
        serve_above_1024(receiver)


def test_more_than_1024_descriptors_are_no_obstacle_in_one_process(identity: Identity, tmp_path: Path) -> None:
    """The processes that the gateway receives in hold few descriptors; without them the daemon holds them all."""
    with gateway(tmp_path, identity, crowded=True, answers=False, processes=0) as receiver:
        serve_above_1024(receiver)


def serve_above_1024(receiver: Receiver) -> None:
    """C-ECHO with a receiver of whose descriptors more than 1,024 are in use."""
    assert receiver.descriptors() > HELD
    with Peer(receiver.port, timeout=receiver.patience) as peer:
        try:
            peer.open().echo()
        except (OSError, AssertionError):
            raise StillOpen("it cannot serve a descriptor above 1,023") from None


@pytest.mark.slow
@pytest.mark.parametrize("name", both("polls, for each association, a thousand times a second"))
def test_idle_associations_do_not_wake_their_receiver(name: str, identity: Identity, tmp_path: Path) -> None:
    """What a sender pays for idle neighbours is what they make the receiver do; how often it sleeps tells of that."""
    with START[name](tmp_path, identity, seconds=30) as receiver, ExitStack() as stack:
        alone = min(wakes(receiver.pid, WINDOW) for _ in range(2))
        for _ in range(IDLE):
            stack.enter_context(Peer(receiver.port)).open().echo()
        # The smallest of several windows: whatever else the receiver does now and then is not about associations.
        extra = min(wakes(receiver.pid, WINDOW) for _ in range(4)) - alone
        if extra > IDLE * WINDOW:
            raise StillOpen(f"{IDLE} idle associations wake it {extra} times in {WINDOW} s")


def wakes(pid: int, seconds: float) -> int:
    """How often the threads of a process and of its children went to sleep within that time."""
    before = sleeps(pid)
    threading.Event().wait(seconds)
    after = sleeps(pid)
    return sum(count - before.get(thread, 0) for thread, count in after.items())


def sleeps(pid: int) -> dict[str, int]:
    """The voluntary context switches of each thread so far (proc(5)); a child's threads are among them."""
    found: dict[str, int] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            words = (task / "status").read_text().split()
            found[task.name] = int(words[words.index("voluntary_ctxt_switches:") + 1])
            for child in (task / "children").read_text().split():
                found |= sleeps(int(child))
    return found
