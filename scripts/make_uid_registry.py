"""Writes kuva_gateway/dicom/registry.py from the tables of pydicom and pynetdicom; ``--check`` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

import generated
from pydicom._uid_dict import UID_dictionary
from pynetdicom.presentation import AllStoragePresentationContexts

TARGET = Path(__file__).resolve().parent.parent / "kuva_gateway" / "dicom" / "registry.py"
HEAD = '''\
"""The names of the standard's SOP classes and transfer syntaxes (PS3.6 annex A).

Written by ``scripts/make-uid-registry`` from the tables of pydicom and pynetdicom; do not edit. A copy, because
importing either brings numpy with it, and a command that only looks at files would take half as long again.
"""

from __future__ import annotations

from typing import Final

'''


def text() -> str:
    """The module."""
    classes = {uid: title for uid, (title, kind, *_rest) in UID_dictionary.items() if kind == "SOP Class"}
    syntaxes = {uid: title for uid, (title, kind, *_rest) in UID_dictionary.items() if kind == "Transfer Syntax"}
    negotiated = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    unnamed = sorted(negotiated - {uid for uid, title in classes.items() if "Storage" in title})
    return (
        HEAD
        + table("SOP_CLASSES", classes)
        + "\n"
        + table("TRANSFER_SYNTAXES", syntaxes)
        + "\n".join(["", "FURTHER_STORAGE: Final = frozenset(", "    {"])
        + "".join(f"\n        {quoted(uid)}," for uid in unnamed)
        + "\n    }\n)\n"
        + '"""Storage SOP classes that are negotiated and whose name does not say so."""\n'
    )


def table(name: str, entries: dict[str, str]) -> str:
    """One dictionary, a line for each entry."""
    lines = [f"    {quoted(uid)}: {quoted(title)}," for uid, title in entries.items()]
    return "\n".join([f"{name}: Final[dict[str, str]] = {{", *(long(line) for line in lines), "}", ""])


def quoted(value: str) -> str:
    """A string as the formatter writes it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def long(line: str) -> str:
    """A line as it is; the linter is told of one that is too long."""
    return line if len(line) <= 120 else f"{line}  # noqa: E501"


if __name__ == "__main__":
    sys.exit(generated.main(TARGET, text))
