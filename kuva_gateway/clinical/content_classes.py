"""Content classes: what the archive takes, by procedure code, and since when; read from a file that may be changed.

Keeps nothing but what the file says. The shipped file is ``conf/content-classes.yaml``, which tells each key.

Source: the archive's own page (radiology since 2018, ECG since 2021, intraoral X-ray possible from 2024, visible light
and screening later).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from fnmatch import translate
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, Field, field_validator

from kuva_gateway.config.archive import CodePattern
from kuva_gateway.config.kinds import Section
from kuva_gateway.config.load import read, validate

T = TypeVar("T")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of procedure codes (``?`` any character, ``[AI]`` one of these) as an expression for whole codes."""
    return re.compile(translate(pattern))


def _class_id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError("an id has 1 to 32 of a-z, 0-9 and -, and starts with a letter or digit")
    return value


def _some(values: tuple[T, ...]) -> tuple[T, ...]:
    if not values:
        raise ValueError("expected at least 1")
    return values


class Name(Section):
    """What people call a class."""

    en: Annotated[str, Field(min_length=1)]
    fi: Annotated[str, Field(min_length=1)]


class ContentClass(Section):
    """One class, and when the archive takes it.

    Attributes
    ----------
    open_from
        The first day on which the archive takes it; None: no day is known.
    closed
        Until further notice, whatever ``open_from`` says.
    study_date_from
        Studies of an earlier day do not go; None: any may.
    """

    id: Annotated[str, AfterValidator(_class_id)]
    name: Name
    codes: Annotated[tuple[CodePattern, ...], AfterValidator(_some)]
    open_from: date | None = None
    closed: bool = False
    study_date_from: date | None = None

    def is_open(self, today: date) -> bool:
        """Whether the archive takes the class today."""
        return not self.closed and self.open_from is not None and self.open_from <= today

    def opens_on(self, today: date) -> date | None:
        """The day to come on which the class opens; None when it is open, or when nobody knows."""
        return self.open_from if not self.closed and self.open_from is not None and self.open_from > today else None


class ContentClasses(Section):
    """All classes in the file's order, which decides: the first with a pattern for a code is the code's class."""

    classes: Annotated[tuple[ContentClass, ...], AfterValidator(_some)]

    @field_validator("classes")
    @classmethod
    def _ids_once(cls, classes: tuple[ContentClass, ...]) -> tuple[ContentClass, ...]:
        seen: set[str] = set()
        for one in classes:
            if one.id in seen:
                raise ValueError(f"the id {one.id} stands twice")
            seen.add(one.id)
        return classes

    @cached_property
    def _by_code(self) -> dict[str, ContentClass | None]:
        return {}

    def of(self, code: str) -> ContentClass | None:
        """The class of a procedure code."""
        known = self._by_code
        if code not in known:
            if len(known) >= MOST_REMEMBERED:
                known.clear()
            matching = (one for one in self.classes if any(compiled(pattern).match(code) for pattern in one.codes))
            known[code] = next(matching, None)
        return known[code]

    def ids_of(self, codes: Iterable[str]) -> tuple[str, ...]:
        """The ids of the classes of some codes, sorted."""
        return tuple(sorted({one.id for code in codes if (one := self.of(code)) is not None}))


MOST_REMEMBERED: Final = 4096
"""Codes whose class is remembered; a peer may send any number of them."""


def read_content_classes(path: Path) -> ContentClasses:
    """The classes in the file at ``path``.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or has faults: every one with its line and what is expected.
    """
    return validate(read(path), path, ContentClasses)
