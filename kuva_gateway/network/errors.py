"""What can go wrong on an association, said so that a caller can decide whether and when to try again.

Promises that no text holds more of the peer's bytes than numbers, and that every :class:`NetworkError` answers the
question a queue has to ask: *was the request completely sent* (``sent``), so that the outcome is unknown, or not, so
that nothing was delivered?
"""

from __future__ import annotations

from kuva_gateway.errors import DeferredError, GatewayError, RefusedError

# PS3.8 9.3.4: (source, reason) -> meaning. Source 1: service user, 2: provider (ACSE), 3: provider (presentation).
REJECT_REASONS: dict[tuple[int, int], str] = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
REJECT_RESULTS = {1: "rejected permanently", 2: "rejected for now"}
# PS3.8 9.3.8: the reason means something only when the source is the service provider (2).
ABORT_REASONS = {
    0: "reason not specified",
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}


class NetworkError(DeferredError):
    """An association could not be made or did not live to the end of what was asked.

    ``sent`` is true when the request had been handed to the network completely: its outcome is then unknown.
    """

    def __init__(self, message: str, *, code: str, sent: bool = False) -> None:
        super().__init__(message, code=code)
        self.sent = sent


class NoAnswer(NetworkError):
    """There is nobody there, or nobody who answers in time."""


class CannotConnect(NoAnswer):
    """No TCP connection: refused, unreachable, or a name without an address."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="connect")


class TimedOut(NoAnswer):
    """The deadline of ``phase`` passed: connect, handshake, associate, send, response, idle, message, release."""

    def __init__(self, phase: str, *, sent: bool = False) -> None:
        super().__init__(f"the deadline for {phase} passed", code=f"timeout-{phase}", sent=sent)
        self.phase = phase


class TlsFailed(NoAnswer):
    """The TLS handshake failed: certificates, protocol version, or a peer that speaks no TLS."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="tls")


class AssociationRejected(NetworkError):
    """The peer answered A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    def __init__(self, *, result: int, source: int, reason: int) -> None:
        meaning = REJECT_REASONS.get((source, reason), "unknown reason")
        how = REJECT_RESULTS.get(result, "rejected")
        super().__init__(
            f"association {how}: {meaning} (result {result}, source {source}, reason {reason})",
            code=f"rejected-{result}-{source}-{reason}",
        )
        self.result = result
        self.source = source
        self.reason = reason
        self.meaning = meaning

    @property
    def permanent(self) -> bool:
        """Whether the peer says that trying again is of no use (result 1)."""
        return self.result == 1


class Aborted(NetworkError):
    """The peer sent A-ABORT (PS3.8 9.3.8) while we were doing ``phase``."""

    def __init__(self, *, source: int, reason: int, phase: str, sent: bool = False) -> None:
        why = ABORT_REASONS.get(reason, "unknown reason") if source == 2 else "by the application"
        super().__init__(
            f"the peer aborted the association during {phase}: {why} (source {source}, reason {reason})",
            code=f"aborted-{source}-{reason}",
            sent=sent,
        )
        self.source = source
        self.reason = reason
        self.phase = phase


class Released(NetworkError):
    """The peer released the association while we still wanted something of it."""

    def __init__(self, *, phase: str, sent: bool = False) -> None:
        super().__init__(f"the peer released the association during {phase}", code="released", sent=sent)
        self.phase = phase


class ConnectionLost(NetworkError):
    """The TCP connection ended without A-ABORT or A-RELEASE."""

    def __init__(self, *, phase: str, sent: bool = False, detail: str = "closed by the peer") -> None:
        super().__init__(f"the connection was lost during {phase}: {detail}", code="lost", sent=sent)
        self.phase = phase


class ProtocolViolation(NetworkError):
    """The peer broke PS3.8 or PS3.7; ``source`` and ``reason`` are what our A-ABORT says."""

    def __init__(self, message: str, *, source: int = 2, reason: int = 0, sent: bool = False) -> None:
        super().__init__(message, code="protocol", sent=sent)
        self.source = source
        self.reason = reason


class Stopped(NetworkError):
    """We ended the association ourselves: :meth:`Association.abort` was called or the acceptor drains."""

    def __init__(self, why: str, *, source: int = 0, reason: int = 0, sent: bool = False) -> None:
        super().__init__(why, code="stopped", sent=sent)
        self.source = source
        self.reason = reason


class NoContext(GatewayError):
    """The association has no accepted presentation context for what is to be sent."""


class CommandError(GatewayError):
    """The bytes are no command set of PS3.7."""


class TlsFilesError(RefusedError):
    """A certificate, key or CA file cannot be used."""
