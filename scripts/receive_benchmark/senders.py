"""Who sends: DCMTK's storescu with and without Nagle's algorithm, plain or over TLS, and a bare sender of our own."""

from __future__ import annotations

import resource
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from .bare_sender import Encoded, send_bare
from .gateway import SENDER_AE_TITLE
from .processes import NODELAY, PATIENCE, Stopped, ended, environment, program
from .receivers import AE_TITLE
from .workloads import Case

Send = Callable[[int], None]


def prepare(case: Case, paths: Sequence[Path], *, each: bool) -> Send:
    """What sends ``paths`` to a port in the way of ``case`` when it is called, and returns when all is acknowledged.

    The files are dealt out to the associations in turn; with ``each`` every file has an association of its own, and
    ``case.associations`` of them are open at once. Raises Stopped when one was not acknowledged.
    """
    hands = [list(paths[number :: case.associations]) for number in range(case.associations)]
    hands = [hand for hand in hands if hand]
    if case.sender == "bare":
        encoded = [[Encoded.read(path, AE_TITLE, SENDER_AE_TITLE) for path in hand] for hand in hands]
        return lambda port: _at_once([lambda hand=hand: send_bare(port, hand) for hand in encoded])
    if each:
        return lambda port: _at_once([lambda hand=hand: _one_by_one(case, port, hand) for hand in hands])
    return lambda port: _at_once([lambda hand=hand: _storescu(case, port, hand) for hand in hands])


def cpu_seconds() -> float:
    """User and system time, in seconds, of ourselves (who are the bare sender) and of every child waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def _at_once(hands: Sequence[Callable[[], None]]) -> None:
    """Run every one in a thread, wait for all of them, and let the first failure out."""
    failures: list[BaseException] = []

    def guarded(hand: Callable[[], None]) -> None:
        try:
            hand()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(hand,)) for hand in hands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _storescu(case: Case, port: int, paths: Sequence[Path]) -> None:
    tls = ["+tla", "-ic"] if case.transport == "tls" else []
    command = [
        program("storescu"), "--quiet", *tls, "-R", "-aet", SENDER_AE_TITLE, "-aec", AE_TITLE, "-pdu", "131072",
        "127.0.0.1", str(port), *map(str, paths),
    ]  # fmt: skip
    env = environment(**(NODELAY if case.sender == "nodelay" else {}))
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said, close_fds=False
        )  # fmt: skip
        if not ended(process, PATIENCE):
            process.kill()
            process.wait()
            raise Stopped(f"storescu was not done after {PATIENCE:.0f} s")
        if process.wait() != 0:
            said.seek(0)
            raise Stopped(f"storescu ended with {process.returncode}: {said.read().decode(errors='replace')[-500:]}")


def _one_by_one(case: Case, port: int, paths: Sequence[Path]) -> None:
    for path in paths:
        _storescu(case, port, [path])
