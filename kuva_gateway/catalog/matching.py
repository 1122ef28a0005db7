"""Matching of one key against its column, as SQL (PS3.4 C.2.2.2). Every value is bound; wildcards are quoted.

The same rules on both databases: SQLite's GLOB and PostgreSQL's LIKE are both told to compare letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from kuva_gateway.catalog.attributes import Attribute, Kind
from kuva_gateway.catalog.visibility import Condition, one_of
from kuva_gateway.dicom.identifier import MOST_VALUES, Value
from kuva_gateway.dicom.names import date_key, is_ideographic, name_keys, time_key

LONGEST = 1024
"""Characters of a key that is no list; the standard's own limit is 64 for most VRs, 324 for a name."""
MOST_WORDS = 100
"""Values of a key that is matched with what a study lists: each is a condition of its own."""

_LISTED = frozenset({Kind.UID, Kind.CODE, Kind.CODES, Kind.CLASSES})
_WILD = re.compile(r"[*?]")
_STARS = re.compile(r"\*{2,}")
_SPECIAL = re.compile(r"([\\%_])")


class WrongKeyError(ValueError):
    """A key's value is none that its VR can have."""


def is_universal(value: Value) -> bool:
    """Whether a key matches everything: empty, or nothing but ``*`` (PS3.4 C.2.2.2.3); items likewise."""
    if isinstance(value, str):
        return not value.strip("*")
    return all(is_universal(member) for item in value for member in item.values())


def match(attribute: Attribute, value: Value, *, postgresql: bool, accents: bool) -> Condition:
    """The condition that a key that is not universal puts on its column.

    ``accents``: names differ by them.

    Raises
    ------
    WrongKeyError
        The value is none that the VR can have.
    """
    kind, column = attribute.kind, attribute.column
    if kind is Kind.SEQUENCE:
        if not isinstance(value, tuple):
            raise WrongKeyError("a value where a sequence should be")
        return _sequence(attribute, value[0], postgresql)
    if not isinstance(value, str):
        raise WrongKeyError("a sequence where a value should be")
    if kind in _LISTED and not value.strip("\\"):  # values, and all of them empty
        return Condition(sql="1 = 1")
    if kind is Kind.UID:
        return one_of(column, _values(value, MOST_VALUES))
    if kind in (Kind.CLASSES, Kind.CODES):
        return _in_list(column, _values(value, MOST_WORDS), postgresql)
    if len(value) > LONGEST:
        raise WrongKeyError("the value is too long")
    if kind is Kind.CODE:
        return _any([text(column, one, postgresql) for one in value.split("\\") if one])
    if kind is Kind.NAME:
        return name(column, value, postgresql=postgresql, accents=accents)
    if kind is Kind.DATE:
        return _range(column, *date_range(value))
    if kind is Kind.NUMBER:
        return Condition(sql=f"{column} = ?", values=(value,))
    return text(column, value, postgresql)


def _values(value: str, most: int) -> list[str]:
    values = [one for one in value.split("\\") if one]
    if len(values) > most:
        raise WrongKeyError(f"more than {most} values: ask in parts")
    return values


def text(column: str, value: str, postgresql: bool) -> Condition:
    """Single value or wildcard, letter by letter (PS3.4 C.2.2.2.1, C.2.2.2.4)."""
    if not _WILD.search(value):
        return Condition(sql=f"{column} = ?", values=(value,))
    return wildcard(column, value, postgresql)


def wildcard(column: str, pattern: str, postgresql: bool) -> Condition:
    """``*`` is any number of characters, ``?`` is one, every other character is itself."""
    pattern = _STARS.sub("*", pattern)
    if postgresql:
        pattern = _SPECIAL.sub(r"\\\1", pattern).replace("*", "%").replace("?", "_")
        return Condition(sql=f"{column} LIKE ? ESCAPE '\\'", values=(pattern,))
    return Condition(sql=f"{column} GLOB ?", values=(pattern.replace("[", "[[]"),))


def matches(key: str, value: str) -> bool:
    """The same as :func:`text`, of a value at hand, in time that does not grow with the number of wildcards."""
    return key == value if not _WILD.search(key) else fnmatchcase(value, key.replace("[", "[[]"))


# -- names ------------------------------------------------------------------------------------------------------------


def name(column: str, value: str, *, postgresql: bool, accents: bool) -> Condition:
    """A name, without case, component by component; each group of the key by itself (PS3.4 C.2.2.2.1).

    A key of one group in Chinese, Japanese or Korean characters is looked for in every group of the name.
    """
    groups = value.split("=")
    if column != "s.patient_name":
        return text("s.referring_key", name_keys(groups[0]).folded, postgresql)
    conditions = []
    if len(groups) == 1 and is_ideographic(value):
        key = name_keys(value).accented or name_keys(value).folded
        ways = [text("s.name_key", key, postgresql)]
        ways += [wildcard("s.name_other", pattern, postgresql) for pattern in (key, f"{key}=*", f"*={key}")]
        return _any(ways)
    if groups[0].strip("*^ "):
        keys = name_keys(groups[0])
        conditions.append(_alphabetic(keys.folded, postgresql))
        if accents:
            exact = "CASE WHEN s.name_accents = '' THEN s.name_key ELSE s.name_accents END"
            conditions.append(text(exact, keys.accented or keys.folded, postgresql))
    others = [name_keys(group).accented or name_keys(group).folded or "*" for group in groups[1:3]]
    if len(others) > 1 and not others[1].strip("*"):
        others.pop()
    if any(other.strip("*") for other in others):
        pattern = "=".join(others) + ("=" if len(others) > 1 else "=*")
        conditions.append(wildcard("(s.name_other || '=')", pattern, postgresql))
    return _all(conditions)


