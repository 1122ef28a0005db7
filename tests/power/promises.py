"""What must be true after a power cut: every image that was acknowledged before it is kept, with its receipt.

Looks at the files and at the catalog of a gateway that has recovered and is gone; never asks the gateway's process.
"""

from __future__ import annotations

import contextlib
import io
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kuva_gateway.cli import main
from tests.studies import load_script

plain_modality = load_script("plain_modality")
gateway_process = load_script("gateway_process")
kill_senders = load_script("kill_senders")
kill_checks = load_script("kill_checks")


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What one cut left, compared with what was promised before it."""

    acknowledged: int = 0
    lost: int = 0
    """Acknowledged, and not in the catalog or without a file."""
    damaged: int = 0
    """Acknowledged, and the file has other bytes."""
    wrong_receipts: int = 0
    not_promised: int = 0
    """In the catalog without having been acknowledged before the cut: allowed."""
    set_aside: int = 0
    """Files in ``corrupt/``: allowed for what was not acknowledged."""
    mount_seconds: float = 0.0
    start_seconds: float = 0.0
    """From the start of the process until it takes an association and everything is in the catalog."""
    wrong: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        """Keep a sentence about what is wrong (the first few)."""
        if len(self.wrong) < 20:
            self.wrong.append(sentence)


def judge(gateway: Any, promised: Any, started_ns: int, verdict: Verdict) -> None:
    """Compare. ``promised`` is the senders' record as of the cut, ``started_ns`` when the gateway was started."""
    wanted = kill_checks.acknowledged(promised)
    verdict.acknowledged = len(wanted)
    with gateway.catalog() as catalog:
        judge_catalog(catalog, verdict)
        files = kill_checks.catalogued(catalog)
    for uid, digest in wanted.items():
        kill_checks.check_instance(gateway.spool, uid, digest, files.get(uid, []), verdict)
    verdict.not_promised = len(set(files) - set(wanted))
    for uid in set(files) - set(promised.digests):
        verdict.say(f"{uid} is in the catalog and nobody sent it")
    judge_receipts(gateway, promised, started_ns, verdict)
    judge_folders(gateway.spool, verdict)
    judge_spool(gateway, verdict)


def judge_catalog(catalog: sqlite3.Connection, verdict: Verdict) -> None:
    """SQLite's own checks of the file and of the references between its rows."""
    for (line,) in catalog.execute("PRAGMA integrity_check").fetchall():
        if line != "ok":
            verdict.say(f"the catalog's integrity check says: {line}")
    if catalog.execute("PRAGMA foreign_key_check").fetchall():
        verdict.say("the catalog has rows that refer to rows that are not there")


def judge_receipts(gateway: Any, promised: Any, started_ns: int, verdict: Verdict) -> None:
    """Who, when and on which association."""
    found = kill_checks.Findings()
    kill_checks.check_receipts(gateway, promised, [started_ns], found)
    verdict.wrong_receipts = found.wrong_receipts
    for sentence in found.wrong:
        verdict.say(sentence)


def judge_spool(gateway: Any, verdict: Verdict) -> None:
    """``spool verify``, the command itself; in this process, which need not start an interpreter for each cut."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main(["spool", "verify", "--config", str(gateway.config)])
    if status != 0:
        verdict.say(f"spool verify ended with {status}: {said.getvalue().strip()[-300:]}")


def judge_folders(spool: Path, verdict: Verdict) -> None:
    """Nothing is left half-done. ``corrupt/`` may hold what a name without its bytes became."""
    for folder in ("incoming", "arrived", "removing"):
        names = [path.name for path in (spool / folder).iterdir()]
        if names:
            verdict.say(f"{folder}/ holds {len(names)} files, such as {names[0]}")
    verdict.set_aside = sum(path.suffix != ".reason" for path in (spool / "corrupt").iterdir())
