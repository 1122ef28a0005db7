"""The report: as text for a terminal, as JSON, and as reStructuredText for the docs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from .processes import Stopped
from .receivers import NOTES
from .results import Run
from .summary import Block, Row
from .workloads import Case

BEGIN, END = ".. figures begin (written by scripts/benchmark-receive --into)", ".. figures end"
SENDERS = {
    "nodelay": "storescu with TCP_NODELAY=1",
    "nagle": "storescu with Nagle's algorithm",
    "bare": "a bare sender",
}
TRANSPORTS = {"plain": "", "tls": ", TLS"}
HEADS = (
    "receiver", "rounds", "median s", "range s", "inst/s", "MB/s", "CPU s/1000", "sender's", "bytes", "gateway is", "",
)  # fmt: skip


def group_title(case: Case) -> str:
    """How it is sent, for the heading of a group of cases."""
    return SENDERS[case.sender] + TRANSPORTS[case.transport]


def ratio(row: Row) -> str:
    """``1.31 x``, or nothing for the gateway itself."""
    return "" if row.ratio is None else f"{row.ratio:.2f} x"


def against(row: Row) -> str:
    """The floor, the goal and what was reached: ``floor 1, goal 1.5: MISSED``."""
    if row.target is None:
        return ""
    return f"floor {row.target.floor:g}, goal {row.target.goal:g}: {row.verdict or 'not measured'}"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.receiver, str(row.rounds), f"{row.seconds:.2f}", f"{row.fastest:.2f} - {row.slowest:.2f}",
        f"{row.per_second:.0f}", f"{row.megabytes_per_second:.0f}", f"{row.receiver_cpu:.2f}", f"{row.sender_cpu:.2f}",
        "equal" if row.equal else "differ", ratio(row), against(row),
    )  # fmt: skip


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, numbers to the right."""
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(rows[0]))]
    lines = []
    for cells in rows:
        first, *rest = (cell.ljust(width) if not column or column == len(widths) - 1 else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(cells, widths, strict=True)))  # fmt: skip
        lines.append("  ".join([first, *rest]).rstrip())
    return lines


def missed(blocks: Iterable[Block]) -> list[str]:
    """A line for each floor that is missed."""
    return [
        f"{block.case}: {ratio(row)} against {row.receiver}, the floor is {row.target.floor:g} x"
        for block in blocks
        for row in block.rows
        if row.missed and row.target is not None
    ]


def told_conditions(blocks: Sequence[Block], runs: Sequence[Run]) -> list[str]:
    """What the newest run that is reported on was measured on, a line each."""
    commits = {block.commit for block in blocks}
    newest = max((run for run in runs if run.commit in commits), key=lambda run: run.started, default=None)
    if newest is None:
        return []
    load = statistics.median(one.load for one in newest.rounds)
    lines = [f"{name}: {' '.join(value.split())}" for name, value in newest.conditions.items()]
    return [*lines, f"load average before a round (the benchmark's own and that of others): {load:.1f} (median)"]


def flaws(blocks: Iterable[Block]) -> list[str]:
    """A line for each receiver that failed rounds of a case, or did not keep the bytes that it was sent."""
    lines = []
    for block in blocks:
        told = f"{block.title} by {block.case.associations}, {group_title(block.case)}"
        lines += [f"{told}: {name} failed {count} of its rounds" for name, count in block.failures.items()]
        lines += [f"{told}: {row.receiver} does not hold all bytes as sent" for row in block.rows if not row.equal]
    return lines


def as_text(blocks: Sequence[Block], runs: Sequence[Run]) -> str:
    """What it was measured on, a table for each case, and the floors that are missed."""
    lines = [*told_conditions(blocks, runs), ""]
    for block in blocks:
        case = block.case
        lines.append(
            f"{block.title} by {case.associations} association{'s' * (case.associations > 1)}, "
            f"{group_title(case)} (commit {block.commit})"
        )
        lines += [f"  {line}" for line in _aligned([HEADS, *map(_cells, block.rows)])] + [""]
    short = missed(blocks)
    lines += [f"Floors missed: {len(short)}", *(f"  {line}" for line in short)]
    if wrong := flaws(blocks):
        lines += ["What peers got wrong:", *(f"  {line}" for line in wrong)]
    return "\n".join(lines)


