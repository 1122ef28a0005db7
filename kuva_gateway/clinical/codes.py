"""Procedure codes: what one row of the national code list says, and which code a study names.

Keeps no state. A code may have several periods of validity, so what is valid is always asked for a day: that of the
study, not today's. Nothing here knows a code by heart except the laboratory's ECG numbers, which the laboratory's own
list does not mark as imaging.

Source: the official export of the classification (1.2.246.537.6.2) and the archive's page; the method letters are
inferred from the names in the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

PROCEDURES: Final = "1.2.246.537.6.2"
"""The national classification of procedures; it holds the radiological codes too."""
RADIOLOGY: Final = "1.2.246.537.6.4"
"""The classification of radiological procedures, kept in the same database as :data:`PROCEDURES`."""
ORAL_HEALTH: Final = "1.2.246.537.6.33"
LABORATORY: Final = "1.2.246.537.6.3"
PROCEDURE_SCHEMES: Final = (PROCEDURES, RADIOLOGY, ORAL_HEALTH)

LABORATORY_REST_ECG: Final = frozenset({"1270", "1271", "1272"})
LABORATORY_STRESS_ECG: Final = frozenset({"2063", "2064", "2065", "2068", "2069", "2070"})
LABORATORY_LONG_ECG: Final = frozenset({"1279"})
LABORATORY_ECG: Final = LABORATORY_REST_ECG | LABORATORY_STRESS_ECG | LABORATORY_LONG_ECG

_CODE = re.compile(r"(?=.*[0-9])[A-Z]{2}[0-9A-Z][A-Z0-9][A-Z0-9]")
_USABLE = re.compile(r"[A-Z]{2}[0-9A-Z][0-9A-Z][0-9A-Z]")
_RADIOLOGICAL = re.compile(r"[A-Z]{2}[0-9][A-Z][A-Z]")
_LABORATORY_NUMBER = re.compile(r"[0-9]{4,5}")
_SCHEME_WORDS: Final = ("THL", "KUNTALIITTO", "STAKES", "TOIMENPIDELUOKITUS")
_LABORATORY_WORDS: Final = ("LABORATORIO",)
_NOT_IMAGES: Final = "W"
"""Method letter of statements, copies, meetings and models: work on images that are archived elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodePeriod:
    """One code in one period of validity.

    Attributes
    ----------
    valid_from, valid_to
        First and last day of validity, both included; ``valid_to`` None means no end.
    replaced_by
        The codes that the list names instead of an ended one, in its order.
    radiology, visible_light
        The list's own flags; ``visible_light`` covers clinical physiology with ECG as well.
    leaf
        False for a heading that only groups codes.
    scheme
        OID of the code list, without its version.
    """

    code: str
    name: str
    abbreviation: str = ""
    valid_from: date
    valid_to: date | None = None
    replaced_by: tuple[str, ...] = ()
    radiology: bool = False
    visible_light: bool = False
    leaf: bool = True
    level: int | None = None
    scheme: str = PROCEDURES

    def valid_on(self, day: date) -> bool:
        """Whether the code may be used for a study of ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSource:
    """A code and the attribute that named it, for example ``StudyDescription``."""

    where: str
    code: str


def valid_on(periods: Iterable[CodePeriod], day: date) -> CodePeriod | None:
    """The period of a code that covers ``day``, the latest begun of several; None when no period does."""
    covering = [period for period in periods if period.valid_on(day)]
    return max(covering, key=lambda period: period.valid_from, default=None)


def method_letter(code: str) -> str:
    """The fifth character of a radiological code, its imaging method (D: CT, G: MR ...); empty for other codes.

    Whether a code of this form is radiological at all is the list's ``radiology`` flag: FN2AA has the form only.
    """
    return code[4] if _RADIOLOGICAL.fullmatch(code) else ""


def is_imaging(period: CodePeriod) -> bool:
    """Whether images, signals or their reports are archived under this code.

    True for usable radiological and visible light codes and for the laboratory's ECG numbers; false for headings, for
    statements, copies and other work without images (method letter W), and for every other procedure.
    """
    if period.scheme == LABORATORY:
        return period.code in LABORATORY_ECG
    if not (period.radiology or period.visible_light):
        return False
    if not period.leaf or _USABLE.fullmatch(period.code) is None:
        return False
    return not (period.radiology and method_letter(period.code) == _NOT_IMAGES)


def ecg_kind(code: str) -> Literal["rest", "stress", "long"] | None:
    """Which ECG a code stands for: at rest, under stress, recorded for a day or longer; None when it is no ECG."""
    if code in LABORATORY_ECG:
        return "rest" if code in LABORATORY_REST_ECG else "stress" if code in LABORATORY_STRESS_ECG else "long"
    if re.fullmatch(r"FP[12][0-9A-Z]5", code):
        return "rest"
    if re.fullmatch(r"FP3[0-9A-Z]5", code):
        return "stress"
    # FP4A5 is the blood pressure of a day.
    if re.fullmatch(r"FP4[0-9A-Z]5", code) and code != "FP4A5":
        return "long"
    return None


def looks_like_code(text: str) -> bool:
    """Whether ``text`` has the form of a usable code: two letters and three characters, a digit among them."""
    return len(text) == 5 and _CODE.fullmatch(text) is not None


def known_scheme(designator: str, uid: str) -> str | None:
    """The OID, without version, of the national code list that a coding scheme names; None for any other scheme.

    Both (0008,010C) Coding Scheme UID and (0008,0102) Coding Scheme Designator are looked at, in this order, because
    the designator that the archive expects is not known to us.
    """
    for text in (uid.strip(), designator.strip()):
        for oid in (*PROCEDURE_SCHEMES, LABORATORY):
            if text == oid or text.startswith(f"{oid}."):
                return oid
    name = designator.strip().upper()
    if any(word in name for word in _LABORATORY_WORDS):
        return LABORATORY
    if any(word in name for word in _SCHEME_WORDS):
        return PROCEDURES
    return None


def code_sources(study_description: str, items: Iterable[tuple[str, str, str, str]]) -> tuple[CodeSource, ...]:
    """Every procedure code that a study names, with the attribute that names it.

    Parameters
    ----------
    study_description
        (0008,1030). The archive validates its first five characters; they count when they look like a code.
    items
        ``(value, scheme designator, scheme UID, where)`` of each procedure code item. When any of them has a national
        scheme, only those count; otherwise those that look like a code.
    """
    sources: list[CodeSource] = []
    start = study_description.strip()[:5]
    if looks_like_code(start):
        sources.append(CodeSource(where="StudyDescription", code=start))
    known = [(value.strip(), known_scheme(scheme, uid), where) for value, scheme, uid, where in items]
    national = [(value, where) for value, scheme, where in known if scheme is not None and value]
    chosen = national or [(value, where) for value, _, where in known if looks_like_code(value)]
    for value, where in chosen:
        source = CodeSource(where=where, code=value)
        if source not in sources:
            sources.append(source)
    return tuple(sources)


def agreed_code(sources: Sequence[CodeSource]) -> str | None:
    """The one code that all sources name; None when they disagree or there is none."""
    codes = {source.code for source in sources}
    return codes.pop() if len(codes) == 1 else None


def is_laboratory_number(code: str) -> bool:
    """Whether a code list's row is one of the laboratory's: those codes are plain numbers."""
    return _LABORATORY_NUMBER.fullmatch(code) is not None
