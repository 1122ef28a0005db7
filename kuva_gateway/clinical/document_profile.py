"""How imaging documents are read: the extraction profile, which is ours and configurable in every part.

The bodies of the national guides were not available when this was written, so nothing here claims to follow them. The
header of a document is well known; where a study, its accession number and its kind stand in the body is a default
that an operator may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

Kind = Literal["request", "examination_entry", "report", "other"]

IMAGING_TEMPLATES: Final = frozenset({"1.2.246.777.11.2013.16", "1.2.246.777.11.2016.8", "1.2.246.777.11.2020.8"})
"""Template ids of the three published versions of the imaging CDA structure."""

KIND_STEMS: Final[tuple[tuple[str, Kind], ...]] = (
    ("pyyn", "request"),
    ("tutkimusmerkin", "examination_entry"),
    ("lausun", "report"),
)
"""Stems looked for in titles and display names; the first in this order that a text contains decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What decides a document's kind and links, and how much of a file is read at all.

    Attributes
    ----------
    kinds
        Kind by code of ``localHeader//contentsCode`` or of a section; compared without case; empty by default.
    accession_roots
        Roots of the identifiers that may be accession numbers; empty: any root but the personal identity code's.
    templates
        Template ids that mark a document as recognised; others are accepted and recorded.
    maximum_bytes, maximum_depth, maximum_elements
        A file beyond any of these is no document.
    """

    kinds: Mapping[str, Kind] = field(default_factory=lambda: MappingProxyType({}))
    accession_roots: tuple[str, ...] = ()
    templates: frozenset[str] = IMAGING_TEMPLATES
    maximum_bytes: int = 20 * 1024 * 1024
    maximum_depth: int = 100
    maximum_elements: int = 500_000

    def kind_of_code(self, code: str) -> Kind | None:
        """The kind that the code map gives to ``code``, compared without case."""
        wanted = code.strip().casefold()
        for known, kind in self.kinds.items():
            if known.strip().casefold() == wanted:
                return kind
        return None


def kind_of_text(text: str) -> tuple[Kind, str] | None:
    """The kind and the stem that a title or display name contains, compared without case; None when it has none."""
    folded = text.casefold()
    for stem, kind in KIND_STEMS:
        if stem in folded:
            return kind, stem
    return None
