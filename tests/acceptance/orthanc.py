"""Orthanc as a process of its own: an archive or a modality that did not grow up here."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support import free_port, program, wait_until


class Orthanc:
    """A running Orthanc that knows one peer, ``gateway``, at ``gateway_port``."""

    def __init__(self, folder: Path, *, ae_title: str, gateway_port: int, dicom_port: int | None = None) -> None:
        folder.mkdir(parents=True)
        self.port = dicom_port or free_port()
        self._http = free_port()
        settings = {
            "Name": "test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "index"),
            "Plugins": [],
            "DicomAet": ae_title,
            "DicomPort": self.port,
            "DicomCheckCalledAet": True,
            "HttpPort": self._http,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "OverwriteInstances": False,
            "DicomModalities": {
                "gateway": {
                    "AET": "KUVAGW",
                    "Host": "127.0.0.1",
                    "Port": gateway_port,
                    "AllowEcho": True,
                    "AllowStore": True,
                    "AllowStorageCommitment": True,
                }
            },
        }
        config = folder / "orthanc.json"
        config.write_text(json.dumps(settings))
        self._log = (folder / "orthanc.log").open("wb")
        self.process = subprocess.Popen(
            [program("Orthanc"), str(config)], stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT
        )
        try:
            wait_until(self._answers, timeout=40, what="Orthanc's answer")
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self.process.poll() is None, "Orthanc ended"
        try:
            self.get("/system")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def get(self, path: str) -> Any:
        """GET of its REST interface."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}{path}", timeout=20) as answer:
            return json.loads(answer.read())

    def post(self, path: str, body: bytes, timeout: float = 60) -> Any:
        """POST to its REST interface."""
        request = urllib.request.Request(f"http://127.0.0.1:{self._http}{path}", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.loads(answer.read())

    def sop_instance_uids(self) -> set[str]:
        """What it holds."""
        return {
            self.get(f"/instances/{instance}")["MainDicomTags"]["SOPInstanceUID"] for instance in self.get("/instances")
        }

    def stop(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()

    def __enter__(self) -> Orthanc:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
