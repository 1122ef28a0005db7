"""The words of every rule: id, default severity, title, what it looks at, messages and remedy, in English and Finnish.

This folder is the one place where they stand; ``docs/rules.rst`` is written from it. A rule's id stays the same for
ever.
"""

from __future__ import annotations

from kuva_gateway.validation.texts import (
    amendments,
    content,
    corrections,
    decisions,
    documents,
    objects,
    orders,
    parties,
    patients,
)
from kuva_gateway.validation.wording import Rule

ALL: tuple[Rule, ...] = (
    *objects.RULES,
    *patients.RULES,
    *orders.RULES,
    *amendments.RULES,
    *content.RULES,
    *documents.RULES,
    *parties.RULES,
    *corrections.RULES,
    *decisions.RULES,
)
"""Every rule, in the order of the catalogue."""
