"""What a harness is: a parser, bytes to begin with, and the contract that every input has to keep.

A harness's ``check`` takes any bytes. It returns when the parser read them or refused them with an error that it
declares, and when what was read keeps the parser's promises; whatever else it raises is a finding. It is told by
:func:`within_bounds` when one input took too long or too much memory. Nothing here needs a fuzzing engine, so that the
tests run every harness as well.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import process_time

SECONDS = 1.0
"""Processor time that one input may take."""
BYTES = 200 << 20
"""Memory that the process may grow by during one input."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Harness:
    """One parser under test."""

    name: str
    of: str
    """What it reads, for the table."""
    check: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 4096
    """Bytes of an input that the engine makes, at most."""
    words: tuple[bytes, ...] = ()
    """What the format is full of, for the engine to put in."""


class OutOfBoundsError(Exception):
    """One input took more time or memory than any may."""


def within_bounds(check: Callable[[bytes], None], data: bytes, *, seconds: float = SECONDS) -> None:
    """Run ``check``, and raise OutOfBoundsError if it took more than its share."""
    memory, began = _memory(), process_time()
    check(data)
    took = process_time() - began
    if took > seconds:
        raise OutOfBoundsError(f"{len(data)} bytes took {took:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if peak - memory > BYTES and peak > _Peak.seen:
        _Peak.seen = peak
        raise OutOfBoundsError(f"{len(data)} bytes took {(peak - memory) >> 20} MiB")
    _Peak.seen = max(_Peak.seen, peak)


class _Peak:
    """The highest peak so far: the kernel's figure never falls."""

    seen = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _memory() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE


class Input:
    """Takes choices off the beginning of an input; what is left is the parser's."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def number(self, below: int) -> int:
        """A number of one byte."""
        first, self.rest = (self.rest[0] if self.rest else 0), self.rest[1:]
        return first % below
