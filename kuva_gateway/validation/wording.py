"""The form of a rule's words: a text in every language, the messages of a rule, the rule itself.

Keeps nothing. The words stand in :mod:`kuva_gateway.validation.texts`; a test holds that every text exists in both
languages with the same placeholders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kuva_gateway.validation.findings import Language, Severity


@dataclass(frozen=True, slots=True)
class Text:
    """The same sentence in English and in Finnish, with the same ``{placeholders}``."""

    en: str
    fi: str

    def say(self, language: Language, values: Mapping[str, str] | None = None) -> str:
        """The sentence with its placeholders filled in."""
        return (self.fi if language == "fi" else self.en).format_map(values or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing that a rule may find.

    Attributes
    ----------
    severity
        Where it differs from the rule's own.
    remedy
        Where it differs from the rule's own.
    status
        DIMSE status of the answer when an instance is refused for it.
    """

    text: Text
    severity: Severity | None = None
    remedy: Text | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of the catalogue.

    Attributes
    ----------
    id
        Stays the same for ever.
    severity
        By default; a configured severity replaces it and those of all its messages.
    looks_at
        What is compared with what.
    remedy
        What a person can do about a finding.
    immediate
        Whether one instance is enough to judge it, so that ``refuse`` is answered to the sender at once.
    """

    id: str
    severity: Severity
    title: Text
    looks_at: Text
    remedy: Text
    messages: Mapping[str, Message]
    immediate: bool = False
