"""The plot: a panel for each case, a bar for each receiver, its ends the fastest and the slowest round.

A ratio in red, with an exclamation mark, is below its floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .gateway import is_gateway
from .processes import Stopped
from .report import group_title
from .summary import Block, Row

GATEWAY_COLOUR, PEER_COLOUR, LINE_COLOUR, MISSED_COLOUR = "#1f6f8b", "#b8bcc2", "#444444", "#b3261e"
COLUMNS = 3
PANEL = (4.4, 0.34, 0.75)  # width, height per bar, height of the rest of a panel; inches
TITLE_WIDTH = 7.0


def draw(blocks: Sequence[Block], path: Path, *, sender: str = "nodelay", transport: str = "plain") -> None:
    """Draw the cases of one way of sending into ``path`` (SVG or PNG, by its suffix); Stopped without matplotlib."""
    blocks = [block for block in blocks if (block.case.sender, block.case.transport) == (sender, transport)]
    if not blocks:
        raise Stopped(f"no results for {sender} {transport} to draw")
    try:
        import matplotlib
    except ImportError:
        raise Stopped("drawing needs matplotlib: .venv/bin/pip install '.[plot]'") from None
    matplotlib.use("agg")
    # Text stays text, and the same figures give the same file.
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "kuva", "font.size": 9}
    from matplotlib import pyplot

    width, per_bar, rest = PANEL
    lines = -(-len(blocks) // COLUMNS)
    columns = min(COLUMNS, len(blocks))
    height = lines * (max(len(block.rows) for block in blocks) * per_bar + rest) + 0.5
    size = (max(width * columns, TITLE_WIDTH), height)
    figure, axes = pyplot.subplots(lines, columns, figsize=size, squeeze=False)
    for place in range(lines * columns):
        panel = axes[place // columns][place % columns]
        if place < len(blocks):
            _panel(panel, blocks[place])
        else:
            panel.axis("off")
    commits = ", ".join(dict.fromkeys(block.commit for block in blocks))
    figure.suptitle(f"Seconds to receive, by {group_title(blocks[0].case)} (commit {commits})")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, metadata=metadata)
    pyplot.close(figure)


def _label(row: Row) -> str:
    if row.ratio is None:
        return f" {row.seconds:.2f}"
    return f" {row.seconds:.2f}  ({row.ratio:.2f} x)" + (" !" if row.missed else "")


def _panel(panel: Any, block: Block) -> None:
    rows = list(reversed(block.rows))
    seconds = [row.seconds for row in rows]
    ends = [[row.seconds - row.fastest for row in rows], [row.slowest - row.seconds for row in rows]]
    colours = [GATEWAY_COLOUR if is_gateway(row.receiver) else PEER_COLOUR for row in rows]
    places = range(len(rows))
    panel.barh(places, seconds, xerr=ends, color=colours, ecolor=LINE_COLOUR, capsize=2)
    for place, row in zip(places, rows, strict=True):
        colour = MISSED_COLOUR if row.missed else LINE_COLOUR
        panel.text(row.slowest, place, _label(row), va="center", fontsize=8, color=colour)
    panel.set_yticks(places, [row.receiver for row in rows])
    panel.set_xlim(0, max(row.slowest for row in rows) * 1.6)
    panel.set_title(f"{block.title}, {block.case.associations} at once", fontsize=9)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
