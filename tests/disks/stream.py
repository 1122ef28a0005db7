"""A modality that goes on sending whatever it is answered, and what became of everything it sent."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.acceptance.gateway import Gateway
from tests.stand_in import data_set_digest
from tests.studies import load_script
from tests.support import wait_until

plain_modality = load_script("plain_modality")
PAUSE = 0.005  # seconds between two images


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One image and its answer; ``status`` -1 means that the association broke."""

    digest: str
    status: int
    comment: str


class Stream:
    """Sends images in a thread of its own while the context lasts, on one association as long as that lives."""

    _seeds = itertools.count(1)

    def __init__(self, port: int, *, pixel_bytes: int = 256 * 1024) -> None:
        self.sent: list[Sent] = []
        self.associations = 0
        self._port = port
        self._pixel_bytes = pixel_bytes
        self._images = plain_modality.Images(next(self._seeds))
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._sending = threading.Lock()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._associate()
        except BaseException as error:
            self._error = error

    def _associate(self) -> None:
        try:
            with plain_modality.PlainModality(self._port, calling="CT1") as modality:
                self.associations += 1
                while not self._stop.wait(PAUSE):
                    with self._sending:
                        self._send(modality)
        except (plain_modality.BrokenError, OSError):
            self._stop.wait(0.05)

    def _send(self, modality: object) -> None:
        image = self._images.make(1, next(self._numbers), self._pixel_bytes)
        try:
            answer = modality.store(image.uid, image.data)  # type: ignore[attr-defined]
        except BaseException:
            self.sent.append(Sent(digest=image.digest, status=-1, comment=""))
            raise
        self.sent.append(Sent(digest=image.digest, status=answer.status, comment=answer.comment))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A while in which nothing is on its way."""
        with self._sending:
            yield

    def acknowledged(self) -> set[str]:
        """Digests of the data sets that were answered with success."""
        return {one.digest for one in self.sent if one.status == 0}

    def wait_for(self, status: int, *, count: int = 3, timeout: float = 20.0) -> list[Sent]:
        """Wait until so many answers from now have this status; returns all answers from now to the last of these."""
        start = len(self.sent)

        def there() -> list[Sent]:
            assert self._error is None, self._error
            found = self.sent[start:]
            return found if sum(one.status == status for one in found) >= count else []

        return wait_until(there, timeout=timeout, what=f"{count} answers {status:04X}, not {self.sent[-3:]},")

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()
        assert self._error is None or error is not None, self._error


def kept(gateway: Gateway) -> set[str]:
    """Digests of the data sets that the gateway holds, read from its files."""
    files = [*(gateway.spool / "arrived").iterdir(), *(gateway.spool / "instances").glob("*/*")]
    return {data_set_digest(path) for path in files}


def assert_nothing_lost(gateway: Gateway, *streams: Stream) -> None:
    """Everything acknowledged is catalogued with its bytes, and nothing is half-done."""
    gateway.wait_catalogued()
    for stream in streams:
        assert stream.acknowledged(), "nothing was acknowledged at all"
        missing = stream.acknowledged() - kept(gateway)
        assert not missing, f"{len(missing)} of {len(stream.acknowledged())} acknowledged images are not there"
    assert wait_until(lambda: not gateway.leftovers(), timeout=60, what="an empty incoming/")
    assert gateway.quick("spool", "verify").status == 0


def corrupt(gateway: Gateway) -> dict[str, str]:
    """What is in ``corrupt/``, with its reasons."""
    folder = gateway.spool / "corrupt"
    return {
        path.name: (folder / f"{path.name}.reason").read_text() if Path(f"{path}.reason").exists() else ""
        for path in folder.iterdir()
        if path.suffix != ".reason"
    }
