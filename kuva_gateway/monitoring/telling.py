"""``alerts.command``: somebody is told, once for each alert and hour, also over a restart of the daemon.

The command gets one JSON object on its standard input: no shell, no arguments of ours, a few harmless variables, half a
minute. Promises that what it does, or does not do, holds nothing up, and that no patient data goes out.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kuva_gateway.config import Configuration
from kuva_gateway.monitoring.alerts import Alert, Raised

AGAIN_AFTER = timedelta(hours=1)
PATIENCE = 30.0
"""Seconds for the command."""
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


class Telling:
    """Tells of what lasts, by the configuration of that moment. ``file`` remembers when each alert was told of."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        file: Path,
        *,
        now: Callable[[], datetime],
        log: Any,
        patience: float = PATIENCE,
    ) -> None:
        self._configuration = configuration
        self._file = file
        self._now = now
        self._log = log
        self._patience = patience
        self._since: dict[str, datetime] = {}
        self._told = _read(file)

    def look(self, raised: Sequence[Raised]) -> int:
        """Tell of what has lasted long enough and was not told of for an hour; returns of how many."""
        now = self._now()
        self._since = {one.alert.name: self._since.get(one.alert.name, now) for one in raised}
        due = [one for one in raised if self._is_due(one.alert, now)]
        for one in due:
            self._told[one.alert.name] = now
            self._remember()  # before: what is told of twice costs more trust than what is told of late
            self._run(one, now)
        return len(due)

    def _is_due(self, alert: Alert, now: datetime) -> bool:
        if now - self._since[alert.name] < alert.lasting:
            return False
        told = self._told.get(alert.name)
        return told is None or not timedelta() <= now - told < AGAIN_AFTER

    def _run(self, one: Raised, now: datetime) -> None:
        alert, configuration = one.alert, self._configuration()
        self._log.warning("alert", alert=alert.name, severity=alert.severity.value, summary=one.summary)
        words = {
            "alert": alert.name,
            "severity": alert.severity.value,
            "summary": one.summary,
            "what_to_do": alert.remedy,
            "runbook": alert.runbook,
            "gateway": configuration.ae_title,
            "environment": configuration.environment,
            "since": self._since[alert.name].isoformat(),
            "at": now.isoformat(),
        }
        why = self._start(configuration.alerts.command or (), json.dumps(words).encode() + b"\n")
        if why:
            self._log.error("alerts.command failed", alert=alert.name, why=why)

    def _start(self, command: Sequence[str], words: bytes) -> str:
        """Run the command; returns what went wrong."""
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            return error.strerror or type(error).__name__
        with process:
            try:
                process.communicate(words, timeout=self._patience)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with whatever it has started
                return f"it took longer than {self._patience:g} s"
        return f"it ended with status {process.returncode}" if process.returncode else ""

    def _remember(self) -> None:
        new = self._file.with_suffix(".new")
        try:
            new.write_text(json.dumps({name: at.isoformat() for name, at in self._told.items()}), encoding="utf-8")
            new.replace(self._file)
        except OSError as error:
            self._log.error("which alerts were told of is not remembered", why=error.strerror)


def _read(file: Path) -> dict[str, datetime]:
    """What was remembered; nothing if that cannot be read."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        found = {str(name): datetime.fromisoformat(at) for name, at in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {name: at if at.tzinfo else at.replace(tzinfo=UTC) for name, at in found.items()}
