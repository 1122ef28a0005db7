"""What the front page says, from how things stand: plain values and words, ready to be shown.

Promises that nothing in it identifies a patient: counts, rules, destinations and times only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from kuva_gateway.catalog.flow import HOUR, Flow
from kuva_gateway.config import Configuration
from kuva_gateway.monitoring.alerts import CATALOG_AWAY, DOWN, Raised, Severity, raised, size
from kuva_gateway.monitoring.situation import Situation
from kuva_gateway.validation.rules import RULES
from kuva_gateway.web.plots import Plot, plot
from kuva_gateway.web.telling import Teller
from kuva_gateway.web.words import ALERTS_FI, STATES, WORDS, Language

STUDY_STATES = ("receiving", "settled", "held", "accepted", "archived")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is not well."""

    severity: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationLine:
    """One destination, whether it is called, and its entries by state."""

    name: str
    rests: bool
    state: str
    entries: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLine:
    """What one rule holds."""

    rule: str
    title: str
    remedy: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPage:
    """The whole page. ``verdict``: ``well``, ``warning`` or ``critical``; None for what the catalog does not tell."""

    verdict: str
    troubles: tuple[Trouble, ...]
    studies: tuple[tuple[str, int], ...] | None
    destinations: tuple[DestinationLine, ...] | None
    held: tuple[HeldLine, ...] | None
    oldest: str | None
    waiting: int
    room: str | None
    as_of: str


def front_page(
    configuration: Configuration, now: Situation, language: Language, stopped_at: datetime | None = None
) -> FrontPage:
    """The page of this moment; ``stopped_at``: when the gateway that does not run ended, if that is known."""
    zone, words = ZoneInfo(configuration.timezone), WORDS[language]

    def told(at: datetime) -> str:
        return at.astimezone(zone).strftime("%d.%m.%Y %H:%M" if language == "fi" else "%Y-%m-%d %H:%M")

    found = raised(configuration, now)
    stopped = words["stopped"].format(at=told(stopped_at)) if stopped_at is not None else ""
    worst = any(one.alert.severity is Severity.CRITICAL for one in found)
    known = now.catalog
    return FrontPage(
        verdict="critical" if worst else "warning" if found else "well",
        troubles=tuple(_trouble(one, language, stopped) for one in found),
        studies=None
        if known is None
        else tuple((_state(state, language), known.studies.get(state, 0)) for state in STUDY_STATES),
        destinations=None if known is None else _destinations(configuration, now, language, told),
        held=None
        if known is None
        else tuple(_held(rule, number, language) for rule, number in sorted(known.held_by_rule.items())),
        oldest=None if known is None or known.oldest_unarchived is None else told(known.oldest_unarchived),
        waiting=now.waiting,
        room=None if now.free is None else size(now.free),
        as_of=words["as_of"].format(at=told(now.at)),
    )


def _state(state: str, language: Language) -> str:
    return STATES[state] if language == "fi" else state


def _trouble(one: Raised, language: Language, stopped: str) -> Trouble:
    if language == "fi":
        what, remedy = ALERTS_FI[one.alert.name]
    else:
        # A database's own words may name where it is and who calls it.
        what = "the catalog does not answer" if one.alert is CATALOG_AWAY else one.summary
        remedy = one.alert.remedy
    if one.alert is DOWN and stopped:
        what = f"{what}. {stopped}"
    return Trouble(severity=one.alert.severity.value, what=what[:1].upper() + what[1:], remedy=remedy)


def _destinations(
    configuration: Configuration, now: Situation, language: Language, told: Callable[[datetime], str]
) -> tuple[DestinationLine, ...]:
    assert now.catalog is not None
    entries, resting, words = now.catalog.entries, now.catalog.resting, WORDS[language]
    names = {one.name for one in configuration.destinations} | {name for name, _ in entries}
    lines = []
    for name in sorted(names):
        rest = resting.get(name)
        lines.append(
            DestinationLine(
                name=name,
                rests=rest is not None,
                state=words["in_use"]
                if rest is None
                else words["rests"].format(since=told(rest.since), until=told(rest.until), code=rest.code),
                entries=tuple(
                    (_state(state, language), number)
                    for (destination, state), number in sorted(entries.items())
                    if destination == name and number
                ),
            )
        )
    return tuple(lines)


def _held(rule: str, number: int, language: Language) -> HeldLine:
    known = RULES.get(rule)
    return HeldLine(
        rule=rule,
        title="" if known is None else known.title.say(language),
        remedy="" if known is None else known.remedy.say(language),
        number=number,
    )


def flow_plots(flow: Flow, tell: Teller) -> tuple[Plot, ...]:
    """The last day's numbers as small charts."""
    hours = len(next(iter(flow.hours.values())))
    names = [tell.hour(flow.until - (hours - place) * HOUR) for place in range(hours)]
    titles = {"received": "received", "held": "held_now", "delivered": "delivered", "archived": "archived"}
    return tuple(
        plot(tell.words[titles[name]], numbers, names, tell.words["most"]) for name, numbers in flow.hours.items()
    )
