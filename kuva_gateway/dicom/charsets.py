"""Text out of bytes by (0008,0005) Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1.2).

Promises a text for any bytes and any character set, however wrong: a set that nobody knows is read as Latin-1, bytes
that are not of their set become U+FFFD. Code extensions (ISO 2022) are followed as far as the data set names them.
There are no NUL characters in what comes out of the functions for values: neither people nor databases can take them.
Text goes back into bytes only where that is safe: in plain ASCII, and in single-byte sets and UTF-8 as the initial set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_LATIN_1 = "latin-1"

_SINGLE_BYTE = {
    "6": _LATIN_1,
    "13": "shift_jis",
    "100": _LATIN_1,
    "101": "iso8859-2",
    "109": "iso8859-3",
    "110": "iso8859-4",
    "126": "iso8859-7",
    "127": "iso8859-6",
    "138": "iso8859-8",
    "144": "iso8859-5",
    "148": "iso8859-9",
    "166": "tis-620",
    "203": "iso8859-15",
}
"""ISO-IR number of the defined terms of PS3.3 table C.12-2 to the name of its codec; 13 is half of shift_jis."""

_EXTENSIONS = {"87": "iso2022_jp", "159": "iso2022_jp_2", "149": "euc_kr", "58": "gb2312"}
"""The same for the multi-byte sets that exist with code extensions only (PS3.3 table C.12-4)."""

_STANDALONE = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}
"""Sets without code extensions (PS3.3 table C.12-5)."""

_ODD_SPELLINGS = {"UTF-8": "utf-8", "UTF8": "utf-8", "ISO 2022 GBK": "gbk", "ISO 2022 58": "gb2312"}

_ESCAPES = {
    b"\x1b(B": _LATIN_1,
    b"\x1b-A": _LATIN_1,
    b"\x1b)I": "shift_jis",
    b"\x1b(J": "shift_jis",
    b"\x1b-B": "iso8859-2",
    b"\x1b-C": "iso8859-3",
    b"\x1b-D": "iso8859-4",
    b"\x1b-F": "iso8859-7",
    b"\x1b-G": "iso8859-6",
    b"\x1b-H": "iso8859-8",
    b"\x1b-L": "iso8859-5",
    b"\x1b-M": "iso8859-9",
    b"\x1b-T": "tis-620",
    b"\x1b-b": "iso8859-15",
    b"\x1b$B": "iso2022_jp",
    b"\x1b$(D": "iso2022_jp_2",
    b"\x1b$)C": "euc_kr",
    b"\x1b$)A": "gb2312",
}
"""Escape sequences of PS3.3 tables C.12-3 and C.12-4."""

_KEEPS_ITS_ESCAPE = frozenset({"iso2022_jp", "iso2022_jp_2"})
_TERM = re.compile(r"ISO.(2022.)?IR.?(\d+)")
_PARTS = re.compile(rb"\x1b?[^\x1b]+|\x1b")
_ENDS = {
    "line": re.compile(rb"[\t\n\f\r]"),
    "value": re.compile(rb"[\t\n\f\r\\]"),
    "name": re.compile(rb"[\t\n\f\r\\^=]"),
}
"""What brings the initial set back without an escape sequence, by the kind of text (PS3.5 6.1.2.5.3)."""
_PADDING = "\0 "

DEFAULT: tuple[str, ...] = (_LATIN_1,)
"""The codecs where no set is named: ASCII by the standard, read as Latin-1 because senders forget to name it."""


@lru_cache(maxsize=256)
def codecs_of(character_set: tuple[str, ...]) -> tuple[str, ...]:
    """Python's codecs for the values of Specific Character Set; never empty, the first is the initial one."""
    if not character_set:
        return DEFAULT
    first = _codec(character_set[0])
    if character_set[0] in _STANDALONE:
        return (first,)
    return (first, *(_codec(term) for term in character_set[1:] if term not in _STANDALONE))


def _codec(term: str) -> str:
    known = _STANDALONE.get(term) or _ODD_SPELLINGS.get(term.upper())
    if known is not None:
        return known
    match = _TERM.fullmatch(term)
    if match is None:
        return _LATIN_1
    number = match[2]
    return _SINGLE_BYTE.get(number) or _EXTENSIONS.get(number) or ("utf-8" if number == "192" else _LATIN_1)


def decode(value: bytes, codecs: tuple[str, ...], ends: str = "line") -> str:
    """``value`` as text, padding and all; see the promises at the head of this file.

    ``ends``: where the initial set comes back by itself. ``line`` (ST, LT, UT): at a line's end; ``value`` (SH, LO,
    UC): between values too; ``name`` (PN): between components and groups as well.
    """
    if b"\x1b" not in value:
        return value.decode(codecs[0], "replace")
    return "".join(_decode_part(part, codecs, _ENDS[ends]) for part in _PARTS.findall(value))


