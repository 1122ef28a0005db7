"""The errors that cross the borders of the gateway's parts.

Two of them decide what happens next: :class:`DeferredError` (try again later) and :class:`RefusedError` (never again by
itself; a person decides). They are translated once, at each edge: into a DIMSE status, an attempt row, or a line on
standard error and an exit status. No error's text holds patient data, so every one may be logged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class GatewayError(Exception):
    """Anything that the gateway itself says went wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault in a configuration file: where it stands and what is wrong with it."""

    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        return f"{place}{self.key}: {self.message}" if self.key else f"{place}{self.message}"


class ConfigurationError(GatewayError):
    """The configuration cannot be used; ``problems`` names every fault found, not just the first."""

    def __init__(self, path: str, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{path}: {problem}" for problem in self.problems))


class DeferredError(GatewayError):
    """It did not work now and may work later; nothing is lost by trying again."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class RefusedError(GatewayError):
    """It will not work however often it is tried; ``code`` names the reason for a person."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class NotFoundError(RefusedError):
    """What was asked for is not here."""


class StateError(RefusedError):
    """The event is not one that the present state knows."""


class BusyError(DeferredError):
    """Somebody else holds what is needed (a second daemon, a running rebuild)."""


class NoSpaceError(DeferredError):
    """The spool's file system has less free space than ``spool.minimum_free``."""


class CatalogUnavailableError(DeferredError):
    """The catalog's database is away or locked; receiving goes on without it."""


class DamageError(GatewayError):
    """Stored bytes cannot be read or are not the ones that were acknowledged (QUA-01)."""
