"""Starts the gateway's own ``run`` in processes that kill themselves at a step which is written in a file.

``python -m tests.kills.dying CONFIG``: for each line on standard input the real daemon is started in a process of its
own, forked from this one, which has loaded the program before (that is what makes a restart quick); its id is printed,
and how it ended. Nothing of the daemon is replaced; around some functions a look at the file ``die-at`` beside the
configuration (``before|after NAME NTH``) is laid, and what is meant to die there gets SIGKILL from itself.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from kuva_gateway import delivering
from kuva_gateway.catalog import commitment_requests, commitments, entries, removal, retention
from kuva_gateway.cli import main
from kuva_gateway.queue import answering
from kuva_gateway.queue.attempt import Attempt
from kuva_gateway.queue.commitment import Commitments
from kuva_gateway.spool.spool import Spool

LEASE = timedelta(milliseconds=800)
QUEUE_EVERY = 0.15  # seconds, so that a lease this short is kept
SAME_ASSOCIATION = timedelta(seconds=1)

SEAMS: dict[str, tuple[Any, str]] = {
    "claim": (entries, "claim"),
    "mark": (entries, "mark_sent"),
    "deliver": (entries, "delivered"),
    "react": (Attempt, "_react"),
    "ask": (commitments, "ask"),
    "postpone": (commitments, "postpone"),
    "result": (commitments, "record_result"),
    "take": (Commitments, "_take"),
    "request": (commitment_requests, "take"),
    "judged": (commitment_requests, "judged"),
    "ended": (commitment_requests, "ended"),
    "wish": (removal, "ask"),
    "choose": (retention, "choose"),
    "retire": (Spool, "retire"),
    "purge": (Spool, "purge"),
    "purged": (removal, "mark_purged"),
}


class Plan:
    """When to die: read anew at each step, so that a running gateway can be told."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: Counter[str] = Counter()

    def meet(self, step: str) -> None:
        """This process has come to ``step``."""
        with self._lock:
            try:
                planned, _, nth = self._path.read_text().rpartition(" ")
            except FileNotFoundError:
                return
            if planned != step:
                return
            self._seen[step] += 1
            if self._seen[step] == int(nth):
                self._path.unlink()
                os.kill(os.getpid(), signal.SIGKILL)


def lay(plan: Plan, name: str, owner: Any, attribute: str) -> None:
    """Look at the plan before and after each call of ``owner.attribute``."""
    whole: Callable[..., Any] = getattr(owner, attribute)

    def watched(*arguments: Any, **keywords: Any) -> Any:
        plan.meet(f"before {name}")
        result = whole(*arguments, **keywords)
        if not _in_vain(name, result):
            plan.meet(f"after {name}")
        return result

    setattr(owner, attribute, watched)


def _in_vain(name: str, result: Any) -> bool:
    """A look that found nothing is no step."""
    return (name == "claim" and result is None) or (name == "choose" and not result.files)


def serve(config: Path) -> None:
    """Start a gateway for each line that comes."""
    plan = Plan(config.parent / "die-at")
    for name, (owner, attribute) in SEAMS.items():
        lay(plan, name, owner, attribute)
    delivering.LEASE, delivering.QUEUE_EVERY = LEASE, QUEUE_EVERY
    answering.SAME_ASSOCIATION = SAME_ASSOCIATION
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            os._exit(main(["run", "--config", str(config)]))
        _tell(child)
        _, status = os.waitpid(child, 0)
        _tell(os.waitstatus_to_exitcode(status))


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
