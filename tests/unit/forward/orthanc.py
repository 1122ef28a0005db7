"""Orthanc as the archive: it takes C-STORE, and reports storage commitment on an association of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import free_port, program, wait_until


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc that calls itself ARCHIVE."""

    port: int
    folder: Path


@contextmanager
def orthanc(folder: Path, *, report_port: int, report_to: str = "KUVAGW") -> Iterator[Orthanc]:
    """Run Orthanc with ``report_to`` at ``report_port`` as the AE that asks for commitment."""
    path = program("Orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = {
        "Name": "archive",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpServerEnabled": False,
        "DicomPort": port,
        "DicomAet": "ARCHIVE",
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "Plugins": [],
        "ConcurrentJobs": 1,
        "DicomModalities": {
            "gateway": {"AET": report_to, "Host": "127.0.0.1", "Port": report_port, "AllowStorageCommitment": True}
        },
    }
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(settings))
    with (
        (folder / "orthanc.log").open("wb") as log,
        subprocess.Popen([path, str(configuration)], stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            table = f":{port:04X} 00000000:0000 0A"
            wait_until(
                lambda: any(table in Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6")),
                timeout=60,
                what="Orthanc listens",
            )
            yield Orthanc(port=port, folder=folder)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
