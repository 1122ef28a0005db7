"""How the pages say things: times in the hospital's zone, states and events in words, patients only to who may."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from kuva_gateway.web.words import EVENTS, STATES, WORDS, Language

MASKED = "•••"
"""What stands for a patient's id."""


class Teller:
    """Says things in one language."""

    def __init__(self, language: Language, zone: ZoneInfo, *, patients: bool) -> None:
        self.language = language
        self.words = WORDS[language]
        self.patients = patients
        self._zone = zone

    def time(self, at: datetime) -> str:
        """A moment to the minute."""
        return at.astimezone(self._zone).strftime("%d.%m.%Y %H:%M" if self.language == "fi" else "%Y-%m-%d %H:%M")

    def iso(self, at: str | None) -> str:
        """A moment of the operators' contract; nothing for None."""
        return "" if at is None else self.time(datetime.fromisoformat(at))

    def hour(self, at: datetime) -> str:
        """The hour in which a moment is."""
        return at.astimezone(self._zone).strftime("%H:%M")

    def state(self, state: str) -> str:
        """A state of studies or entries; in English it is its own name."""
        return STATES.get(state, state) if self.language == "fi" else state

    def event(self, event: str) -> str:
        """Something that happened; what has no words of its own is named as in ``studies trace``."""
        known = EVENTS.get(event)
        return event.replace("_", " ") if known is None else known[0 if self.language == "en" else 1]

    def patient(self, identifier: str) -> str:
        """A patient's id, or what stands for it."""
        return identifier if self.patients else (MASKED if identifier else "")
