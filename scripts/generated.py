"""What the scripts share that write a file from the code: the writing, the comparing, and simple tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def main(target: Path, render: Callable[[], str]) -> int:
    """Write ``target``, or with ``--check`` say whether it is what would be written; the exit status."""
    made = render()
    if "--check" not in sys.argv[1:]:
        target.write_text(made, encoding="utf-8")
        return 0
    if target.exists() and target.read_text(encoding="utf-8") == made:
        return 0
    print(f"{target.name} is not what the code says: run {Path(sys.argv[0]).name}", file=sys.stderr)
    return 1


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A simple table of reStructuredText; a row's first cell must not be empty."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    heading, *lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    )
    return "\n".join([rule, heading, rule, *lines, rule])
