"""Writes docs/configuration.rst: types and defaults from the model, meanings from the shipped file's comments.

``--check`` only compares. Stops with an error where a key has no meaning: then conf/kuva-gateway.yaml lacks a comment.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import generated
import shipped_comments
from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from kuva_gateway.config import archive, delivery, kinds, model, units
from kuva_gateway.config.changes import NEEDS_RESTART

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "configuration.rst"
SHIPPED = ROOT / "conf" / "kuva-gateway.yaml"
WIDTH = 118
HEAD = """\
=============
Configuration
=============

Written by ``scripts/make-configuration-doc`` from the model that reads the file and from the comments of the file that
is shipped, ``conf/kuva-gateway.yaml``; do not edit.

One file in YAML, ``/etc/kuva-gateway/kuva-gateway.yaml`` unless ``--config PATH`` or ``KUVA_GATEWAY_CONFIG`` names
another one. Only ``environment`` has to be written; a key that is left out has its default. An unknown key is a fault.
``kuva-gateway config check`` names every fault with its line, ``config show`` prints what is in force, ``config
reload`` lets a running gateway take a changed file on (``docs/reload.rst``). What *needs a restart* counts from the
next start.

=============  =========================================================================================================
type           how it is written
=============  =========================================================================================================
duration       a number and its unit: ``500ms``, ``60s``, ``5m``, ``2h``, ``30d``, ``1w``; without a unit seconds
size           a number of bytes and its unit: ``512kB``, ``256MiB``, ``5GiB``; without a unit bytes
share          a percentage: ``20%``
schedule       steps of how often x how long: ``5x1m,12x5m,48x1h``; the last step repeats
path           absolute, or relative to ``state_directory`` (that one: to the folder of the file)
name           1 to 32 of ``a-z``, ``0-9``, ``-`` and ``_``; how listings, logs and figures call a peer or destination
AE title       1 to 16 ASCII characters, no backslash (PS3.5 6.2)
OID, UID       digits and dots (PS3.5 9)
severity       ``refuse``, ``hold``, ``warning``, ``info`` or ``off`` (docs/rules.rst)
list           ``[one, other]``, or a line ``- one`` for each
mapping        ``{key: value}``, or a line ``key: value`` for each
=============  =========================================================================================================
"""
TITLES: Mapping[Any, str] = {
    units.Duration: "duration", units.Size: "size", units.Share: "share", kinds.AeTitle: "AE title", kinds.Oid: "OID",
    kinds.Name: "name", kinds.Port: "port (1 to 65535)", kinds.RetrySchedule: "schedule",
    kinds.Rules: "mapping of rule ids to severities", archive.Uid: "UID", archive.CodePattern: "pattern of codes",
    archive.Modality: "modality", delivery.Window: "hours", delivery.Statuses: "mapping of statuses to judgements",
    Path: "path", str: "text", int: "number", bool: "true or false",
}  # fmt: skip
WRITERS: Mapping[Any, Callable[[Any], str]] = {
    units.Duration: units.write_duration, units.Size: units.write_size, units.Share: units.write_share,
}  # fmt: skip
PLURALS = {"modality": "modalities", "text": "texts", "path": "paths"}


class Undescribed(Exception):
    """A key without words in conf/kuva-gateway.yaml."""


def is_section(hint: Any) -> bool:
    """Whether a type is a mapping with keys of its own."""
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def known_type(hint: Any) -> Any:
    """The named type that ``hint`` is, also with further conditions; None for others."""
    beginning = (get_args(hint) if get_origin(hint) is Annotated else (hint,))[:2]
    for known in TITLES:
        if hint == known or (get_origin(known) is Annotated and get_args(known)[:2] == beginning):
            return known
    return None


def type_name(hint: Any) -> str:
    """A type in the words of the page's first table."""
    known = known_type(hint)
    if known is not None:
        title = TITLES[known]
        return title if hint == known else f"{title}{bounds(hint, title)}"
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"{type_name(arguments[0])}{bounds(hint, '')}"
    if origin is Literal:
        return " | ".join(f"``{one}``" for one in arguments)
    if origin in (Union, UnionType):
        named = [type_name(one) for one in arguments if one is not NoneType]
        return " or ".join(dict.fromkeys([*named, *(["null"] if NoneType in arguments else [])]))
    if origin in (tuple, frozenset):
        inner = type_name(arguments[0])
        return f"list of {inner.replace(' | ', ', ') if '`' in inner else PLURALS.get(inner, f'{inner}s')}"
    if origin is dict:
        return f"mapping of {type_name(arguments[0])} to {type_name(arguments[1])}"
    return "network" if getattr(hint, "__name__", "").endswith("Network") else str(hint)


def limits(arguments: tuple[Any, ...]) -> Iterator[Any]:
    """The single conditions of an annotated type."""
    for one in arguments[1:]:
        yield from one.metadata if isinstance(one, FieldInfo) else [one]


def bounds(hint: Any, name: str) -> str:
    """A range in words, in the type's own unit."""
    conditions = list(limits(get_args(hint)))
    low = next((one.ge for one in conditions if isinstance(one, Ge)), None)
    high = next((one.le for one in conditions if isinstance(one, Le)), None)
    write: Callable[[Any], str] = {"size": units.write_size, "duration": units.write_duration}.get(name, str)
    if low is not None and high is not None:
        return f" ({write(low)} to {write(high)})"
    return f" (at least {write(low)})" if low is not None else ""


