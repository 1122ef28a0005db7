"""How fast a modality's images are acknowledged while the gateway judges ten thousand held studies again.

A real gateway over a catalog that holds them, one association, alternating rounds with nothing else to do and with all
of them judged again and again. The time of an image is that from its first byte to its answer; the sender makes the
next one in between.
"""

from __future__ import annotations

import statistics
import threading
from contextlib import closing
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

from gateway_process import Gateway, wait
from plain_modality import SUCCESS, Images, PlainModality

from kuva_gateway.catalog import studies
from kuva_gateway.catalog.database import Catalog

SECONDS = 5.0  # of one half of a round
SETTLED_LATE = {"settle_after": "2h", "settle_at_most": "4h", "log": {"level": "warning"}}
"""What arrives is not judged: only the recheck is."""


class Recheck:
    """Opens the question of every held study again, whenever all of them are answered."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Recheck:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        wait(lambda: not studies.to_judge(self._catalog, 1), "the last verdict", pause=0.1)

    def _run(self) -> None:
        while not self._stop.is_set():
            if not studies.to_judge(self._catalog, 1):
                studies.recheck(self._catalog, None)
            self._stop.wait(0.2)


def send(port: int, images: Images, study: int, pixel_bytes: int) -> list[float]:
    """The seconds of each image's answer, for a while."""
    times, number = [], 0
    until = monotonic() + SECONDS
    with PlainModality(port, calling="CT1") as modality:
        while monotonic() < until:
            number += 1
            image = images.make(study, number, pixel_bytes)
            begun = perf_counter()
            answer = modality.store(image.uid, image.data)
            times.append(perf_counter() - begun)
            assert answer.status == SUCCESS
    return times


def beside(folder: Path, catalog_path: Path, sizes: tuple[int, ...], rounds: int) -> dict[str, Any]:
    """Medians of an image's time in milliseconds, alone and beside the recheck, for images of so many KiB.

    ``folder`` is the gateway's; the catalog with its held studies is there already.
    """
    gateway = Gateway(folder, archive_port=None, **SETTLED_LATE)
    gateway.start()
    images, figures, study = Images(1), {}, 0
    try:
        with closing(Catalog.open(None, catalog_path, create=False)) as catalog:
            send(gateway.port, images, study, 8192)
            for size in sizes:
                found: dict[str, list[float]] = {"alone": [], "beside": []}
                for _ in range(rounds):
                    study += 2
                    found["alone"].append(statistics.median(send(gateway.port, images, study, size * 1024)))
                    with Recheck(catalog):
                        found["beside"].append(statistics.median(send(gateway.port, images, study + 1, size * 1024)))
                alone, loaded = (1000 * statistics.median(found[what]) for what in ("alone", "beside"))
                figures[f"{size}_kib"] = {
                    "alone_ms": round(alone, 3),
                    "beside_ms": round(loaded, 3),
                    "ratio": round(loaded / alone, 3),
                }
    finally:
        gateway.stop()
    return figures
