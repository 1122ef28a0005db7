"""Reading the configuration file: YAML with line numbers in, a :class:`Configuration` or all faults at once out."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Set
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from kuva_gateway.config.model import Configuration
from kuva_gateway.errors import ConfigurationError, Problem

DEFAULT_PATH = Path("/etc/kuva-gateway/kuva-gateway.yaml")
ENVIRONMENT_VARIABLE = "KUVA_GATEWAY_CONFIG"
_MAXIMUM_SIZE = 4 * 2**20
_MOST_VALUES = 200_000  # aliases of aliases may stand for any number

_Place = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)


def locate(option: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Which file to read: ``--config``, else ``KUVA_GATEWAY_CONFIG``, else ``/etc/kuva-gateway/kuva-gateway.yaml``."""
    return Path(option or environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_PATH)


def load(path: Path) -> Configuration:
    """Read and check the file at ``path``.

    Raises
    ------
    ConfigurationError
        The file cannot be read, is no YAML, or has unknown or wrong keys; every fault with its line.
    """
    return parse(read(path), path)


def read(path: Path) -> bytes:
    """The bytes of the file at ``path``, at most 4 MiB; raises ConfigurationError."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_MAXIMUM_SIZE + 1)
    except OSError as error:
        raise ConfigurationError(str(path), [Problem(line=None, key="", message=f"{error.strerror}")]) from None
    if len(text) > _MAXIMUM_SIZE:
        raise ConfigurationError(str(path), [Problem(line=None, key="", message="larger than 4 MiB")])
    return text


def parse(text: bytes | str, path: Path) -> Configuration:
    """Check ``text`` as the content of the file at ``path``, whose folder relative paths are seen from.

    Raises
    ------
    ConfigurationError
        As :func:`load` says.
    """
    configuration = validate(text, path, Configuration)
    state = (path.parent / configuration.state_directory.expanduser()).resolve()
    return configuration.model_copy(update={"state_directory": state})


def validate(text: bytes | str, path: Path, model: type[M]) -> M:
    """``text``, the content of the YAML file at ``path``, as a ``model``.

    Raises
    ------
    ConfigurationError
        It is no YAML, or has unknown or wrong keys; every fault with its line.
    """
    lines: dict[_Place, int] = {}
    problems: list[Problem] = []
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = _plain(root, (), lines, problems) if root is not None else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        reason = getattr(error, "problem", None) or "it is no YAML"
        raise ConfigurationError(str(path), [Problem(line=line, key="", message=str(reason))]) from None
    except (UnicodeError, ValueError, LookupError, RecursionError):  # Lookup: a tag such as !!bool before another word
        raise ConfigurationError(str(path), [Problem(line=None, key="", message="it is no YAML text")]) from None
    if not isinstance(data, dict):
        raise ConfigurationError(str(path), [Problem(line=1, key="", message="expected keys and values")])
    checked: M | None = None
    try:
        checked = model.model_validate(data)
    except ValidationError as error:
        words = {part for place in lines for part in place}
        problems += list(dict.fromkeys(_problem(fault, lines, words) for fault in error.errors()))
    if problems or checked is None:
        raise ConfigurationError(str(path), sorted(problems, key=lambda p: (p.line or 0, p.key)))
    return checked


def _plain(node: yaml.Node, place: _Place, lines: dict[_Place, int], problems: list[Problem]) -> Any:
    """The Python value of ``node``, noting the line of each place and every key that stands twice."""
    lines.setdefault(place, node.start_mark.line + 1)
    if len(lines) > _MOST_VALUES:
        why = f"more than {_MOST_VALUES} values, aliases counted as often as they stand"
        raise yaml.constructor.ConstructorError(None, None, why, node.start_mark)
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key is plain text", key_node.start_mark)
            inner = (*place, key if isinstance(key, str) else str(key))
            if key in result:
                line = key_node.start_mark.line + 1
                problems.append(Problem(line=line, key=_dotted(inner), message="stands twice"))
            lines[inner] = key_node.start_mark.line + 1
            result[key] = _plain(value_node, inner, lines, problems)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*place, index), lines, problems) for index, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    """The value of a scalar by YAML's safe rules (dates stay text: no key of ours is a date)."""
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, "a key is plain text", node.start_mark)
    if node.tag == "tag:yaml.org,2002:timestamp":
        return node.value
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    finally:
        loader.dispose()


def _problem(fault: Any, lines: Mapping[_Place, int], words: Set[str | int]) -> Problem:
    """One of pydantic's errors as a person reads it: line, key, what is expected."""
    place = tuple(part for part in fault["loc"] if part in words or isinstance(part, int))
    missing = fault["type"] == "missing"
    place = tuple(fault["loc"]) if missing else place
    line = next((lines[place[:size]] for size in range(len(place), -1, -1) if place[:size] in lines), None)
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"].startswith("ip_v"):
        message = "expected a network such as 10.1.0.0/16"
    elif fault["type"] == "extra_forbidden":
        message = "unknown key"
    elif missing:
        message = "must be written"
        line = line if len(place) > 1 else None
    return Problem(line=line, key=_dotted(place), message=message)


def _dotted(place: _Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
