"""Modalities that never give up: several associations at once, each image sent again until it is acknowledged.

Keeps a record of every attempt to send (when it began, when it was answered, on which association), which is what the
gateway's receipts are compared with afterwards. What was cut off comes first on the next association.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from dataclasses import dataclass, field

from gateway_process import PEERS
from plain_modality import SUCCESS, BrokenError, Image, Images, PlainModality, RejectedError

SMALL, LARGE = 8 * 1024, 512 * 1024
RETRY = 0.02  # seconds between two calls to a gateway that is away


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One C-STORE that was begun. ``answered_ns`` is None when the connection ended before the answer."""

    uid: str
    peer: str
    association: int
    began_ns: int
    answered_ns: int | None = None


@dataclass(slots=True)
class Record:
    """What all senders together know. Threads may share it."""

    digests: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every data set that was ever begun, by SOP Instance UID."""
    attempts: list[Attempt] = field(default_factory=list)
    refusals: list[tuple[float, str]] = field(default_factory=list)
    """When (seconds since 1970) and what was answered instead of success: the status and its comment."""
    associations: int = 0
    acknowledged: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_association(self) -> int:
        """A number for an association that was opened."""
        with self.lock:
            self.associations += 1
            return self.associations

    def begin(self, image: Image, peer: str, association: int) -> Attempt:
        """Note that an image is about to be sent."""
        attempt = Attempt(uid=image.uid, peer=peer, association=association, began_ns=time.time_ns())
        with self.lock:
            self.digests[image.uid] = image.digest
            self.attempts.append(attempt)
        return attempt

    def answered(self, attempt: Attempt) -> None:
        """Note that it was acknowledged."""
        attempt.answered_ns = time.time_ns()
        with self.lock:
            self.acknowledged += 1


class Senders:
    """The modalities' threads. ``going`` cleared lets them rest; :meth:`finish` lets them end with nothing cut off."""

    def __init__(self, port: int, record: Record, *, seed: int, count: int, pause: float) -> None:
        self.going = threading.Event()
        self.record = record
        self._port = port
        self._pause = pause
        self._images = Images(seed)
        self._seed = seed
        self._studies = itertools.count(1)
        self._ending = threading.Event()
        self._giving_up = threading.Event()
        self.failures: list[str] = []
        names = itertools.islice(itertools.cycle(PEERS), count)
        self._threads = [
            threading.Thread(target=self._run, args=(number, name), daemon=True) for number, name in enumerate(names)
        ]

    def start(self) -> None:
        """Begin to send."""
        self.going.set()
        for thread in self._threads:
            thread.start()

    def finish(self, timeout: float) -> bool:
        """Begin nothing new, send what was cut off again; False when that did not come to its end."""
        self._ending.set()
        self.going.set()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._giving_up.set()
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, number: int, peer: str) -> None:
        chance = random.Random(f"{self._seed}/sender {number}")
        try:
            while not self._ending.is_set():
                self.going.wait()
                self._send_study(peer, chance)
        except Exception as error:
            self.failures.append(f"{peer}: {type(error).__name__}: {error}")

    def _send_study(self, peer: str, chance: random.Random) -> None:
        study = next(self._studies)
        count = chance.randint(1, 24)
        sizes = [LARGE if chance.random() < 0.15 else SMALL for _ in range(count)]
        images = [self._images.make(study, number, size) for number, size in enumerate(sizes)]
        # Some studies come in two parts, so that a kill also meets one that is delivered while it grows.
        parts = [images] if chance.random() < 0.8 else [images[: count // 2], images[count // 2 :]]
        for part in parts:
            left = list(part)
            while left and not self._giving_up.is_set():
                self._send(left, peer, chance)
            if part is not parts[-1]:
                self._rest(chance.uniform(0.0, 1.0))

    def _send(self, left: list[Image], peer: str, chance: random.Random) -> None:
        """One association; what was acknowledged is taken from ``left``."""
        try:
            modality = PlainModality(self._port, calling=PEERS[peer])
        except (OSError, BrokenError, RejectedError):
            self._rest(RETRY)
            return
        association = self.record.next_association()
        try:
            while left:
                image = left[0]
                attempt = self.record.begin(image, peer, association)
                answer = modality.store(image.uid, image.data)
                if answer.status != SUCCESS:
                    self.record.refusals.append((time.time(), f"{answer.status:04X} {answer.comment}"))
                    self._rest(0.1)
                    break
                self.record.answered(attempt)
                left.pop(0)
                self._rest(chance.uniform(0.0, 2 * self._pause))
            modality.release()
        except (OSError, BrokenError):
            modality.close()

    def _rest(self, seconds: float) -> None:
        if not self._ending.is_set():
            self._ending.wait(seconds)
        else:
            self._giving_up.wait(min(seconds, RETRY))
