"""Shows the gateway at work: a real gateway, a stand-in archive, and real studies with fictional patients.

Three studies go from receiving to archived; one is held for a missing examination entry until the document is dropped;
one is held for a procedure code that has ended. With a terminal it then stays up until Ctrl-C, so that one can send
one's own; without one, or with ``--once``, it ends with status 0 only if all of that came true.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pynetdicom import AE, evt
from studymaker import HETUS, Study, documents, make_study
from synthetic_documents import build_document

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0
UNANSWERED = 10.0  # seconds after which the sender gives an image up
ASSOCIATIONS = 3
CONFIG = """\
# Written by scripts/quickstart; removed with its folder when the quick start ends.
environment: test
state_directory: ./var
listen: {{host: 127.0.0.1, port: {port}}}
settle_after: 2s
drain_timeout: 5s
spool: {{minimum_free: 64MiB}}
metrics: {{port: null}}
documents: {{scan_every: 500ms}}
log: {{format: json}}
peers:
  - {{name: ct1, ae_title: CT1, allow: [echo, store], networks: [127.0.0.0/8]}}
destinations:
  - {{name: national-archive, ae_title: ARCHIVE, host: 127.0.0.1, port: {archive_port},
     commitment_wait: 500ms, retry: "100x1s", rest_for: 1s}}
