"""The real gateway as a process of its own, with a configuration of its own on free ports."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from kuva_gateway.cli import main
from tests.stand_in import StandIn
from tests.studies import document
from tests.support import ROOT, dcmtk, dcmtk_environment, free_port, wait_until

Json = dict[str, Any]
START_TIMEOUT = 60.0
STOP_TIMEOUT = 40.0
CLI_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended and what it printed."""

    status: int
    stdout: str
    stderr: str


def configuration(port: int, archive_port: int | None, **changes: Any) -> Json:
    """A configuration that is quick: everything that waits for minutes in real life waits for parts of a second.

    The daemon itself receives: each receiving process costs a test the start of an interpreter. Where they matter,
    tests say how many they want.
    """
    destinations = []
    if archive_port is not None:
        destinations.append(
            {
                "name": "national-archive",
                "ae_title": "ARCHIVE",
                "host": "127.0.0.1",
                "port": archive_port,
                "commitment_wait": "200ms",
                "commitment_overdue": "3s",
                "retry": "1000x300ms",
                "rest_for": "300ms",
                "rest_at_most": "1s",
                **changes.pop("destination", {}),
            }
        )
    return {
        "environment": "test",
        "state_directory": "./var",
        "listen": {"host": "127.0.0.1", "port": port, "processes": changes.pop("processes", 0)},
        "settle_after": "500ms",
        "settle_at_most": "1m",
        "drain_timeout": "5s",
        "spool": {"minimum_free": "1MiB"},
        "metrics": {"port": None},
        "documents": {"scan_every": "200ms"},
        "log": {"format": "json", "level": "info"},
        "peers": [
            {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store", "commit"], "networks": ["127.0.0.0/8"]},
            {"name": "mr1", "ae_title": "MR1", "allow": ["echo", "store"]},
            {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
        ],
        "destinations": destinations,
        **changes,
    }


class Gateway:
    """One gateway: its folder, its configuration and, as a context manager, its running process."""

    def __init__(
        self, folder: Path, *, archive_port: int | None = None, port: int | None = None, **changes: Any
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.config = folder / "kuva-gateway.yaml"
        self.state = folder / "var"
        self.spool = self.state / "spool"
        self.log = folder / "gateway.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.configure(configuration(self.port, archive_port, **changes))

    def configure(self, value: Json) -> None:
        """Write the configuration file."""
        self.config.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")

    # -- the process -------------------------------------------------------------------------------------------------

    def start(self) -> Gateway:
        """Start ``run`` and wait until its commands and its port answer."""
        assert self.process is None, "it runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kuva_gateway", "run", "--config", str(self.config)],
                cwd=ROOT,
                env={**os.environ, "PYTHONFAULTHANDLER": "1", **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(self._answers, timeout=START_TIMEOUT, what="the gateway's answer to C-ECHO")
        except BaseException:
            self.kill()
            raise
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the gateway ended with {self.process.returncode}:\n{self.said()[-3000:]}")
        echo = [dcmtk("echoscu"), "-to", "5", "-aet", "MONITOR", "-aec", "KUVAGW", "127.0.0.1", str(self.port)]
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(echo, env=dcmtk_environment(), capture_output=True, timeout=20, check=False)
            return done.returncode == 0
        return False

    def kill(self) -> None:
        """``kill -9``: nothing gets a chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def terminate(self) -> None:
        """Ask it to stop, as systemd does, and do not wait."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Ask it to stop and wait; return its exit status."""
        assert self.process is not None
        self.terminate()
        try:
            status = self.process.wait(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            # Python then writes what every thread was doing into the log.
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            self.process = None
            raise AssertionError(f"the gateway did not stop within {STOP_TIMEOUT} s:\n{self.said()[-3000:]}") from None
        self.process = None
        return status

    def said(self) -> str:
        """Everything that it logged."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def resident_bytes(self) -> int:
        """The process's resident memory."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self) -> Gateway:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # pytest shows it with a test that failed, and swallows it otherwise.
        sys.stderr.write(f"--- the gateway said:\n{self.said()[-6000:]}\n")
        if self.process is not None:
            if error is None:
                assert self.stop() == 0, self.said()[-3000:]
            else:
                self.kill()

    # -- the command line --------------------------------------------------------------------------------------------

    def cli(self, *arguments: str, stdin: str | None = None) -> Done:
        """Run one command of ``kuva-gateway`` with this gateway's configuration."""
        done = subprocess.run(
            [sys.executable, "-m", "kuva_gateway", *arguments],
            cwd=ROOT,
            env={**os.environ, "KUVA_GATEWAY_CONFIG": str(self.config)},
            input=None if stdin is None else stdin.encode(),
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=CLI_TIMEOUT,
            check=False,
        )
        return Done(status=done.returncode, stdout=done.stdout.decode(), stderr=done.stderr.decode())

    def quick(self, *arguments: str) -> Done:
        """The same code in this process: what is asked many times a second need not pay for an interpreter's start."""
        stdout, stderr = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            status = main([*arguments, "--config", str(self.config)])
        return Done(status=status, stdout=stdout.getvalue(), stderr=stderr.getvalue())

    def json(self, *arguments: str) -> Any:
        """The JSON value that a command prints; the command must succeed."""
        done = self.quick(*arguments, "--json")
        assert done.status == 0, f"{' '.join(arguments)}: {done.stderr or done.stdout}"
        return json.loads(done.stdout)

    def studies(self, *options: str) -> list[Json]:
        """``studies list``."""
        return list(self.json("studies", "list", *options))

    def study(self, uid: str) -> Json | None:
        """``studies show``; None while the study is not known."""
        done = self.quick("studies", "show", uid, "--json")
        return json.loads(done.stdout) if done.status == 0 else None

    def wait_state(self, uid: str, *states: str, timeout: float = 45) -> Json:
        """Wait until the study is in one of ``states``."""
        seen: Json = {}

        def reached() -> Json | None:
            study = self.study(uid)
            seen.clear()
            seen.update(study or {})
            return study if study is not None and study["state"] in states else None

        try:
            return wait_until(reached, timeout=timeout, what=f"state {' or '.join(states)}")
        except BaseException:
            sys.stderr.write(f"--- the study at last: {json.dumps(seen, indent=1)}\n")
            raise

    def wait_catalogued(self, *, timeout: float = 45) -> Json:
        """Wait until nothing that was received waits for the catalog; return the figures."""

        def done() -> Json | None:
            figures: Json = self.json("stats")
            return figures if figures["arrivals_pending"] == 0 else None

        return wait_until(done, timeout=timeout, what="an empty arrived/")

    # -- what comes in -----------------------------------------------------------------------------------------------

    @property
    def drop_folder(self) -> Path:
        """Where documents are dropped; it is made after the ports have opened."""
        folder = self.state / "documents" / "incoming"
        wait_until(folder.is_dir, what="the drop folder")
        return folder

    def drop(self, study: Any, *kinds: str, **changes: Any) -> list[Path]:
        """Drop documents that belong to ``study``, as another system would: under another name first."""
        paths = []
        for kind in kinds:
            path = self.drop_folder / f"{study.order.accession}-{kind}.xml"
            part = path.with_suffix(".part")
            part.write_bytes(document(study, kind, **changes))
            part.rename(path)
            paths.append(path)
        return paths

    def import_documents(self, study: Any, *kinds: str, **changes: Any) -> None:
        """Import documents that belong to ``study`` by command."""
        for kind in kinds or ("request", "examination_entry"):
            path = self.folder / f"{study.order.accession}-{kind}.xml"
            path.write_bytes(document(study, kind, **changes))
            done = self.quick("documents", "import", str(path))
            assert done.status == 0, done.stderr

    def storescu(
        self,
        files: Iterable[Path],
        *options: str,
        calling: str = "CT1",
        check: bool = True,
        timeout: float = 100,
        port: int | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Send files with DCMTK's storescu."""
        done = subprocess.run(
            self.storescu_command(files, *options, calling=calling, port=port),
            env=dcmtk_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
        return done

    def storescu_command(
        self, files: Iterable[Path], *options: str, calling: str = "CT1", port: int | None = None
    ) -> Sequence[str]:
        """The command line of storescu, for those who start it themselves."""
        paths = [str(path) for path in files]
        return [
            dcmtk("storescu"),
            "-R",
            "-aet",
            calling,
            "-aec",
            "KUVAGW",
            *options,
            "127.0.0.1",
            str(port or self.port),
            *paths,
        ]

    def digests_from_storescu(self, files: Iterable[Path], *options: str) -> dict[str, str]:
        """SHA-256 of each data set as storescu puts it on the wire (it may encode anew), by SOP Instance UID.

        A second archive is the witness; the gateway is not asked.
        """
        with StandIn(ae_title="KUVAGW") as witness:
            self.storescu(files, *options, port=witness.port)
            witness.stop()
            return witness.digests

    def send(self, study: Any, *, calling: str = "CT1") -> list[Path]:
        """Write the study to files and send them."""
        paths: list[Path] = study.write(self.folder / "sent")
        self.storescu(paths, calling=calling)
        return paths

    def leftovers(self) -> list[Path]:
        """Files of receptions that never ended: there must be none."""
        return list((self.spool / "incoming").iterdir())

    def waiting(self) -> list[Path]:
        """Files that were acknowledged and are not catalogued yet."""
        return list((self.spool / "arrived").iterdir())
