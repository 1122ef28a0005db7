"""A hospital's day of arrivals, sent as fast as it goes: many peers, many associations, not all of them well-behaved.

Keeps counts of what was sent and answered. Most associations bring one study and are released; some are aborted in the
middle of an image, some are refused (an unknown AE title), some connect and say nothing, some stay open and idle.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import random
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from plain_modality import SUCCESS, BrokenError, Images, PlainModality, RejectedError

IMAGES_PER_STUDY = 100  # 200,000 images in 2,000 studies
PIXELS = 2048
ABORTED, CUT, REFUSED, SILENT, IDLE = 0.04, 0.04, 0.06, 0.04, 0.02
"""Shares of associations that end in the middle of an image, by A-ABORT or without a word; that nobody may open; that
connect and say nothing; and that stay open without a word after an image."""
IDLE_SECONDS = (0.5, 8.0)


@dataclass(slots=True)
class Day:
    """What was done. Threads may share it."""

    stored: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    associations: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str) -> None:
        """Note an association and how it went."""
        with self.lock:
            self.associations[kind] += 1

    def answered(self, status: int) -> None:
        """Note an answer."""
        with self.lock:
            if status == SUCCESS:
                self.stored += 1
            else:
                self.failed[f"{status:04X}"] += 1


class Arrivals:
    """The day's senders: ``workers`` threads take studies one after the other, as any of the peers."""

    def __init__(self, port: int, titles: list[str], *, studies: int, workers: int, seed: int) -> None:
        self.day = Day()
        self._port = port
        self._titles = titles
        self._seed = seed
        self._studies: queue.SimpleQueue[int] = queue.SimpleQueue()
        for study in range(1, studies + 1):
            self._studies.put(study)
        self._images = Images(seed)
        self._images.make(0, 0, PIXELS)
        self._stop = threading.Event()
        self._idle: queue.SimpleQueue[tuple[float, PlainModality | socket.socket]] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        self._reaper = threading.Thread(target=self._end_idle, daemon=True)
        self.errors: list[str] = []

    def start(self) -> None:
        """Begin the day."""
        self._reaper.start()
        for thread in self._threads:
            thread.start()

    @property
    def going(self) -> bool:
        """Whether somebody still sends."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """End the day early, or clear up after it."""
        self._stop.set()
        for thread in (*self._threads, self._reaper):
            thread.join(timeout=60)

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                self._study(self._studies.get_nowait())
        except queue.Empty:
            return
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def _study(self, study: int) -> None:
        """One study in one to four associations, with what else happens beside it."""
        chance = random.Random(f"{self._seed}/{study}")
        title = chance.choice(self._titles)
        images = iter(range(IMAGES_PER_STUDY))
        for part in range(parts := chance.randint(1, 4)):
            self._beside(chance, title)
            count = IMAGES_PER_STUDY if part == parts - 1 else IMAGES_PER_STUDY // parts
            self._association(title, study, list(itertools.islice(images, count)), chance)

    def _association(self, title: str, study: int, numbers: list[int], chance: random.Random) -> None:
        modality = PlainModality(self._port, calling=title)
        for number in numbers:
            if self._stop.is_set():
                break
            image = self._images.make(study, number, PIXELS)
            self.day.answered(modality.store(image.uid, image.data).status)
        fate = chance.random()
        if fate < ABORTED + CUT:
            image = self._images.make(study, IMAGES_PER_STUDY, PIXELS)
            modality.begin(image.uid, image.data, whole=False)
            (modality.abort if fate < ABORTED else modality.close)()
            self.day.count("aborted in the middle" if fate < ABORTED else "cut off in the middle")
        elif fate < ABORTED + CUT + IDLE:
            self._idle.put((time.monotonic() + chance.uniform(*IDLE_SECONDS), modality))
            self.day.count("left idle")
        else:
            modality.release()
            self.day.count("released")

    def _beside(self, chance: random.Random, title: str) -> None:
        fate = chance.random()
        if fate < REFUSED:
            with contextlib.suppress(RejectedError, BrokenError):
                PlainModality(self._port, calling="NOBODY").release()
            self.day.count("refused")
        elif fate < REFUSED + SILENT:
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            self._idle.put((time.monotonic() + chance.uniform(*IDLE_SECONDS), connection))
            self.day.count("silent")

    def _end_idle(self) -> None:
        waiting: list[tuple[float, PlainModality | socket.socket]] = []
        while True:
            with contextlib.suppress(queue.Empty):
                while True:
                    waiting.append(self._idle.get_nowait())
            over = self._stop.is_set()
            for due in [one for one in waiting if over or one[0] <= time.monotonic()]:
                waiting.remove(due)
                due[1].close()
            if over:
                return
            self._stop.wait(0.2)
