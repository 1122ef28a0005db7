"""What an operator writes about a destination beyond names and numbers: a filter, hours, judgements of statuses.

Keeps nothing but what was written, checked; what follows from it stands in the queue and in ``forward``. Promises that
a value which cannot mean anything is a fault of the file, with words that say what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

_MODALITY = re.compile(r"[A-Z0-9_ ]{1,16}")
_CODE = re.compile(r"[A-Za-z0-9]{1,16}\*?")
_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_STATUS = re.compile(r"[0-9A-F]{1,4}X{0,3}")
KINDS = ("delivered", "warning", "temporary", "person")
SCOPES = ("instance", "study", "sop_class", "destination")
WORDS = ("context", "lost")
"""Outcomes without a DIMSE status whose judgement an operator may change: what is not stored for certain."""


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _like(pattern: re.Pattern[str], expected: str) -> AfterValidator:
    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not pattern.fullmatch(value):
                raise ValueError(f"expected {expected}")
        return values

    return AfterValidator(check)


_Many = BeforeValidator(_one_or_many)


class Choice(BaseModel):
    """Values of which a study must have one, for each key that is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content_class: Annotated[tuple[str, ...], _Many, _like(_WORD, "content classes, in small letters")] = ()
    modality: Annotated[tuple[str, ...], _Many, _like(_MODALITY, "modalities such as CT, in capitals")] = ()
    peer: Annotated[tuple[str, ...], _Many, _like(_WORD, "names of peers")] = ()
    procedure_code: Annotated[tuple[str, ...], _Many, _like(_CODE, "codes such as GD1AD, or a beginning: GD1*")] = ()

    def __bool__(self) -> bool:
        return bool(self.content_class or self.modality or self.peer or self.procedure_code)

    @property
    def peers(self) -> frozenset[str]:
        """Every name of a peer that stands here."""
        return frozenset(self.peer)

    @property
    def content_classes(self) -> frozenset[str]:
        """Every content class that stands here."""
        return frozenset(self.content_class)


class Filter(Choice):
    """Which studies a destination takes: those with a value of every key given, unless they have one of ``unless``."""

    unless: Choice = Choice()

    def __bool__(self) -> bool:
        return super().__bool__() or bool(self.unless)

    @property
    def peers(self) -> frozenset[str]:
        return super().peers | self.unless.peers

    @property
    def content_classes(self) -> frozenset[str]:
        return super().content_classes | self.unless.content_classes


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of the day, local time: from a minute of the day until another one, which may be the next day's."""

    ranges: tuple[tuple[time, time], ...]

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Read ``18:00-06:00``, or several with commas between.

        Raises
        ------
        ValueError
            It is none, or begins when it ends.
        """
        return cls(tuple(_range(part.strip()) for part in text.split(",")))

    def open(self, local: datetime) -> bool:
        """Whether ``local`` is within the hours."""
        now = local.time().replace(tzinfo=None)
        return any(begin <= now < end if begin < end else now >= begin or now < end for begin, end in self.ranges)

    def opens(self, local: datetime) -> datetime:
        """The next moment at which the hours begin, in ``local``'s zone (a moment that the clock jumps over: after)."""
        found = []
        for begin, _ in self.ranges:
            day = local.replace(hour=begin.hour, minute=begin.minute, second=0, microsecond=0, fold=0)
            found.append(day if day > local else day + timedelta(days=1))
        return min(found)


def _range(text: str) -> tuple[time, time]:
    match = _HOURS.fullmatch(text)
    expected = "expected hours such as 18:00-06:00"
    if match is None:
        raise ValueError(expected)
    hour, minute, until_hour, until_minute = map(int, match.groups())
    if (until_hour, until_minute) == (24, 0):
        until_hour = 0
    try:
        begin, end = time(hour, minute), time(until_hour, until_minute)
    except ValueError:
        raise ValueError(expected) from None
    if begin == end:
        raise ValueError("the hours begin when they end; leave window out (null) for the whole day")
    return begin, end


def _hours(text: str) -> str:
    Hours.parse(text)
    return text


def parse_judgement(text: str) -> tuple[str, str | None]:
    """``person``, or ``person study``: what is to be done, and whom it concerns (None: as in the table).

    Raises
    ------
    ValueError
        It is neither.
    """
    kind, _, scope = text.replace(",", " ").strip().partition(" ")
    if kind not in KINDS or scope.strip() not in ("", *SCOPES):
        raise ValueError(
            f"expected one of {', '.join(KINDS)}, and then perhaps one of {', '.join(SCOPES)} (such as: person study)"
        )
    return kind, scope.strip() or None


def _statuses(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError("expected statuses and judgements, such as A77x: person")
    checked: dict[str, str] = {}
    for key, judgement in value.items():
        if not isinstance(key, str):
            raise ValueError('write a status of digits alone in quotes, such as "0110"')
        code = key if key in WORDS else key.upper().replace("X", "x")
        if key not in WORDS and (len(code) != 4 or not _STATUS.fullmatch(code.upper())):
            raise ValueError(f"{key[:20]!r} is no status: expected such as A700 or A77x, or {', '.join(WORDS)}")
        if not isinstance(judgement, str):
            raise ValueError("expected a judgement such as temporary or person study")
        kind, scope = parse_judgement(judgement)
        checked[code] = f"{kind} {scope}" if scope else kind
    return checked


Window = Annotated[str, AfterValidator(_hours)]
Statuses = Annotated[dict[str, str], BeforeValidator(_statuses)]
