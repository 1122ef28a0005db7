"""What an examination is given, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from kuva_gateway.config import Configuration


class Level(StrEnum):
    """How a matter stands: a fault keeps the gateway from its work or endangers images, a warning may come to that."""

    WELL = "well"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One line of the doctor's: what was looked at, how it stands, and what to do unless it is well."""

    check: str
    level: Level
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The installation that is looked at. ``daemon`` is the running daemon's process id, None when none runs."""

    configuration: Configuration
    config_path: Path
    now: datetime
    daemon: int | None
    call: bool = True
    """Whether peers and destinations may be called."""


def well(check: str, message: str) -> Diagnosis:
    """Nothing to do."""
    return Diagnosis(check=check, level=Level.WELL, message=message)


def warning(check: str, message: str, remedy: str) -> Diagnosis:
    """Something to look into."""
    return Diagnosis(check=check, level=Level.WARNING, message=message, remedy=remedy)


def fault(check: str, message: str, remedy: str) -> Diagnosis:
    """Something to mend."""
    return Diagnosis(check=check, level=Level.FAULT, message=message, remedy=remedy)