"""


class FailedError(Exception):
    """Something that the quick start promises did not come true."""


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Demonstration:
    """The two processes, their folder, and the clock that every line shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.archive_port = free_port(), free_port()
        self.config = folder / "kuva-gateway.yaml"
        self._children: list[subprocess.Popen[bytes]] = []
        self._logs: list[Any] = []
        self._started = time.monotonic()
        self._shown: dict[str, str] = {}

    # -- telling -----------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """One line with the seconds since the start."""
        print(f"{time.monotonic() - self._started:6.1f} s  {text}", flush=True)

    def show_changes(self, names: dict[str, str]) -> list[dict[str, Any]]:
        """Print each study whose state changed since it was last looked at; return the listing."""
        listing: list[dict[str, Any]] = self.json("studies", "list")
        for study in sorted(listing, key=lambda study: str(study["accession_number"])):
            uid, state = study["study_instance_uid"], study["state"]
            if self._shown.get(uid) == state:
                continue
            self._shown[uid] = state
            why = "; ".join(finding["message"] for finding in study["findings"] if finding["severity"] == "hold")
            entry = study["entries"][-1] if study["entries"] else None
            if state == "archived" and entry:
                why = f"the archive committed to {entry['committed']} of {study['instances']} instances"
            self.say(f"{names.get(uid, uid):<44} {state:<10}{why and '  ' + why}")
        return listing

    # -- processes ---------------------------------------------------------------------------------------------------

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a child whose output goes to a log in the folder."""
        log = (self.folder / f"{name}.log").open("wb")
        self._logs.append(log)
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
        self._children.append(child)
        return child

    def start_both(self) -> None:
        """Start the archive and the gateway, and wait until both answer."""
        self.config.write_text(CONFIG.format(port=self.port, archive_port=self.archive_port), encoding="utf-8")
        archive = self.start(
            "archive",
            sys.executable,
            str(ROOT / "scripts" / "stand_in_archive.py"),
            *("--port", str(self.archive_port), "--report-to", f"127.0.0.1:{self.port}"),
        )
        gateway = self.start("gateway", sys.executable, "-m", "kuva_gateway", "run", "--config", str(self.config))
        for name, child, port in (("archive", archive, self.archive_port), ("gateway", gateway, self.port)):
            self.wait(lambda child=child, port=port: self._listens(child, port), f"the {name} to listen")  # type: ignore[misc]
        self.say(f"gateway KUVAGW listens on 127.0.0.1:{self.port}, stand-in archive on 127.0.0.1:{self.archive_port}")

    def _listens(self, child: subprocess.Popen[bytes], port: int) -> bool:
        if child.poll() is not None:
            raise FailedError(f"a process ended with status {child.returncode}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def stay(self) -> None:
        """Show what becomes of every study until Ctrl-C, or until one of the processes ends."""
        while all(child.poll() is None for child in self._children):
            self.show_changes({})
            time.sleep(1.5)
        raise FailedError("a process ended by itself")

    def stop(self) -> None:
        """End both processes: the gateway first, so that it may finish what it has in hand."""
        for child in reversed(self._children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                try:
                    child.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        for log in self._logs:
            log.close()

    def log_ends(self) -> str:
        """The last lines of both logs, for when something failed."""
        ends = []
        for path in sorted(self.folder.glob("*.log")):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            ends.append("\n".join([f"--- {path.name}", *lines]))
        return "\n".join(ends)

    # -- the command line --------------------------------------------------------------------------------------------

    def cli(self, *arguments: str) -> str:
        """Run one command of the gateway; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "kuva_gateway", *arguments, "--config", str(self.config)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            raise FailedError(f"kuva-gateway {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """The JSON value that a command prints."""
        return json.loads(self.cli(*arguments, "--json"))

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Poll until ``condition`` holds; raises FailedError after a minute."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise FailedError(f"waited {PATIENCE:.0f} s for {what}")
            time.sleep(0.1)


def send(port: int, studies: Sequence[Study]) -> None:
    """Send studies over one association; as a modality would, what got no answer goes once more over another."""
    left = [data_set for study in studies for data_set in study.data_sets]
    for _ in range(ASSOCIATIONS):
        left = send_over_one(port, left)
        if not left:
            return
    raise FailedError(f"{len(left)} images got no answer, over {ASSOCIATIONS} associations")


def send_over_one(port: int, data_sets: Sequence[Any]) -> list[Any]:
    """Send until the association ends; returns what got no answer."""
    entity = AE(ae_title="CT1")
    entity.dimse_timeout = UNANSWERED
    for sop_class, syntax in sorted({(str(d.SOPClassUID), str(d.file_meta.TransferSyntaxUID)) for d in data_sets}):
        entity.add_requested_context(sop_class, syntax)

    def no_delay(event: evt.Event) -> None:
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    association = entity.associate("127.0.0.1", port, ae_title="KUVAGW", evt_handlers=[(evt.EVT_CONN_OPEN, no_delay)])
    if not association.is_established:
        raise FailedError("the gateway did not accept the association")
    try:
        for place, data_set in enumerate(data_sets):
            status = association.send_c_store(data_set).get("Status") if association.is_established else None
            if status is None:
                return list(data_sets[place:])
            if status != 0x0000:
                raise FailedError(f"C-STORE was answered with {status:04X}")
    finally:
        association.release()
    return []


def write_documents(folder: Path, study: Study, kinds: Sequence[str]) -> list[Path]:
    """Write the study's synthetic documents to ``folder``."""
    paths = []
    for name, content in documents(build_document, study, kinds):
        path = folder / name
        path.write_bytes(content)
        paths.append(path)
    return paths


def demonstrate(demo: Demonstration) -> None:
    """Show the three stories and check that each came true; raises FailedError."""
    both = ("request", "examination_entry")
    good = [
        make_study(kind="ct", hetu=HETUS[0], accession="A0001", series=2, instances=5),
        make_study(kind="mr", hetu=HETUS[1], accession="A0002", instances=5),
        make_study(kind="ecg", hetu=HETUS[2], accession="A0003"),
    ]
    early = make_study(
        kind="mr", hetu=HETUS[3], accession="A0004", code="NG1BG", code_name="Polven ja säären MT", instances=3
    )
    ended = make_study(
        kind="ct",
        hetu=HETUS[4],
        accession="A0005",
        code="AA1BD",
        code_name="Pään laaja TT",
        study_date=date(2024, 3, 4),
    )
    names = {
        study.uid: f"{study.order.accession} {study.order.kind.upper():<4}{study.data_sets[0].StudyDescription}"[:44]
        for study in (*good, early, ended)
    }
    demo.start_both()

    imported = demo.json("codes", "import", str(ROOT / "conf" / "procedure-codes.csv"))
    demo.say(f"procedure codes: {imported['added'] + imported['changed'] + imported['unchanged']} in the list")
    paths = [path for study in (*good, ended) for path in write_documents(demo.folder, study, both)]
    paths += write_documents(demo.folder, early, ("request",))
    demo.cli("documents", "import", *map(str, paths))
    demo.say(f"{len(paths)} synthetic requests and examination entries imported; one examination entry is kept back")

    studies = (*good, early, ended)
    send(demo.port, studies)
    demo.say(f"sent {sum(len(study.data_sets) for study in studies)} real instances of {len(studies)} studies")

    def states() -> dict[str, str]:
        return {study["study_instance_uid"]: study["state"] for study in demo.show_changes(names)}

    def expected() -> bool:
        now = states()
        return all(now.get(study.uid) == "archived" for study in good) and all(
            now.get(study.uid) == "held" for study in (early, ended)
        )

    demo.wait(expected, "three studies to be archived and two to be held")
    require_finding(demo, early, "DOC-02", "")
    require_finding(demo, ended, "COD-03", "AA1AD")

    (entry,) = write_documents(demo.folder, early, ("examination_entry",))
    drop = demo.folder / "var" / "documents" / "incoming" / entry.name
    shutil.copy(entry, drop.with_suffix(".part"))
    drop.with_suffix(".part").rename(drop)
    demo.say(f"dropped the missing examination entry of {early.order.accession} into documents/incoming")
    demo.wait(lambda: states().get(early.uid) == "archived", "the study to be archived after its document came")
    if not states().get(ended.uid) == "held":
        raise FailedError("the study with the ended code is no longer held")
    figures = demo.json("stats")
    demo.say(f"figures: studies {figures['studies']}, {figures['instances']} instances, {figures['bytes']:,} bytes")


def require_finding(demo: Demonstration, study: Study, rule: str, named: str) -> None:
    """The study's only holding finding must be ``rule``'s, and must name ``named``."""
    shown = demo.json("studies", "show", study.uid)
    holding = [finding for finding in shown["findings"] if finding["severity"] == "hold"]
    if [finding["rule"] for finding in holding] != [rule]:
        raise FailedError(f"expected only {rule} to hold {study.order.accession}, found {holding}")
    if named not in holding[0]["message"] + holding[0]["remedy"]:
        raise FailedError(f"{rule} does not name {named}: {holding[0]}")
    demo.say(f"{study.order.accession} is held by {rule}; what to do: {holding[0]['remedy']}")


def print_invitation(demo: Demonstration) -> None:
    """How to go on with one's own files."""
    python, config = shlex.quote(os.path.relpath(sys.executable)), shlex.quote(str(demo.config))
    command = f"{Path(python).parent}/kuva-gateway"
    print(
        f"""
Send your own (the environment is 'test': patients need a 900-series identity code, others are refused with 0124):
    scripts/make-study ct /tmp/mine --accession B0001 --documents
    storescu -aet CT1 -aec KUVAGW 127.0.0.1 {demo.port} /tmp/mine/*.dcm
    cp /tmp/mine/*.xml {shlex.quote(str(demo.folder))}/var/documents/incoming/
Look at it:
    export KUVA_GATEWAY_CONFIG={config}
    {command} studies list
    {command} studies show UID          (and: studies trace UID, queue list, stats)
Act on it:
    {command} studies release UID --by you --reason 'seen on paper'

Ctrl-C ends it and removes {demo.folder}.""",
        flush=True,
    )


def main() -> int:
    """Run the demonstration; return the exit status."""
    parser = argparse.ArgumentParser(prog="quickstart", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--once", action="store_true", help="end after the demonstration (the default without a terminal)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with configuration, state and logs")
    options = parser.parse_args()
    once = options.once or not (sys.stdin.isatty() and sys.stdout.isatty())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="kuva-quickstart-"))
    demo = Demonstration(folder)
    try:
        demonstrate(demo)
        demo.say("everything that was promised came true")
        if not once:
            print_invitation(demo)
            demo.stay()
        return 0
    except FailedError as error:
        demo.say(f"FAILED: {error}")
        print(demo.log_ends(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 0 if not once else 130
    finally:
        demo.stop()
        if options.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
