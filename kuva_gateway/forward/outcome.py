"""What an answer means for what is sent next (rules FWD-01 and STC-01): pure tables.

Promises: every possible answer has exactly one outcome with a *kind* (what to do about it) and a *scope* (whom it
concerns); what is not known here is temporary, so that nothing is given up because of a status that nobody foresaw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from kuva_gateway.dicom import statuses, syntaxes
from kuva_gateway.dicom.sop_classes import class_name

NOT_ACCEPTED = "context"
"""The code of an instance whose presentation context the destination did not accept."""


class Kind(StrEnum):
    """What is to be done."""

    DELIVERED = "delivered"
    WARNING = "warning"  # stored, with a remark
    TEMPORARY = "temporary"  # again later, by the retry schedule
    PERSON = "person"  # again only when a person says so
    UNKNOWN = "unknown"  # everything was sent and no answer came: ask before sending again


class Scope(StrEnum):
    """Whom an outcome concerns; everything else goes on."""

    INSTANCE = "instance"
    SOP_CLASS = "sop_class"
    STUDY = "study"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One answer, judged. ``code`` is four hexadecimal digits of a DIMSE status, or a word for what has none."""

    kind: Kind
    scope: Scope
    code: str
    meaning: str
    comment: str = ""

    @property
    def stored(self) -> bool:
        """The other side said that it keeps the instance."""
        return self.kind in (Kind.DELIVERED, Kind.WARNING)

    def because(self, comment: str) -> Outcome:
        """The same outcome with the comment that came with it."""
        return replace(self, comment=comment)

    def __str__(self) -> str:
        return f"{self.code} {self.meaning}" + (f" ({self.comment})" if self.comment else "")


UNREADABLE = "unreadable"
NOT_AMENDABLE = "amendment"
NOT_REENCODED = "syntax"
"""The code of an instance that could not be written in a transfer syntax that the destination accepts."""
OURS = frozenset({UNREADABLE, NOT_AMENDABLE, NOT_REENCODED})
"""Codes of what went wrong here, before the destination could say anything."""

_TAGS_TOLD = 8

_Judgement = tuple[Kind, Scope]

_STORED = (Kind.DELIVERED, Scope.INSTANCE)
_STORED_WITH_WARNING = (Kind.WARNING, Scope.INSTANCE)
_OBJECT = (Kind.PERSON, Scope.INSTANCE)
_PATIENT = (Kind.PERSON, Scope.STUDY)

# Statuses with a judgement of their own: PS3.7 annex C, PS3.4 B.2.3, and the archive's (DOMAIN 1.2: of A770-A77B only
# A77A, a study deletion in progress, passes by itself; A777-A779 are about the patient, so about the whole study).
_KNOWN: dict[int, _Judgement] = {
    statuses.SUCCESS: _STORED,
    statuses.REQUESTED_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED: _STORED_WITH_WARNING,
    statuses.ATTRIBUTE_LIST_ERROR: _STORED_WITH_WARNING,
    statuses.ATTRIBUTE_VALUE_OUT_OF_RANGE: _STORED_WITH_WARNING,
    statuses.PROCESSING_FAILURE: (Kind.TEMPORARY, Scope.INSTANCE),
    statuses.CLASS_NOT_SUPPORTED: (Kind.PERSON, Scope.SOP_CLASS),
    statuses.NOT_AUTHORISED: (Kind.PERSON, Scope.DESTINATION),
    **dict.fromkeys(range(0xA770, 0xA777), _OBJECT),
    **dict.fromkeys(range(0xA777, 0xA77A), _PATIENT),
    0xA77A: (Kind.TEMPORARY, Scope.STUDY),
    0xA77B: _OBJECT,
}

# The ranges of PS3.4 table B.2-1 for what the table above does not name: first, last, judgement.
_RANGES: tuple[tuple[int, int, _Judgement], ...] = (
    (0xA700, 0xA7FF, (Kind.TEMPORARY, Scope.STUDY)),
    (0xA900, 0xA9FF, _OBJECT),
    (0xB000, 0xBFFF, _STORED_WITH_WARNING),
    (0xC000, 0xCFFF, _OBJECT),
)


SUCCESS: Final = Outcome(
    kind=Kind.DELIVERED, scope=Scope.INSTANCE, code="0000", meaning=statuses.meaning(statuses.SUCCESS)
)
"""What nearly every answer is."""


def classify(status: int, comment: str = "", offending: Sequence[int] = ()) -> Outcome:
    """The outcome of a C-STORE-RSP with ``status``; a status that nobody knows is temporary.

    ``comment`` and ``offending`` are the answer's own words: Error Comment (0000,0902), Offending Element (0000,0901).
    """
    if not (status or comment or offending):
        return SUCCESS
    kind, scope = _judgement(status)
    tags = ", ".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in offending[:_TAGS_TOLD])
    said = "; ".join(part for part in (comment, f"offending element {tags}" if tags else "") if part)
    return Outcome(kind=kind, scope=scope, code=f"{status:04X}", meaning=statuses.meaning(status), comment=said)


