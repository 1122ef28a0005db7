"""Which DIMSE statuses a service answers, read from its source: each ``refuse(statuses.X, "comment")`` is one row.

Keeps nothing. What stands between braces in a comment is only known when it is said. An answer whose status is not
written as ``statuses.X`` cannot be read here; what raises it (``IdentifierError``) is read instead.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kuva_gateway.dicom import statuses

PACKAGE = Path(statuses.__file__).resolve().parent.parent
SAID_BY = frozenset({"refuse", "IdentifierError"})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Said:
    """One answer: its status, and the Error Comment (0000,0902) that tells why."""

    status: int
    comment: str


def said(files: Sequence[str]) -> list[Said]:
    """The answers of some files of the package, each once, by status."""
    found = set()
    for name in files:
        tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            texts = _texts(function.body)
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                known = isinstance(call.func, ast.Name) and call.func.id in SAID_BY and len(call.args) > 1
                code = _code(call.args[0]) if known else None
                if code is not None:
                    words = _words(call.args[1], {**_texts(tree.body), **texts})
                    found |= {Said(status=code, comment=one) for one in words}
    return sorted(found)


def _code(node: ast.expr) -> int | None:
    """The status of ``statuses.X``."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "statuses":
        found: int = getattr(statuses, node.attr)
        return found
    return None


def _texts(body: Sequence[ast.stmt]) -> dict[str, list[ast.expr]]:
    """What is assigned to each name in some statements, wherever inside them."""
    found: dict[str, list[ast.expr]] = {}
    for statement in body:
        inner = ast.walk(statement) if not isinstance(statement, ast.FunctionDef | ast.ClassDef) else ()
        for node in inner:
            for target in node.targets if isinstance(node, ast.Assign) else ():
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return found


def _words(node: ast.expr, texts: Mapping[str, Sequence[ast.expr]]) -> Iterator[str]:
    """What a comment may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield from _filled(node.values, texts)
    elif isinstance(node, ast.IfExp):
        yield from _words(node.body, texts)
        yield from _words(node.orelse, texts)
    elif isinstance(node, ast.Name) and node.id in texts:
        for one in texts[node.id]:
            yield from _words(one, texts)
    else:
        yield "..."


def _filled(parts: Sequence[ast.expr], texts: Mapping[str, Sequence[ast.expr]]) -> Iterator[str]:
    """A comment with what is filled in: words where the source has them, else three dots."""
    if not parts:
        yield ""
        return
    first, *rest = parts
    inner = first.value if isinstance(first, ast.FormattedValue) else first
    begins = list(_words(inner, texts)) if isinstance(inner, ast.Constant | ast.Name) else ["..."]
    for begin in begins or ["..."]:
        for end in _filled(rest, texts):
            yield begin + end
