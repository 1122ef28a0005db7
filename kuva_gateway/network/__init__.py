"""The DICOM upper layer (PS3.8) and DIMSE commands (PS3.7) over sockets, for both sides of an association.

Keeps nothing on disk and knows nothing of studies: what comes in goes, piece by piece, to the Sink that Services names.
Promises bounded memory and an absolute deadline for whatever a peer may do or not do.
"""

from kuva_gateway.network.acceptor import Acceptor
from kuva_gateway.network.association import Association, OnEvent
from kuva_gateway.network.commands import Command
from kuva_gateway.network.connections import Terms
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
    TlsFilesError,
)
from kuva_gateway.network.protocols import Log, Services, Sink
from kuva_gateway.network.records import (
    AcceptedContext,
    ActionAnswer,
    Admission,
    Answer,
    AssociationRequest,
    FindAnswer,
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
from kuva_gateway.network.requestor import RequestorAssociation, connect
from kuva_gateway.network.timers import Limits, Timers
from kuva_gateway.network.tls import client_context, server_context

__all__ = [
    "Aborted",
    "AcceptedContext",
    "Acceptor",
    "ActionAnswer",
    "Admission",
    "Answer",
    "Association",
    "AssociationRejected",
    "AssociationRequest",
    "CannotConnect",
    "Command",
    "CommandError",
    "ConnectionLost",
    "FindAnswer",
    "Limits",
    "Listener",
    "Log",
    "NetworkError",
    "NoAnswer",
    "NoContext",
    "OnEvent",
    "ProposedContext",
    "ProtocolViolation",
    "Rejection",
    "Released",
    "RequestorAssociation",
    "Response",
    "Role",
    "Services",
    "Sink",
    "Stopped",
    "StoreAnswer",
    "Target",
    "Terms",
    "TimedOut",
    "Timers",
    "TlsFailed",
    "TlsFilesError",
    "Traffic",
    "UserIdentity",
    "client_context",
    "connect",
    "server_context",
]