def _decode_part(part: bytes, codecs: tuple[str, ...], ends: re.Pattern[bytes]) -> str:
    """One stretch between escape sequences."""
    escape = part[: 4 if part.startswith((b"\x1b$(", b"\x1b$)")) else 3]
    codec = _ESCAPES.get(escape)
    if codec is None or (codec not in codecs and codec != _LATIN_1):
        return part.decode(codecs[0], "replace")
    if codec in _KEEPS_ITS_ESCAPE:
        return part.decode(codec, "replace")
    body = part[len(escape) :]
    end = ends.search(body)
    if end is None:
        return body.decode(codec, "replace")
    return body[: end.start()].decode(codec, "replace") + body[end.start() :].decode(codecs[0], "replace")


def text(value: bytes, codecs: tuple[str, ...]) -> str:
    """A text element's value (SH, LO, UC): decoded, each of its values without trailing padding, backslashes kept."""
    plain = value.isascii() and b"\x1b" not in value
    decoded = (value.decode("ascii") if plain else decode(value, codecs, "value")).rstrip(_PADDING)
    if "\\" in decoded:
        decoded = "\\".join(one.rstrip(_PADDING) for one in decoded.split("\\"))
    return clean(decoded)


def code_string(value: bytes) -> str:
    """A value of the default repertoire (CS, DA, TM, UI and the like): trailing padding removed, backslashes kept."""
    decoded = value.decode(_LATIN_1).rstrip(_PADDING)
    return decoded.replace("\0", "\ufffd") if "\0" in decoded else decoded


def number_string(value: bytes) -> str:
    """A number written as text (IS, DS): padding removed on both sides of each value."""
    decoded = value.decode(_LATIN_1).strip(_PADDING)
    return clean("\\".join(one.strip(_PADDING) for one in decoded.split("\\")))


def person_name(value: bytes, codecs: tuple[str, ...]) -> str:
    """A PN value, its component groups as they stand; only padding and empty groups at the end are removed."""
    decoded = decode(value.rstrip(b"\0 "), codecs, "name")
    if "\\" not in decoded:
        return clean(decoded.rstrip("="))
    return clean("\\".join(name.rstrip("=") for name in decoded.split("\\")))


def clean(decoded: str) -> str:
    """``decoded`` with U+FFFD in place of NUL characters that are no padding."""
    return decoded.replace("\0", "\ufffd") if "\0" in decoded else decoded


WIDENED = ("ISO_IR 100",)
"""What a data set without a character set gets for a text in Latin-1: its other bytes mean the same in it."""

_WRITTEN = {**{f"ISO_IR {number}": codec for number, codec in _SINGLE_BYTE.items() if number not in ("6", "13")}}
_WRITTEN |= {f"ISO 2022 IR {number}": codec for number, codec in _SINGLE_BYTE.items() if number not in ("6", "13")}
_WRITTEN["ISO_IR 192"] = "utf-8"
_UNNAMED = ((), ("ISO_IR 6",))


def encode(value: str, character_set: tuple[str, ...]) -> tuple[bytes, tuple[str, ...]]:
    """``value`` as bytes for a data set with this character set, and the character set that it then must name.

    Raises
    ------
    UnicodeEncodeError
        The set cannot hold it; an escape to another set is not tried.
    """
    if value.isascii():
        return value.encode("ascii"), character_set
    if character_set in _UNNAMED:
        return value.encode(_LATIN_1), WIDENED
    codec = _WRITTEN.get(character_set[0], "ascii")
    return value.encode(codec), character_set


def writable(value: str, character_set: tuple[str, ...]) -> bool:
    """Whether :func:`encode` can write it."""
    try:
        encode(value, character_set)
    except UnicodeEncodeError:
        return False
    return True


def choose_set(texts: Sequence[str], asked: tuple[str, ...]) -> tuple[str, str]:
    """Specific Character Set and codec for texts that are not all ASCII: one that the asker can read.

    The first of the asker's sets that holds them and needs no escape sequences; without one ISO_IR 100, which most
    take for granted here; ISO_IR 192 for what neither holds (PS3.4 C.4.1.1.3.2 lets the response differ from the
    request).
    """
    readable = tuple(filter(None, map(_without_extensions, asked))) or WIDENED
    for term in (*readable, "ISO_IR 192"):
        codec = codecs_of((term,))[0]
        try:
            for one in texts:
                one.encode(codec)
        except UnicodeEncodeError:
            continue
        return term, codec
    raise AssertionError("UTF-8 holds every text")


def _without_extensions(term: str) -> str:
    """The defined term of a set that can stand alone, for one of a request; "" when there is none (ASCII, Japanese).

    One that nobody knows stays: its asker reads Latin-1 in it as we do, or whatever the bytes were.
    """
    match = _TERM.fullmatch(term)
    if match is None:
        return term
    alone = f"ISO_IR {match[2]}"
    return alone if alone in _WRITTEN else ""
