"""Writes docs/answers.rst from the tables in kuva_gateway/forward; ``--check`` only compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import generated
from generated import table

from kuva_gateway.forward import outcome
from kuva_gateway.forward.outcome import Kind, Outcome, classify, classify_commitment
from kuva_gateway.forward.remedies import remedy
from kuva_gateway.queue.streak import refuses_all

TARGET = Path(__file__).resolve().parent.parent / "docs" / "answers.rst"
HEAD = """\
==============================
What an archive's answer means
==============================

Written by ``scripts/make-answers-doc`` from the tables in ``kuva_gateway/forward``; do not edit. ``docs/delivery.rst``
says what the words mean and how a destination's ``statuses`` change a judgement. A status that stands nowhere here is
temporary and concerns the instance: nothing is given up because of an answer that nobody foresaw.
"""
STATUSES = (
    0x0000, 0x0001, 0x0107, 0x0116, 0x0110, 0x0122, 0x0124, 0xA700, *range(0xA770, 0xA77C), 0xA7FF, 0xA900, 0xA9FF,
    0xB000, 0xB006, 0xB007, 0xBFFF, 0xC000, 0xC409, 0xC499, 0xCFFF,
)  # fmt: skip
COMMITMENT = (0x0110, 0x0112, 0x0119, 0x0122, 0x0131, 0x0213)
UNDECIDED = (Kind.TEMPORARY, Kind.UNKNOWN)
CURES = {
    "resend": "sent again, then asked about again",
    "ask_later": "asked about again, by the retry schedule",
    "person": "the entry fails, and a person decides",
    "new_transaction": "asked about at once under a new transaction UID",
}


def others() -> Iterator[Outcome]:
    """Outcomes without a status."""
    yield outcome.no_connection("")
    yield outcome.tls_failed("")
    yield outcome.association_rejected(1, 1, 3, "")
    yield outcome.association_rejected(2, 3, 2, "")
    yield outcome.association_lost("")
    yield outcome.no_answer("")
    yield outcome.context_rejected("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2")
    yield outcome.not_read_now("")
    yield outcome.unreadable("")
    yield outcome.not_amendable("")
    yield refuses_all(classify(0xC000))


def rows(found: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """One row for each answer, neighbours that mean the same in one."""
    made = []
    for (kind, scope, meaning, cure), group in groupby(
        found,
        key=lambda one: (one.kind.value, one.scope.value, one.meaning, remedy(one, gave_up=one.kind in UNDECIDED)),
    ):
        codes = [one.code for one in group]
        code = codes[0] if len(codes) == 1 else f"{codes[0]}-{codes[-1]}"
        made.append((code, meaning, kind, scope.replace("_", " "), cure or "-"))
    return made


def render() -> str:
    """The whole page."""
    head = ("answer", "meaning", "kind", "concerns", "what a person does once it has failed")
    reasons = [(f"{reason:04X}", CURES[classify_commitment(reason).value]) for reason in COMMITMENT]
    parts = [
        HEAD,
        "Statuses of C-STORE\n===================\n\n" + table(head, rows([classify(code) for code in STATUSES])),
        "What has no status\n==================\n\n" + table(head, rows(list(others()))),
        "Reasons against storage commitment\n==================================\n\n"
        + table(("reason", "the instance is"), reasons)
        + "\n\nAny other reason: asked about again, by the retry schedule.",
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


if __name__ == "__main__":
    sys.exit(generated.main(TARGET, render))
