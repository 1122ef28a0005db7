"""What conf/kuva-gateway.yaml says about each key, read from its comments.

Keeps nothing. A block of comment stands above a section (or above a key, and then also for the keys right below it).
In it ``key: words`` or ``key, other: words`` at the beginning of a sentence belongs to these keys, what stands before
to the section. Behind a value stands what belongs to its key, going on in the lines below; examples are read alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_KEY = re.compile(r"(?P<indent> *)(?P<dash>- )?(?P<key>[a-z_]+):(?: (?P<rest>.*))?$")
_REMARK = re.compile(r"(?:^|\s)#\s*(?P<text>.*)$")
_MARK = re.compile(r"(?:^|; )restart$")
_EXAMPLE = "#   "


@dataclass(slots=True)
class Comments:
    """Words by section, and by key (``listen.port``)."""

    sections: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)


def read(text: str) -> Comments:
    """The comments of a configuration file."""
    found = Comments()
    above: list[str] = []
    block = example = ""
    section = ""
    for line in text.splitlines():
        if line.startswith(_EXAMPLE):
            example += line[2:] + "\n"
        elif line.startswith("#"):
            above.append(line.removeprefix("#").strip())
        elif not line.strip():
            above, example = [], ""
        elif not line.startswith(" "):
            section = line.partition(":")[0]
            block = " ".join(above) or block
            found.sections[section] = block
            found.keys.update(_lines([line]))
            found.keys.update({f"{section}.{key}": words for key, words in _lines(example.splitlines())})
            above, example = [], ""
        else:
            found.keys.update({f"{section}.{key}": words for key, words in _lines([line])})
    return found


def split(text: str, keys: Iterator[str] | list[str]) -> tuple[str, dict[str, str]]:
    """A section's text: what stands before its keys, and what is said of each key."""
    names = "|".join(map(re.escape, keys))
    start = re.compile(rf"(?:^|(?<=[.;)] ))((?:{names})(?:, (?:{names}))*): ")
    parts = start.split(text)
    told: dict[str, str] = {}
    for named, words in zip(parts[1::2], parts[2::2], strict=True):
        told.update(dict.fromkeys(named.split(", "), words.strip()))
    return parts[0].strip(), told


def _lines(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Each key of some lines of YAML with the comment behind it, as a path by its indentation."""
    path: list[tuple[int, str]] = []
    words: list[str] = []
    for line in lines:
        match = _KEY.match(line)
        if match is None:
            words += [remark["text"] for remark in [_REMARK.search(line)] if remark]
            continue
        if path and words:
            yield ".".join(key for _, key in path), _clean(words)
        depth = len(match["indent"]) + len(match["dash"] or "")
        path = [*((place, key) for place, key in path if place < depth), (depth, match["key"])]
        remark = _REMARK.search(match["rest"] or "")
        words = [remark["text"]] if remark else []
    if path and words:
        yield ".".join(key for _, key in path), _clean(words)


def _clean(words: list[str]) -> str:
    """The words in one line, without the mark that a key needs a restart."""
    return _MARK.sub("", " ".join(words).strip())
