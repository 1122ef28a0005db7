"""Writes docs/states.rst from the tables in kuva_gateway/catalog/states.py; ``--check`` only compares."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import generated

from kuva_gateway.catalog import states

TARGET = Path(__file__).resolve().parent.parent / "docs" / "states.rst"
HEAD = """\
======
States
======

Written by ``scripts/make-states-doc`` from the tables in ``kuva_gateway/catalog/states.py``; do not edit. Every change
of state leaves a row in the history (what, from, event, to, when, by whom), which ``kuva-gateway studies trace`` shows.
An event that a table lacks is an error.
"""
TABLES = (
    ("Study", "A study, from its first image to its end.", states.STUDY),
    ("Entry", "One per study, destination and revision: what is to be delivered.", states.ENTRY),
    ("Ledger", "One per study, destination and instance: what was delivered.", states.LEDGER),
)


def table(transitions: Mapping[tuple[str, str], str]) -> str:
    """One transition per row, states in the order in which the table first names them."""
    rows = [(state, event, follows) for (state, event), follows in transitions.items()]
    order = list(dict.fromkeys(state for state, _, _ in rows))
    rows.sort(key=lambda row: order.index(row[0]))
    return generated.table(("state", "event", "next state"), rows)


def render() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, text, transitions in TABLES:
        ends = sorted(set(transitions.values()) - {state for state, _ in transitions})
        last = f"\n\nNothing follows after: {', '.join(ends)}." if ends else ""
        parts.append(f"{title}\n{'=' * len(title)}\n\n{text}{last}\n\n{table(transitions)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(generated.main(TARGET, render))
