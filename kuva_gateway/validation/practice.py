"""What the archive is known, or configured, to take: the tables that rules compare with.

Keeps nothing. It follows from the configuration alone and is the same for every study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kuva_gateway.clinical.content_classes import ContentClasses


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """The tables.

    Attributes
    ----------
    content_classes
        None: CON-01 is silent.
    method_modalities
        Rows that replace or add to :data:`kuva_gateway.clinical.methods.METHODS`.
    transfer_syntaxes
        UIDs by kind of object (``image``, ``video``, ``report``, ``other``), where they are not the default's.
    study_uid_roots
        UID-03: what a Study Instance UID may begin with; empty: with anything.
    """

    content_classes: ContentClasses | None = None
    method_modalities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    transfer_syntaxes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    study_uid_roots: tuple[str, ...] = ()


DEFAULT = Practice()