def _alphabetic(key: str, postgresql: bool) -> Condition:
    """The condition on ``s.name_key``, with the range that an index can use where a pattern begins with letters."""
    condition = text("s.name_key", key, postgresql)
    prefix = prefix_of(key)
    if not prefix or not _WILD.search(key):
        return condition
    after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    least, below = ("~>=~", "~<~") if postgresql else (">=", "<")
    return Condition(sql=f"s.name_key {least} ? AND s.name_key {below} ?", values=(prefix, after)) & condition


def prefix_of(pattern: str) -> str:
    """What every match of the pattern begins with; "" when its last letter has no follower."""
    prefix = _WILD.split(pattern, maxsplit=1)[0]
    return "" if prefix and ord(prefix[-1]) >= 0xD7FF else prefix


def trigrams_of(value: str) -> tuple[str, ...]:
    """Three letters each that the alphabetic group of every match holds; () when the pattern is too short."""
    group = value.split("=", maxsplit=1)[0]
    if is_ideographic(value):
        return ()
    runs = [run for run in _WILD.split(name_keys(group).folded) if len(run) >= 3]
    found = dict.fromkeys(run[at : at + 3] for run in runs for at in range(len(run) - 2))
    return tuple(found)


# -- dates and times --------------------------------------------------------------------------------------------------


def date_range(value: str) -> tuple[str, str]:
    """First and last date of a DA key as eight digits; "" where it is open (PS3.4 C.2.2.2.5.1)."""
    return _bounds(value, lambda one, _: date_key(one))


def time_range(value: str) -> tuple[str, str]:
    """First and last moment of a TM key as twelve digits: ``1015`` is the whole minute (PS3.4 C.2.2.2.5.2)."""
    return _bounds(value, time_key)


def _bounds(value: str, key: Callable[[str, str], str]) -> tuple[str, str]:
    first, dash, last = (part.strip(" ") for part in value.partition("-"))
    last = last if dash else first
    low, high = key(first, "0"), key(last, "9")
    if (first and not low) or (last and not high) or not (low or high):
        raise WrongKeyError("not a date, a time or a range of them")
    return low, high


def _range(column: str, low: str, high: str) -> Condition:
    if low == high:
        return Condition(sql=f"{column} = ?", values=(low,))
    conditions = [Condition(sql=f"{column} <> ''")]
    conditions += [Condition(sql=f"{column} >= ?", values=(low,))] if low else []
    conditions += [Condition(sql=f"{column} <= ?", values=(high,))] if high else []
    return _all(conditions)


def moment(column: str, date: str, time: str, *, combined: bool) -> Condition:
    """Keys for a date and its time: each by itself, or as one moment where that was negotiated (C.2.2.2.5.4).

    ``date`` or ``time`` "" are universal.
    """
    days = date_range(date) if date else ("", "")
    hours = time_range(time) if time else ("", "")
    if combined and date and time:
        first = (days[0] or "00000001") + (hours[0] if days[0] else "")
        last = days[1] + (hours[1] or "235959999999") if days[1] else "99999999"
        return Condition(sql=f"{column} >= ? AND {column} <= ?", values=(first, last))
    conditions = []
    if date:
        conditions.append(Condition(sql=f"{column} >= ?", values=(days[0] or "00000001",)))
        if days[1]:
            conditions.append(Condition(sql=f"{column} < ?", values=(str(int(days[1]) + 1).zfill(8),)))
    if time:
        part = f"SUBSTR({column}, 9)"
        conditions.append(_range(part, *hours))
    return _all(conditions)


# -- lists ------------------------------------------------------------------------------------------------------------


def _in_list(column: str, values: Sequence[str], postgresql: bool) -> Condition:
    """The column is a JSON list of words, and one of the key's values is among them."""
    each = f"JSON_ARRAY_ELEMENTS_TEXT({column}::json)" if postgresql else f"JSON_EACH({column})"
    conditions = []
    for one in values:
        if _WILD.search(one) or not one.isalnum():
            inner = text("c.value", one, postgresql)
            sql = f"EXISTS (SELECT 1 FROM {each} AS c WHERE {inner.sql})"
            conditions.append(Condition(sql=sql, values=inner.values))
        else:  # the same, ten times as quick
            conditions.append(wildcard(column, f'*"{one}"*', postgresql))
    return _any(conditions)


def _sequence(attribute: Attribute, item: Mapping[int, Value], postgresql: bool) -> Condition:
    """The column is a JSON list of lists, and one of those matches every member's key (PS3.4 C.2.2.2.6)."""
    conditions = []
    for place, (tag, _vr) in enumerate(attribute.members):
        key = item.get(tag, "")
        if isinstance(key, str) and not is_universal(key):
            if len(key) > LONGEST:
                raise WrongKeyError("the value is too long")
            member = f"(c.value ->> {place})" if postgresql else f"JSON_EXTRACT(c.value, '$[{place}]')"
            conditions.append(text(member, key, postgresql))
    if not conditions:
        return Condition(sql="1 = 1")
    each = f"JSON_ARRAY_ELEMENTS({attribute.column}::json)" if postgresql else f"JSON_EACH({attribute.column})"
    inner = _all(conditions)
    return Condition(sql=f"EXISTS (SELECT 1 FROM {each} AS c WHERE {inner.sql})", values=inner.values)


def _any(conditions: list[Condition]) -> Condition:
    if len(conditions) == 1:
        return conditions[0]
    values = tuple(value for one in conditions for value in one.values)
    return Condition(sql=f"({' OR '.join(f'({one.sql})' for one in conditions) or '1 = 0'})", values=values)


def _all(conditions: list[Condition]) -> Condition:
    found = conditions[0] if conditions else Condition(sql="1 = 1")
    for one in conditions[1:]:
        found &= one
    return found