def _judgement(status: int) -> _Judgement:
    if status in _KNOWN:
        return _KNOWN[status]
    for first, last, judgement in _RANGES:
        if first <= status <= last:
            return judgement
    return Kind.TEMPORARY, Scope.INSTANCE


# What has no DIMSE status.


def no_connection(comment: str) -> Outcome:
    """The destination could not be reached: refused, no route, silent, closed while associating."""
    return Outcome(
        kind=Kind.TEMPORARY, scope=Scope.DESTINATION, code="unreachable", meaning="no connection", comment=comment
    )


def tls_failed(comment: str) -> Outcome:
    """The TLS handshake failed; certificates are the destination's matter and a person's."""
    return Outcome(kind=Kind.PERSON, scope=Scope.DESTINATION, code="tls", meaning="TLS failed", comment=comment)


def association_rejected(result: int, source: int, reason: int, comment: str) -> Outcome:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4); result 2 is transient, 1 permanent: either way it concerns the destination."""
    return Outcome(
        kind=Kind.PERSON if result == 1 else Kind.TEMPORARY,
        scope=Scope.DESTINATION,
        code=f"rejected-{result}-{source}-{reason}",
        meaning="association rejected",
        comment=comment,
    )


def association_lost(comment: str) -> Outcome:
    """The association ended while something was being sent: the entry is tried again later."""
    return Outcome(kind=Kind.TEMPORARY, scope=Scope.STUDY, code="lost", meaning="association lost", comment=comment)


def no_answer(comment: str) -> Outcome:
    """Everything was sent, no answer came: whether it is stored is not known."""
    return Outcome(kind=Kind.UNKNOWN, scope=Scope.STUDY, code="no-answer", meaning="no answer", comment=comment)


def context_rejected(sop_class: str, transfer_syntax: str) -> Outcome:
    """The destination did not accept the presentation context that this kind of instance needs (PS3.8 9.3.3.2)."""
    return Outcome(
        kind=Kind.PERSON,
        scope=Scope.INSTANCE,
        code=NOT_ACCEPTED,
        meaning="presentation context not accepted",
        comment=f"{class_name(sop_class)} ({sop_class}) in {syntaxes.name(transfer_syntax)} ({transfer_syntax})",
    )


def not_read_now(comment: str) -> Outcome:
    """Our own file system did not give the stored file; that says nothing about its bytes, so it is tried again."""
    return Outcome(
        kind=Kind.TEMPORARY,
        scope=Scope.INSTANCE,
        code="not-read",
        meaning="stored file cannot be read now",
        comment=comment,
    )


def unreadable(comment: str) -> Outcome:
    """The stored file cannot be read or is not what was received (QUA-01)."""
    return Outcome(
        kind=Kind.PERSON, scope=Scope.INSTANCE, code=UNREADABLE, meaning="stored file unreadable", comment=comment
    )


def not_amendable(comment: str) -> Outcome:
    """The study's amendments cannot be applied to this instance; it does not go without them."""
    return Outcome(
        kind=Kind.PERSON,
        scope=Scope.INSTANCE,
        code=NOT_AMENDABLE,
        meaning="instance cannot be amended",
        comment=comment,
    )


def not_reencoded(why: str) -> Outcome:
    """The destination did not accept the instance's transfer syntax, and it cannot be written in another one."""
    return Outcome(
        kind=Kind.PERSON,
        scope=Scope.INSTANCE,
        code=NOT_REENCODED,
        meaning="transfer syntax not accepted, and no other one possible",
        comment=why,
    )


def not_now(why: str) -> Outcome:
    """Something that preparing the instance needs is not there now; it is tried again."""
    return Outcome(
        kind=Kind.TEMPORARY,
        scope=Scope.INSTANCE,
        code="not-prepared",
        meaning="instance cannot be prepared now",
        comment=why,
    )


class Missing(StrEnum):
    """What a failed storage commitment of one instance asks for (STC-01)."""

    RESEND = "resend"
    ASK_LATER = "ask_later"
    PERSON = "person"
    NEW_TRANSACTION = "new_transaction"


# PS3.3 C.14.1.1.
_COMMITMENT_REASONS: dict[int, Missing] = {
    statuses.PROCESSING_FAILURE: Missing.ASK_LATER,
    statuses.NO_SUCH_INSTANCE: Missing.RESEND,
    statuses.RESOURCE_LIMITATION: Missing.ASK_LATER,
    statuses.CLASS_NOT_SUPPORTED: Missing.PERSON,
    statuses.CLASS_INSTANCE_CONFLICT: Missing.PERSON,
    statuses.DUPLICATE_TRANSACTION: Missing.NEW_TRANSACTION,
}


def classify_commitment(reason: int) -> Missing:
    """What to do about an instance not committed for ``reason`` (0008,1197); an unknown reason is asked later."""
    return _COMMITMENT_REASONS.get(reason, Missing.ASK_LATER)
