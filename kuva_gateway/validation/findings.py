"""What comes out of the rules: findings, a verdict on a study, a refusal of one instance.

Keeps nothing. The severities are the same everywhere: ``refuse``, ``hold``, ``warning``, ``info``, ``off``; a study
passes when nothing found is a ``hold`` or a ``refuse``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal, get_args

Severity = Literal["refuse", "hold", "warning", "info", "off"]
Language = Literal["en", "fi"]

SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""The gravest first."""
STOPPING: Final = frozenset({"refuse", "hold"})
"""Findings of these severities keep a study from being delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a rule found, before it is put into words.

    Attributes
    ----------
    message
        Which of the rule's messages says it.
    where
        The attribute's keyword and tag, or the document's id.
    values
        What the message's placeholders stand for, in words of our own: counts, dates, names out of dictionaries. What
        reads otherwise in Finnish stands there twice, as ``name_en`` and ``name_fi``.
    quoted
        The same, taken from the study itself; shown only after patients have been blotted out.
    cut
        Characters of each quoted value that are shown, counted after that: half an id would not be recognised.
    severity
        Given by whoever saw it (the indexer); None: the rule's own.
    look_again_on
        The next local day on which this may change without any fact changing; None: time changes nothing here.
    """

    rule: str
    message: str
    where: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    quoted: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    severity: Severity | None = None
    look_again_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a rule has to say about a study, for a person to read."""

    rule: str
    severity: Severity
    where: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a study may be delivered, and everything found, the gravest first.

    Attributes
    ----------
    look_again_on
        The next local day on which the verdict may read otherwise though no fact has changed; None: there is none.
    content_classes
        Ids of the study's content classes, sorted.
    """

    passed: bool
    findings: tuple[Finding, ...] = ()
    look_again_on: date | None = None
    content_classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why one instance is not taken at all.

    Attributes
    ----------
    status
        The DIMSE status of the C-STORE response (PS3.4 B.2.3).
    comment
        Its Error Comment (0000,0902): at most 64 ASCII characters, without patient data.
    rule
        The rule's id, for the log.
    """

    status: int
    comment: str
    rule: str
