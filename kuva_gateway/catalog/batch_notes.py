"""What a batch of arrivals has to do with rejection notes: notes among them, and copies of what notes reject.

Promises that a batch without either costs one look, whether there are any notes at all.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from kuva_gateway.catalog import rejections, withdrawal
from kuva_gateway.catalog.session import Session
from kuva_gateway.dicom.key_objects import Note


class Place(NamedTuple):
    """How a new instance is taken."""

    rejected: bool = False
    """A note keeps it out of sight."""
    ours: bool = False
    """It is a note of the gateway's own, which a withdrawal has announced."""
    held: bool = False
    quiet: bool = False
    """It does not wake its study."""
    severity: str = ""
    """Of a finding by IOC-01; "" for none."""
    where: str = ""
    fate: rejections.Fate | None = None


_ORDINARY = Place()
_OURS = Place(ours=True)
_COPY = Place(rejected=True, held=True, quiet=True, severity="info", where="copy")


@dataclass(slots=True)
class BatchNotes:
    """The notes of one batch."""

    session: Session
    rejecters: rejections.Rejecters
    rejected: frozenset[str]
    arrived: list[rejections.Arrived] = field(default_factory=list)
    ours: dict[str, int] = field(default_factory=dict)
    """New instances that are notes of ours, by SOP Instance UID."""

    @classmethod
    def load(cls, session: Session, uids: Collection[str], rejecters: rejections.Rejecters) -> BatchNotes:
        """For a batch of instances with these UIDs."""
        return cls(session, rejecters, rejections.rejected_among(session, uids))

    def place(self, uid: str, note: Note | None, peer: str, *, known: bool) -> Place:
        """How a new instance is taken; ``known``: other bytes with its UID are here, so a note counts for nothing."""
        if uid in self.rejected:
            return _COPY
        if note is None:
            return _ORDINARY
        if withdrawal.is_ours(self.session, uid):
            return _OURS
        if known:
            return _ORDINARY
        fate = rejections.judge_note(self.session, note, peer, self.rejecters)
        quiet = not (fate.goes or fate.waits)
        return Place(held=not fate.goes, quiet=quiet, severity=fate.severity, where=fate.where, fate=fate)

    def add(self, place: Place, uid: str, note: Note | None, peer: str, *, instance_id: int, study_id: int) -> None:
        """The instance has its row's id: remember what follows from it."""
        if place.ours:
            self.ours[uid] = instance_id
        elif note is not None and place.fate is not None:
            self.arrived.append(
                rejections.Arrived(
                    instance_id=instance_id, study_id=study_id, uid=uid, peer=peer, note=note, fate=place.fate
                )
            )

    def write(self, session: Session) -> None:
        """Let the notes count, now that all rows of the batch are there."""
        for arrived in self.arrived:
            rejections.take(session, arrived)
        for uid, instance_id in self.ours.items():
            withdrawal.send_note(session, uid, instance_id)
