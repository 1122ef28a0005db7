"""The information models of query and retrieve (PS3.4 C.6): SOP classes, levels, unique keys, what may be negotiated.

Keeps facts only. The retired Patient/Study Only model and the composite instance root models are not offered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple

PATIENT_ID = 0x00100020
STUDY_UID = 0x0020000D
SERIES_UID = 0x0020000E
INSTANCE_UID = 0x00080018
LEVEL = 0x00080052
CHARACTER_SET = 0x00080005


class Level(IntEnum):
    """Query/Retrieve Level (0008,0052), the highest first."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    IMAGE = 3


class Root(Enum):
    """Where a model's hierarchy begins."""

    PATIENT = "patient"
    STUDY = "study"

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels of the model, from the top (PS3.4 C.6.1.1, C.6.2.1)."""
        return tuple(Level) if self is Root.PATIENT else tuple(Level)[1:]


class Service(Enum):
    """What is asked; the values are the words of ``peers[].allow``."""

    FIND = "find"
    MOVE = "move"
    GET = "get"


class Model(NamedTuple):
    """What a query or retrieve SOP class says."""

    root: Root
    service: Service


UNIQUE_KEYS: dict[Level, int] = {
    Level.PATIENT: PATIENT_ID,
    Level.STUDY: STUDY_UID,
    Level.SERIES: SERIES_UID,
    Level.IMAGE: INSTANCE_UID,
}
"""The unique key of each level (PS3.4 C.6.1.1)."""

PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"

MODELS: dict[str, Model] = {
    PATIENT_ROOT_FIND: Model(Root.PATIENT, Service.FIND),
    PATIENT_ROOT_MOVE: Model(Root.PATIENT, Service.MOVE),
    PATIENT_ROOT_GET: Model(Root.PATIENT, Service.GET),
    STUDY_ROOT_FIND: Model(Root.STUDY, Service.FIND),
    STUDY_ROOT_MOVE: Model(Root.STUDY, Service.MOVE),
    STUDY_ROOT_GET: Model(Root.STUDY, Service.GET),
}
"""The SOP classes that the gateway answers (PS3.4 table C.6.1.3-1, C.6.2.3-1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """What extended negotiation agreed on (PS3.4 C.5.1.1, C.5.2.1); without it, nothing."""

    relational: bool = False
    """Keys of higher levels may be missing, and may have any matching."""
    combined_date_time: bool = False
    """A date and its time are matched as one moment."""

    @classmethod
    def read(cls, agreed: bytes, service: Service) -> Negotiated:
        """From the application information of an accepted context."""
        flags = agreed[:2].ljust(2, b"\0")
        return cls(relational=flags[0] == 1, combined_date_time=service is Service.FIND and flags[1] == 1)


def answer_negotiation(proposed: bytes, service: Service) -> bytes:
    """The application information to send back: of what was proposed, what the gateway does.

    Relational queries and retrieval, and combined date and time. Fuzzy semantic matching of names, time zone adjustment
    and conversion of multi-frame images (the other bytes of PS3.4 C.5.1.1) are answered with 0.
    """
    offered = b"\1\1" if service is Service.FIND else b"\1"
    agreed = bytes(wanted & given for wanted, given in zip(proposed, offered, strict=False))
    return agreed.ljust(len(proposed), b"\0")