def as_json(blocks: Sequence[Block]) -> dict[str, Any]:
    """The same as one JSON value."""
    return {
        "cases": [
            {
                "workload": block.case.workload,
                "instances": block.instances,
                "associations": block.case.associations,
                "sender": block.case.sender,
                "transport": block.case.transport,
                "commit": block.commit,
                "receivers": [_row_json(row) for row in block.rows],
            }
            for block in blocks
        ],
        "missed": missed(blocks),
        "flaws": flaws(blocks),
    }


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "receiver": row.receiver,
        "rounds": row.rounds,
        "median_s": round(row.seconds, 4),
        "fastest_s": row.fastest,
        "slowest_s": row.slowest,
        "instances_per_s": round(row.per_second, 1),
        "receiver_cpu_s_per_1000": round(row.receiver_cpu, 3),
        "sender_cpu_s_per_1000": round(row.sender_cpu, 3),
        "bytes_equal": row.equal,
        "gateway_is": None if row.ratio is None else round(row.ratio, 3),
        "floor": row.target.floor if row.target else None,
        "goal": row.target.goal if row.target else None,
        "verdict": row.verdict or None,
    }


# -- reStructuredText --------------------------------------------------------------------------------------------------


def rst_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """A simple table; the first row is its head. A first cell is never empty."""
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows]
    return [rule, lines[0], rule, *lines[1:], rule]


def _pivot(blocks: Sequence[Block], cell: Any) -> list[str]:
    receivers = list(dict.fromkeys(row.receiver for block in blocks for row in block.rows))
    rows = [["images", "assoc.", *receivers]]
    for block in blocks:
        by_name = {row.receiver: row for row in block.rows}
        cells = [cell(by_name[name]) if name in by_name else "\\-" for name in receivers]
        rows.append([block.title, str(block.case.associations), *cells])
    return rst_table(rows)


def _seconds(row: Row) -> str:
    if row.ratio is None:
        return f"{row.seconds:.2f}"
    return f"{row.seconds:.2f} **({ratio(row)})**" if row.missed else f"{row.seconds:.2f} ({ratio(row)})"


def into(text: str, figures: str) -> str:
    """A document with ``figures`` between its two marks; Stopped when it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Stopped(f"the document lacks the lines {BEGIN!r} and {END!r}")
    return f"{before}{begin}\n\n{figures.strip()}\n\n{end}{after}"


def as_rst(blocks: Sequence[Block], runs: Sequence[Run]) -> str:
    """Conditions; seconds and CPU for each way of sending, a receiver a column; then every floor and goal."""
    lines = [*(f"- {line}" for line in told_conditions(blocks, runs)), ""]
    names = list(dict.fromkeys(row.receiver for block in blocks for row in block.rows))
    lines += [f"- *{name}*: {NOTES[name]}" for name in names if name in NOTES] + [""]
    for title in dict.fromkeys(group_title(block.case) for block in blocks):
        group = [block for block in blocks if group_title(block.case) == title]
        heading = title[0].upper() + title[1:]
        commits = ", ".join(dict.fromkeys(block.commit for block in group))
        rounds = sorted({row.rounds for block in group for row in block.rows})
        told = str(rounds[0]) if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]}"
        lines += [heading, "-" * len(heading), ""]
        lines += [f"Commit {commits}; median seconds of {told} rounds, and in brackets how many times as fast as this"]
        lines += ["receiver the gateway is, in bold where a floor is missed.", "", *_pivot(group, _seconds), ""]
        lines += ["CPU seconds of the receiver per 1,000 instances:", ""]
        lines += [*_pivot(group, lambda row: f"{row.receiver_cpu:.2f}"), ""]
    targets = [(block, row) for block in blocks for row in block.rows if row.target and row.ratio is not None]
    if targets:
        rows = [["images", "assoc.", "sender", "against", "gateway is", "floor", "goal", "reached"]]
        for block, row in targets:
            case = block.case
            assert row.target is not None
            rows.append(
                [block.title, str(case.associations), SENDERS[case.sender], row.receiver, ratio(row),
                 f"{row.target.floor:g} x", f"{row.target.goal:g} x", row.verdict.replace("MISSED", "**missed**")]
            )  # fmt: skip
        lines += ["Floors and goals", "----------------", "", *rst_table(rows), ""]
    if wrong := flaws(blocks):
        lines += ["What peers got wrong:", "", *(f"- {line}" for line in wrong), ""]
    return "\n".join(lines)
