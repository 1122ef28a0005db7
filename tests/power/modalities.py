"""The senders' side of a power cut: what was acknowledged, in the order in which the senders came to know it."""

from __future__ import annotations

import itertools
import random
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.studies import load_script

plain_modality = load_script("plain_modality")
gateway_process = load_script("gateway_process")
kill_senders = load_script("kill_senders")

SIZE = 1024 * 1024
"""Pixel bytes of an image that is sent with a pause before its end."""
PATIENCE = 20.0  # seconds
AT_MOST = 0.3
"""Seconds between two syncs of a neighbour, at most."""


@dataclass(slots=True)
class OrderedRecord(kill_senders.Record):  # type: ignore[misc, name-defined]
    """A record that knows the order of the acknowledgements, whatever the clock does."""

    order: list[Any] = field(default_factory=list)

    def answered(self, attempt: Any) -> None:
        """Note that it was acknowledged."""
        attempt.answered_ns = time.time_ns()
        with self.lock:
            self.acknowledged += 1
            self.order.append(attempt)

    def as_known(self, acknowledged: int) -> Any:
        """The record as it must hold for a cut: only the first ``acknowledged`` answers are promises.

        Anything else that was ever begun may be there or not.
        """
        promised = {id(attempt) for attempt in self.order[:acknowledged]}
        return kill_senders.Record(
            digests=self.digests,
            attempts=[attempt if id(attempt) in promised else unanswered(attempt) for attempt in self.attempts],
            acknowledged=acknowledged,
        )


def unanswered(attempt: Any) -> Any:
    """The same attempt, as if its answer had never come."""
    return kill_senders.Attempt(
        uid=attempt.uid, peer=attempt.peer, association=attempt.association, began_ns=attempt.began_ns
    )


class HesitantModality(plain_modality.PlainModality):  # type: ignore[misc, name-defined]
    """Sends a whole data set and pauses before it says that this was all (an empty last fragment, PS3.8 9.3.5.1)."""

    def begin_all(self, uid: str, data: bytes) -> None:
        """Send everything but the end."""
        self.begin(uid, data + data, whole=False)

    def end(self) -> None:
        """Send the end, which has no bytes of its own."""
        self._send(4, struct.pack(">IBB", 2, 1, 2))


class Hesitant:
    """One modality that lets the gateway's disk write everything out before it ends an image.

    What is named after that has nothing left to write: only a sync that takes the *name* along makes it safe.
    """

    def __init__(self, port: int, record: OrderedRecord, *, seed: int, point: Path) -> None:
        self._port = port
        self._record = record
        self._images = plain_modality.Images(seed)
        self._numbers = itertools.count()
        self._point = point

    def send(self) -> None:
        """One image on one association, from its beginning to its acknowledgement."""
        image = self._images.make(1, next(self._numbers), SIZE)
        peer = "ct1"
        with HesitantModality(self._port, calling=gateway_process.PEERS[peer]) as modality:
            attempt = self._record.begin(image, peer, self._record.next_association())
            modality.begin_all(image.uid, image.data)
            incoming = self._point / "spool" / "incoming"
            size = len(image.data)
            gateway_process.wait(lambda: has_file(incoming, size), "all bytes in incoming/", timeout=PATIENCE)
            sync(self._point)
            modality.end()
            answer = modality.answer()
            if answer.status != plain_modality.SUCCESS:
                raise gateway_process.GaveUpError(f"refused: {answer.status:04X} {answer.comment}")
            self._record.answered(attempt)


class Neighbour:
    """Somebody else who uses the disk and has all of it written out, at random moments; a context manager."""

    def __init__(self, point: Path, chance: random.Random) -> None:
        self._point = point
        self._chance = random.Random(chance.randrange(10**9))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ending.wait(self._chance.uniform(0.0, AT_MOST)):
            sync(self._point)

    def __enter__(self) -> Neighbour:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()


def sync(point: Path) -> None:
    """Have a file system write out everything (syncfs)."""
    subprocess.run(["sync", "--file-system", str(point)], check=True, timeout=60)


def has_file(folder: Path, size: int) -> bool:
    """Whether a file of at least ``size`` bytes is in the folder."""
    return any(path.stat().st_size >= size for path in folder.iterdir())
