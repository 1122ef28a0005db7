"""The code list's files: the official exports in all their forms, read into periods of validity.

Keeps nothing. Columns are matched by name, never by place; a row that cannot be trusted goes to ``bad`` with its line
and the reason, and no cell of it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kuva_gateway.clinical.codes import CodePeriod
from kuva_gateway.errors import GatewayError


class CodeListError(GatewayError):
    """The file is no code list in any form that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that was left out: its line in the file (the header is line 1) and why."""

    line: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeList:
    """What a file says: its good rows in its order, and its bad ones."""

    periods: tuple[CodePeriod, ...]
    bad: tuple[BadRow, ...] = ()


def read_code_list(name: str, data: bytes, progress: Callable[[int], None] | None = None) -> CodeList:
    """Read an export.

    Parameters
    ----------
    name
        The file's name, for errors only: the form is told from the content.
    progress
        Called now and then with the number of rows read so far.

    Raises
    ------
    CodeListError
        When the content is no code list.
    """
    raise CodeListError(f"{name}: not a code list")