def default_of(hint: Any, field: FieldInfo) -> str:
    """A default as the file writes it."""
    if field.default is PydanticUndefined:
        return "**must be written**"
    return f"default ``{written(hint, field.default)}``"


def written(hint: Any, value: Any) -> str:
    """A value as the file writes it."""
    write = WRITERS.get(known_type(hint))
    if write is not None:
        return write(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | frozenset):
        return f"[{', '.join(map(str, sorted(value)))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {one}" for key, one in value.items()) + "}"
    return str(value.value if isinstance(value, Enum) else value) or '""'


def prose(text: str, values: Collection[str] = ()) -> str:
    """Words of a comment as reStructuredText: a capital at the beginning unless that is a value, a full stop."""
    marked = re.sub(r"(?<![`\w])(docs/[a-z0-9/-]+\.rst|conf/[a-z-]+\.yaml)", r"``\1``", text)
    marked = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", marked)
    parts = re.split(r"(``.+?``)", marked)
    parts[::2] = [re.sub(r"([*|\\])", r"\\\1", part) for part in parts[::2]]
    plain = "".join(parts)
    first = re.match(r"[a-z_]*", plain)
    if first is not None and first[0] not in {"null", *values}:
        plain = plain[:1].upper() + plain[1:]
    return plain + ("" if plain.endswith((".", ":")) else ".")


def wrapped(text: str, indent: str = "") -> str:
    """Lines that fit."""
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def inner_section(hint: Any) -> tuple[type[BaseModel], bool] | None:
    """The section that a key holds, and whether it holds a list of them."""
    if is_section(hint):
        return hint, False
    for one in get_args(hint):
        if is_section(one):
            return one, get_origin(hint) is tuple
    return None


class Page:
    """Collects the page, section by section."""

    def __init__(self) -> None:
        self.comments = shipped_comments.read(SHIPPED.read_text(encoding="utf-8"))
        self.parts = [HEAD.rstrip("\n")]

    def render(self) -> str:
        """The whole page."""
        hints = get_type_hints(model.Configuration, include_extras=True)
        general, lists = [], []
        for name, field in model.Configuration.model_fields.items():
            (lists if inner_section(hints[name]) else general).append((name, hints[name], field))
        self._title("The gateway itself")
        for name, hint, field in general:
            self._key(name, hint, field, self._meaning(name))
        for name, hint, _ in lists:
            self._section(name, *(inner_section(hint) or ()))
        return "\n\n".join(self.parts) + "\n"

    def _title(self, title: str) -> None:
        self.parts.append(f"{title}\n{'=' * len(title)}")

    def _section(self, name: str, section: type[BaseModel], is_list: bool) -> None:
        self._title(name)
        told, by_key = shipped_comments.split(self.comments.sections[name], list(section.model_fields))
        told = told.removesuffix("Every key of a peer, with its default where it has one:").rstrip()
        told = told.removesuffix("Every key of a destination, with its default where it has one:").rstrip()
        if is_list:
            told = f"A list. {told}"
        if told:
            self.parts.append(wrapped(prose(told)))
        self._keys(name, section, by_key)

    def _keys(self, place: str, section: type[BaseModel], by_key: Mapping[str, str]) -> None:
        hints = get_type_hints(section, include_extras=True)
        for name, field in section.model_fields.items():
            path, hint = f"{place}.{name}", hints[name]
            inner = inner_section(hint)
            if inner is None or get_origin(hint) is tuple:
                self._key(path, hint, field, by_key.get(name) or self._meaning(path))
                continue
            words = by_key.get(name) or self.comments.keys.get(path)
            if words:
                kind = "a mapping" + (" or null; default ``null``" if NoneType in get_args(hint) else "")
                self.parts.append(f"``{path}``: {kind}\n{wrapped(prose(words), '    ')}\n\n{self._brief(inner[0])}")
            else:
                self._keys(path, inner[0], {})

    def _brief(self, section: type[BaseModel]) -> str:
        """The keys of a mapping that is explained as a whole."""
        hints = get_type_hints(section, include_extras=True)
        lines = []
        for name, field in section.model_fields.items():
            inner = inner_section(hints[name])
            if inner is None:
                lines.append(f"``{name}``: {type_name(hints[name])}; {default_of(hints[name], field)}")
            else:
                lines.append(f"``{name}``: a mapping of {', '.join(f'``{key}``' for key in inner[0].model_fields)}")
        return "\n".join(textwrap.indent(wrapped(f"- {line}").replace("\n", "\n  "), "    ") for line in lines)

    def _meaning(self, path: str) -> str:
        words = self.comments.keys.get(path) or self.comments.sections.get(path)
        if not words:
            raise Undescribed(f"{path} has no words in {SHIPPED.name}")
        return words

    def _key(self, path: str, hint: Any, field: FieldInfo, words: str) -> None:
        restart = "; *needs a restart*" if path in NEEDS_RESTART else ""
        shown = hint if not field.metadata or get_origin(hint) is Annotated else Annotated[hint, *field.metadata]
        values = re.findall(r"``(\w+)``", type_name(shown))
        head = f"``{path}``: {type_name(shown)}; {default_of(hint, field)}{restart}"
        self.parts.append(f"{head}\n{wrapped(prose(words, values), '    ')}")


def render() -> str:
    """The whole page."""
    return Page().render()


if __name__ == "__main__":
    sys.exit(generated.main(TARGET, render))
