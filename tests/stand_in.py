"""The stand-in archive as a process of its own, and what it says."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from pydicom.filereader import read_file_meta_info

from tests.support import ROOT, wait_until

Said = dict[str, Any]


class StandIn:
    """A running ``scripts/stand_in_archive.py``; its events are collected as they are printed."""

    def __init__(self, *options: str, port: int = 0, ae_title: str = "ARCHIVE") -> None:
        self._events: list[Said] = []
        self._lock = threading.Lock()
        script = str(ROOT / "scripts" / "stand_in_archive.py")
        self.process = subprocess.Popen(
            [sys.executable, script, "--port", str(port), "--ae-title", ae_title, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port: int = self.wait("listening")["port"]
        except BaseException:
            self.stop()
            raise

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._lock:
                self._events.append(json.loads(line))

    def events(self, name: str) -> list[Said]:
        """What was said so far under ``name``."""
        with self._lock:
            return [event for event in self._events if event["event"] == name]

    def wait(self, name: str, count: int = 1, *, timeout: float = 30) -> Said:
        """Wait until ``name`` was said ``count`` times; return the last of these."""

        def said() -> list[Said]:
            if self.process.poll() is not None and name != "stopped":
                assert self.process.stderr is not None
                raise AssertionError(f"the stand-in archive ended: {self.process.stderr.read().decode()}")
            return self.events(name) if len(self.events(name)) >= count else []

        return wait_until(said, timeout=timeout, what=f"{count} x {name} at the stand-in archive")[count - 1]

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each data set as it arrived, by SOP Instance UID."""
        return {event["sop_instance_uid"]: event["digest"] for event in self.events("stored")}

    def stop(self) -> int:
        """End it as systemd would and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(timeout=10)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return self.process.returncode

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def data_set_digest(path: Path) -> str:
    """SHA-256 of the data set in a Part 10 file, without its meta information: what goes over the wire."""

    with path.open("rb") as stream:
        length = 128 + 4 + 12 + read_file_meta_info(path).FileMetaInformationGroupLength
        stream.seek(length)
        return hashlib.sha256(stream.read()).hexdigest()
