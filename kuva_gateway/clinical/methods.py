"""Which modalities make images under a procedure code: by the method letter of radiological codes, else by pattern.

Keeps nothing but the default table, as data; a configuration may replace any row and add others. The meanings of the
letters are inferred from the names in the code list, so what disagrees is worth a look and not proof of a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kuva_gateway.clinical.codes import CodePeriod, method_letter
from kuva_gateway.clinical.content_classes import compiled

COMPANIONS: Final = frozenset({"SR", "PR", "KO", "SEG"})
"""Reports, presentation states, key objects and segmentations belong to studies of every method."""

_PLAIN: Final = ("CR", "DX", "DR", "RF", "IO", "PX", "MG", "XA")
_NUCLEAR: Final = ("PT", "NM", "CT")
_ANY: Final = (*_PLAIN, "CT", "CBCT", "US", "IVUS", "MR", "NM", "PT")

METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "A": _PLAIN,
    "B": ("RF", "XA", "CR", "DX"),
    "C": ("XA",),
    "D": ("CT",),
    "E": ("US", "IVUS"),
    "G": ("MR",),
    "I": ("CT", "CBCT", "DX", "PX"),
    "J": ("XA", "RF", "CR", "DX", "CT"),
    "N": ("NM",),
    "P": _NUCLEAR,
    "Q": _NUCLEAR,
    "R": _NUCLEAR,
    "S": ("PT", "MR"),
    "T": _ANY,
    "FN2AA": _ANY,
    "FP[123]?5": ("ECG", "DOC", "OT"),
    "12??": ("ECG", "DOC", "OT"),
    "20??": ("ECG", "DOC", "OT"),
    "????4": ("OP", "OPT", "XC", "GM"),
    "????1": ("OP", "OPT", "XC", "GM"),
}
"""Modalities by method letter (fifth letter of a radiological code), and by pattern of codes (``?``: any character)."""


def expected_modalities(period: CodePeriod, overrides: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The modalities that make images under a code; None when nothing is known of it.

    A pattern goes before the method letter, and a configured row before ours; an empty row switches its code off.
    """
    for table in (overrides, METHODS):
        for pattern, modalities in table.items():
            if len(pattern) > 1 and compiled(pattern).match(period.code):
                return modalities or None
    letter = method_letter(period.code) if period.radiology else ""
    return overrides.get(letter, METHODS.get(letter)) or None
