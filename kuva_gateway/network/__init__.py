"""The DICOM upper layer (PS3.8) and DIMSE commands (PS3.7) over sockets, for both sides of an association.

Keeps nothing on disk and knows nothing of studies: what comes in goes, piece by piece, to the Sink that Services names.
Promises bounded memory and an absolute deadline for whatever a peer may do or not do.
"""

from kuva_gateway.network.commands import Command
from kuva_gateway.network.errors import (
    Aborted,
    AssociationRejected,
    CannotConnect,
    CommandError,
    ConnectionLost,
    NetworkError,
    NoAnswer,
    NoContext,
    ProtocolViolation,
    Released,
    Stopped,
    TimedOut,
    TlsFailed,
)
from kuva_gateway.network.protocols import Log, Services, Sink
from kuva_gateway.network.records import (
    AcceptedContext,
    ActionAnswer,
    Admission,
    Answer,
    AssociationRequest,
    Listener,
    ProposedContext,
    Rejection,
    Response,
    Role,
    StoreAnswer,
    Target,
    Traffic,
    UserIdentity,
)
from kuva_gateway.network.timers import Limits, Timers

__all__ = [
    "Aborted",
    "AcceptedContext",
    "ActionAnswer",
    "Admission",
    "Answer",
    "AssociationRejected",
    "AssociationRequest",
    "CannotConnect",
    "Command",
    "CommandError",
    "ConnectionLost",
    "Limits",
    "Listener",
    "Log",
    "NetworkError",
    "NoAnswer",
    "NoContext",
    "ProposedContext",
    "ProtocolViolation",
    "Rejection",
    "Released",
    "Response",
    "Role",
    "Services",
    "Sink",
    "Stopped",
    "StoreAnswer",
    "Target",
    "TimedOut",
    "Timers",
    "TlsFailed",
    "Traffic",
    "UserIdentity",
]
