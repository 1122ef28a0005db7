"""How people write durations (``60s``, ``2h``, ``30d``) and sizes (``5GiB``, ``512kB``) in the configuration."""

from __future__ import annotations

import re
from math import inf
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_MOST = 2.0**53  # seconds or bytes; whole numbers up to here are floats without loss
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def parse_duration(value: Any) -> float:
    """Seconds meant by ``value``: a number of seconds, or a number with ms, s, m, h, d or w.

    Raises
    ------
    ValueError
        It is no duration, or a negative one.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("a duration is not negative")
        return _bounded(value, 1)
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in _SECONDS:
        raise ValueError("expected a duration such as 500ms, 60s, 5m, 2h or 30d")
    return _bounded(match[1], _SECONDS[match[2]])


def parse_size(value: Any) -> int:
    """Bytes meant by ``value``: a whole number of bytes, or a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB.

    Raises
    ------
    ValueError
        It is no size, or a negative one.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("a size is not negative")
        if value > _MOST:
            raise ValueError("expected a smaller number")
        return value
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in _BYTES:
        raise ValueError("expected a size such as 512kB, 256MiB or 5GiB")
    return int(_bounded(match[1], _BYTES[match[2]]))


def _bounded(value: str | float, unit: float) -> float:
    """So many units; raises ValueError for more than anybody means, and for what is no number at all (``.nan``)."""
    try:
        found = float(value) * unit
    except OverflowError:
        found = inf
    if not found <= _MOST:
        raise ValueError("expected a smaller number")
    return found


def parse_share(value: Any) -> float:
    """A share of the whole between 0 and 1, written as ``20%``.

    Raises
    ------
    ValueError
        It is no percentage between 0 % and 100 %.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
    if match is None or float(match[1]) > 100:
        raise ValueError("expected a percentage such as 20%")
    return float(match[1]) / 100


def write_duration(seconds: float) -> str:
    """``seconds`` in the largest unit that divides it evenly."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return "0s" if seconds == 0 else f"{round(seconds * 1000)}ms"


def write_size(size: int) -> str:
    """``size`` in the largest binary unit that divides it evenly."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def write_share(share: float) -> str:
    """``share`` as a percentage."""
    return f"{share * 100:g}%"


Duration = Annotated[
    float, BeforeValidator(parse_duration), PlainSerializer(write_duration, return_type=str, when_used="json")
]
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(write_size, return_type=str, when_used="json")]
Share = Annotated[float, BeforeValidator(parse_share), PlainSerializer(write_share, return_type=str, when_used="json")]
