"""What is said about an association and its answers: frozen records, no behaviour."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kuva_gateway.network.shown import PeerCertificate

if TYPE_CHECKING:
    from kuva_gateway.network.association import Association

# PS3.8 9.3.3.2, result of a presentation context.
ACCEPTANCE = 0
USER_REJECTION = 1
NO_REASON = 2
ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What the *requestor* of an association may be for a SOP class (PS3.7 D.3.3.4)."""

    scu: bool = True
    scp: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedContext:
    """A presentation context as it was, or is to be, proposed; ``id`` odd, 1..255."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedContext:
    """A presentation context that both sides agreed on; ``scu`` and ``scp`` say what *we* may be on it."""

    id: int
    abstract_syntax: str
    transfer_syntax: str
    scu: bool
    scp: bool
    extended: bytes = b""
    """What was agreed for the SOP class by extended negotiation (PS3.7 D.3.3.5); b"" without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIdentity:
    """User identity as it came (PS3.7 D.3.3.7): type 1 user name, 2 with passcode, 3 Kerberos, 4 SAML, 5 JWT."""

    type: int
    primary: bytes = field(repr=False)
    secondary: bytes = field(default=b"", repr=False)
    response_requested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRequest:
    """An A-ASSOCIATE-RQ with what the connection tells beside it; AE titles without their padding."""

    calling_ae: str
    called_ae: str
    address: str
    tls: bool = False
    certificate: PeerCertificate | None = None
    contexts: tuple[ProposedContext, ...] = ()
    roles: Mapping[str, Role] = field(default_factory=dict)
    extended: Mapping[str, bytes] = field(default_factory=dict)
    """SOP class to the application information that was proposed for it (PS3.7 D.3.3.5)."""
    user_identity: UserIdentity | None = None
    implementation_class_uid: str = ""
    implementation_version: str = ""
    maximum_length: int = 0

    @property
    def certificate_subject(self) -> str | None:
        """The subject of the certificate that was shown."""
        return None if self.certificate is None else self.certificate.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one proposed context: a transfer syntax, or a ``result`` other than 0 (PS3.8 9.3.3.2).

    ``role`` answers a role selection that the requestor made (PS3.7 D.3.3.4), and never grants more than it asked for;
    ``None`` leaves the default, requestor SCU and acceptor SCP, and sends no role item.
    """

    result: int = ACCEPTANCE
    transfer_syntax: str = ""
    role: Role | None = None
    extended: bytes | None = None
    """Answers an extended negotiation that the requestor proposed; None sends no item: nothing is agreed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The peer may come in: under this name, with this answer to each context, in at most ``limit`` associations."""

    peer: str
    accept: Callable[[ProposedContext], Answer]
    limit: int = 20
    user_identity_response: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4); ``why`` is for our log, the peer sees the three numbers.

    Result 1 permanent, 2 transient. Source 1, service user: reason 1 none, 2 application context, 3 calling AE,
    7 called AE.
    """

    result: int = 1
    source: int = 1
    reason: int = 1
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One DIMSE response; ``after`` runs on the association's thread once the request is answered completely.

    ``comment`` goes out as Error Comment as it stands: the caller keeps it to 64 printable characters (LO).
    ``affected_instance`` is for services whose response names another instance than the request (N-CREATE).
    """

    status: int
    comment: str = ""
    error_id: int | None = None
    offending: tuple[int, ...] = ()
    data_set: bytes | None = None
    affected_instance: str = ""
    event_type: int | None = None
    action_type: int | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    after: Callable[[Association], None] | None = None
    more: bool = False
    """Of a pending response: the next one follows at once, so this one may wait for it and both go out together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAnswer:
    """What the peer answered to a C-STORE."""

    status: int
    comment: str = ""
    offending: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FindAnswer:
    """One response to a C-FIND: pending with its identifier, or final."""

    status: int
    comment: str = ""
    offending: tuple[int, ...] = ()
    data_set: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionAnswer:
    """What the peer answered to an N-ACTION or an N-EVENT-REPORT."""

    status: int
    comment: str = ""
    error_id: int | None = None
    data_set: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where to listen; port 0 takes a free one, ``tls`` None means plain.

    ``passed`` listens already, kept open by whoever passed it on: host and port are its own then.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    passed: socket.socket | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom to call, and as whom."""

    host: str
    port: int
    called_ae: str
    calling_ae: str
    tls: ssl.SSLContext | None = None
    server_hostname: str | None = None
    certificate_names: frozenset[str] = frozenset()
    """Of which the certificate that it shows must carry one; empty: whatever the context checks is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What passed over an association, for its one log line."""

    instances_received: int = 0
    instances_sent: int = 0
    requests: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    seconds: float = 0.0
