"""Writes docs/rules.rst from the words in kuva_gateway/validation/texts; ``--check`` only compares."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import generated

from kuva_gateway.validation.rules import catalogue
from kuva_gateway.validation.texts.elsewhere import ELSEWHERE
from kuva_gateway.validation.texts.responsible import RESPONSIBLE
from kuva_gateway.validation.wording import Rule, Text

TARGET = Path(__file__).resolve().parent.parent / "docs" / "rules.rst"
WIDTH = 118
HEAD = """\
=====
Rules
=====

Written by ``scripts/make-rules-doc`` from the texts in ``kuva_gateway/validation/texts``; do not edit. Rule ids stay
the same for ever.

A study is judged when it has settled, and again when what is known of it changes: an instance, a document, the code
list. Each thing found is a *finding* with a severity:

===========  ===========================================================================================
severity     what it means
===========  ===========================================================================================
``refuse``   the instance is not taken: the sender gets a failure status. Where one instance is not enough
             to tell (see each rule), and for what is here already, it works like ``hold``
``hold``     the study is kept and waits, until the finding is gone or a person releases it
``warning``  the study goes on; somebody should look at it
``info``     the study goes on; for information
``off``      the rule is silent
===========  ===========================================================================================

A study passes when it has no finding with the severity ``refuse`` or ``hold``. The severities below are the defaults;
the configuration's ``rules`` replaces them, a peer's own ``rules`` before the global ones. A configured severity holds
for everything that the rule finds, also for messages that have a severity of their own here. ::

    rules: {PID-05: off, COD-03: warning}

Values in ``{braces}`` stand for what was found. No message shows a patient's id, name or birth date; where one stands
in another value, three asterisks stand in its place. What some instances of a study lack and others have is no
disagreement: reports, presentation states, key objects and segmentations often come without a description, an
accession number or a study date.

*Who does it* is a proposal: hospitals divide this work in their own ways. Releasing and rejecting a study is the
decision of a person, whose name stays in its history.
"""


def wrapped(text: str, indent: str = "") -> str:
    """``text`` in lines that fit."""
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def both(label: str, text: Text) -> Iterator[str]:
    """A labelled text, in English and in Finnish below it."""
    yield wrapped(f"{label}: {text.en}")
    yield wrapped(f"*{text.fi.replace('*', chr(92) + '*')}*", "    ")


def severity(rule: Rule) -> str:
    """The rule's severity, and whether it is answered to the sender."""
    answered = "; as ``refuse`` it is answered to the sender at once" if rule.immediate else ""
    return f"Severity: ``{rule.severity}``{answered}."


def messages(rule: Rule) -> Iterator[str]:
    """Each message, with its own severity and status where it has them."""
    for message in rule.messages.values():
        own = f"``{message.severity}``" if message.severity else ""
        status = f"status {message.status:04X}H when refused" if message.status is not None else ""
        notes = ", ".join(note for note in (own, status) if note)
        yield wrapped(f"{message.text.en}{f' ({notes})' if notes else ''}", "  ").replace("  ", "- ", 1)
        yield wrapped(f"*{message.text.fi}*", "  ")
        if message.remedy is not None:
            yield wrapped(f"What to do: {message.remedy.en}", "  ")
            yield wrapped(f"*{message.remedy.fi}*", "  ")


def section(rule: Rule) -> str:
    """One rule."""
    title = f"{rule.id}: {rule.title.en}"
    parts = [
        f"{title}\n{'=' * len(title)}",
        f"*{rule.title.fi}*",
        severity(rule),
        *both("Looks at", rule.looks_at),
        *both("What to do", rule.remedy),
        *both("Who does it", RESPONSIBLE[rule.id]),
        *(("Findings:", *messages(rule)) if rule.messages else ()),
    ]
    return "\n\n".join(parts) + "\n"


def summary() -> str:
    """Every rule in one table."""
    rows = [(rule.id, rule.severity, rule.title.en) for rule in catalogue()]
    rows += [(rule, "–", title.en) for rule, (title, _) in ELSEWHERE.items()]
    width = max(len(title) for _, _, title in rows)
    line = f"{'=' * 6}  {'=' * 8}  {'=' * width}"
    body = [f"{rule:6}  {default:8}  {title}" for rule, default, title in rows]
    return "\n".join([line, f"{'rule':6}  {'default':8}  what must be so", line, *body, line])


def elsewhere() -> str:
    """The rules that other parts see to."""
    parts = ["Rules that other parts see to", "=" * 29, "", "They have no findings, and no severity to configure."]
    for rule, (title, what) in ELSEWHERE.items():
        parts += ["", wrapped(f"**{rule}: {title.en}.** {what.en}"), "", wrapped(f"*{title.fi}. {what.fi}*", "    ")]
    return "\n".join(parts)


def render() -> str:
    """The whole page."""
    sections = (section(rule).rstrip("\n") for rule in catalogue())
    return "\n\n".join([HEAD.rstrip("\n"), summary(), *sections, elsewhere()]) + "\n"


if __name__ == "__main__":
    sys.exit(generated.main(TARGET, render))
