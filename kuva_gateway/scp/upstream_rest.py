"""Whether the archive behind the gateway is asked at all: one that is dead or slow is left alone for a while.

Keeps one small file in ``spool/fetched/``, which all receiving processes share and each start sweeps away. Promises
that an archive which does not answer costs its deadline once in a while, and not each asker; that one question at a
time finds out whether it is back; that there is a line in the log when it begins to rest and when it is back, and none
in between; and that a file that cannot be read or written makes nobody wait and nothing fail: the archive is asked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from time import monotonic
from typing import Any

from kuva_gateway.spool.spool import Spool

FIRST = 30.0
"""Seconds of the first rest; each question that fails again doubles it."""
LONGEST = 300.0
NAME = ".upstream-rest"

_MOST = 4096  # bytes that are read of the file


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What is known of the archive. Times are the machine's monotonic clock's, which all its processes share."""

    failures: int = 0
    """How often it failed without an answer in between; 0: it is asked."""
    since: float = 0.0
    changed: float = 0.0
    until: float = 0.0
    """Before this moment it is not asked."""
    why: str = ""


class UpstreamRest:
    """The file. Threads and processes may share it.

    Parameters
    ----------
    patience
        Seconds within which a question that finds out whether the archive is back has its answer, or has failed.
    """

    def __init__(
        self, spool: Spool, *, name: str, patience: float, log: Any = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._path = spool.fetched / NAME
        self._name = name
        self._patience = patience
        self._log = log
        self._clock = clock

    def refusal(self) -> str:
        """Why the archive is not asked now; "": ask it, and say what came of it."""
        if not self._path.exists():  # as long as nothing was ever wrong, that is all it costs
            return ""
        refusal = ""
        with contextlib.suppress(OSError), self._open() as descriptor:
            rest, now = _read(descriptor, self._clock()), self._clock()
            if rest.failures and now < rest.until:
                refusal = f"{rest.why}; asked again in {max(1, round(rest.until - now))} s"
            elif rest.failures:  # whoever comes next waits for what this one finds out
                _write(descriptor, replace(rest, until=now + self._patience))
        return refusal

    def began(self) -> float:
        """The moment at which a question begins, for :meth:`failed`."""
        return self._clock()

    def failed(self, why: str, began: float) -> None:
        """A question that began then had no answer. Several that began together count once."""
        with contextlib.suppress(OSError), self._open(make=True) as descriptor:
            now = self._clock()
            rest = _read(descriptor, now)
            if rest.failures and rest.changed > began:
                return
            pause = min(FIRST * 2 ** min(rest.failures, 10), LONGEST)
            since = rest.since if rest.failures else now
            _write(
                descriptor, Rest(failures=rest.failures + 1, since=since, changed=now, until=now + pause, why=why[:40])
            )
            if not rest.failures and self._log is not None:
                self._log.warning("upstream_rests", upstream=self._name, why=why, seconds=pause)

    def answered(self) -> None:
        """It has answered something."""
        if not self._path.exists():
            return
        with contextlib.suppress(OSError), self._open() as descriptor:
            now = self._clock()
            rest = _read(descriptor, now)
            if rest.failures:
                _write(descriptor, Rest(changed=now))
                if self._log is not None:
                    self._log.info("upstream_is_back", upstream=self._name, seconds=round(now - rest.since, 1))

    @contextlib.contextmanager
    def _open(self, *, make: bool = False) -> Iterator[int]:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if make else 0)
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def resting_seconds(spool: Spool) -> float:
    """For how long the archive has not answered; 0 while it does. For figures: nothing is changed."""
    try:
        descriptor = os.open(spool.fetched / NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return 0.0
    try:
        now = monotonic()
        rest = _read(descriptor, now)
        return now - rest.since if rest.failures else 0.0
    finally:
        os.close(descriptor)


def _read(descriptor: int, now: float) -> Rest:
    """What the file says; nothing, when that cannot be."""
    try:
        rest = Rest(**json.loads(os.pread(descriptor, _MOST, 0)))
        sound = isinstance(rest.failures, int) and rest.until <= now + LONGEST and max(rest.since, rest.changed) <= now
        return rest if sound else Rest()
    except (ValueError, TypeError):
        return Rest()


def _write(descriptor: int, rest: Rest) -> None:
    data = json.dumps(asdict(rest)).encode("ascii")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, data, 0)
