"""Person names and moments as they are compared (PS3.5 6.2, PS3.4 C.2.2.2): without case, padding or, at will, accents.

Facts only; both sides of a comparison go through the same functions. Accents are taken from Latin letters alone: the
dots of Finnish and Swedish ä and ö are accents here, the marks of kana and of Cyrillic letters are letters' parts.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

LONGEST = 512
"""Characters of a name that are compared; the standard allows 64 in each of three groups."""

_LETTERS = str.maketrans({"ø": "o", "đ": "d", "ð": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})
_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6}))?")
_IDEOGRAPHS = re.compile("[\u1100-\u11ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef]")


class NameKeys(NamedTuple):
    """A name as it is searched."""

    folded: str
    """The alphabetic group (PS3.5 6.2.1.2), without case and accents, its components without padding."""
    accented: str
    """The same with its accents; "" when there are none."""
    other: str
    """The ideographic and phonetic groups, joined by ``=``; "" without them."""


@lru_cache(maxsize=4096)
def name_keys(name: str) -> NameKeys:
    """The keys of a PN value, or of a pattern for one."""
    if name.isascii() and "=" not in name:
        return NameKeys(_components(name.lower()), "", "")
    groups = [_components(unicodedata.normalize("NFC", group.casefold())) for group in name.split("=")]
    folded = fold(groups[0])
    return NameKeys(folded, groups[0] if groups[0] != folded else "", "=".join(groups[1:]).rstrip("="))


def fold(text: str) -> str:
    """``text`` without case, and without the accents of Latin letters."""
    text = text.casefold()
    if text.isascii():
        return text
    letters = []
    for letter in unicodedata.normalize("NFC", text.translate(_LETTERS)):
        parts = unicodedata.normalize("NFD", letter)
        letters.append(parts[0] if parts[0].isascii() else letter)
    return "".join(letters)


def is_ideographic(text: str) -> bool:
    """Whether there are Chinese, Japanese or Korean characters in it: such a key means the other groups, too."""
    return _IDEOGRAPHS.search(text) is not None


def _components(group: str) -> str:
    """Components without padding and without empty ones at the end (PS3.5 6.2, PN)."""
    return "^".join(part.strip(" ") for part in group[:LONGEST].split("^")).rstrip("^")


def date_key(date: str) -> str:
    """A DA value as eight digits, also in the form of ACR-NEMA (PS3.5 6.2, DA); "" when it is none."""
    digits = date.strip(" ").replace(".", "")
    return digits if _DATE.fullmatch(digits) else ""


def time_key(time: str, fill: str = "0") -> str:
    """A TM value as twelve digits, HHMMSSffffff; "" when it is none.

    ``fill`` stands for what is not said: ``0`` gives the first moment that is meant, ``9`` the last one.
    """
    match = _TIME.fullmatch(time.strip(" ").replace(":", ""))
    if match is None or (match[4] and not match[3]) or (match[3] and not match[2]):
        return ""
    least = "00" if fill == "0" else "59"
    return f"{match[1]}{match[2] or least}{match[3] or least}{(match[4] or '').ljust(6, fill)}"


def moment_key(date: str, time: str) -> str:
    """Date and time as one text that sorts by time: twenty digits, eight without a time, "" without both.

    A time without a date has the date 00000000.
    """
    day, hour = date_key(date), time_key(time)
    return (day or ("00000000" if hour else "")) + hour
