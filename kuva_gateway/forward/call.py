"""Calling one destination: whom, how long, and what a failed call means."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kuva_gateway.dicom import statuses, uids
from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from kuva_gateway.forward import outcome
from kuva_gateway.forward.judgements import Judgements
from kuva_gateway.forward.outcome import Kind, Outcome
from kuva_gateway.network import errors
from kuva_gateway.network.commands import Command
from kuva_gateway.network.opening import Opening
from kuva_gateway.network.pace import Pace
from kuva_gateway.network.records import ProposedContext, Role, Target
from kuva_gateway.network.requestor import RequestorAssociation, connect
from kuva_gateway.network.shown import Shown
from kuva_gateway.network.timers import Limits, Timers

OnEvent = Callable[[Command, bytes], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How a destination is called; ``name`` is the configured one, for log lines."""

    name: str
    host: str
    port: int
    called_ae: str
    calling_ae: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    certificate_names: frozenset[str] = frozenset()
    """Of which the destination's certificate must carry one, instead of ``host``."""
    timers: Timers = field(default_factory=Timers)
    limits: Limits = field(default_factory=Limits)
    shown: Shown | None = None
    """Who keeps the certificates that were shown."""
    judgements: Judgements = field(default_factory=Judgements)
    pace: Pace | None = None

    def associate(
        self,
        contexts: Sequence[tuple[str, tuple[str, ...]]],
        *,
        roles: Mapping[str, Role] | None = None,
        on_event: OnEvent | None = None,
        opening: Opening | None = None,
    ) -> RequestorAssociation:
        """Open an association that proposes ``contexts``: at most 128 of (abstract syntax, transfer syntaxes).

        ``opening`` lets another thread end it before it is open.

        Raises
        ------
        NetworkError
            There is none; :func:`judge` says what that means.
        """
        association = connect(
            Target(
                host=self.host,
                port=self.port,
                called_ae=self.called_ae,
                calling_ae=self.calling_ae,
                tls=self.tls,
                server_hostname=self.host if self.tls else None,
                certificate_names=self.certificate_names if self.tls else frozenset(),
            ),
            [
                ProposedContext(id=2 * place + 1, abstract_syntax=abstract, transfer_syntaxes=transfer)
                for place, (abstract, transfer) in enumerate(contexts)
            ],
            roles=roles,
            timers=self.timers,
            limits=self.limits,
            on_event=on_event,
            opening=opening,
        )
        association.pace = self.pace
        if self.shown is not None:
            self.shown.note(self.name, association.certificate)
        return association


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """How the archive behind the gateway is called: with short deadlines for queries, the usual ones for images."""

    query: Call
    fetch: Call


def echo(call: Call) -> Outcome:
    """C-ECHO; the outcome is the destination's answer, or why there was none."""
    try:
        return outcome.classify(_echo(call))
    except errors.NoContext:
        return outcome.context_rejected(uids.VERIFICATION, IMPLICIT_LITTLE)
    except errors.NetworkError as error:
        return judge_call(error)


def probe(call: Call) -> Outcome:
    """Ask with C-ECHO whether the destination is there again: success, or why it is not.

    One that speaks DICOM with us, only not this service, is there.
    """
    try:
        found = outcome.classify(_echo(call))
    except errors.NoContext:
        return outcome.classify(statuses.SUCCESS)
    except errors.NetworkError as error:
        return judge_call(error)
    return found if found.kind is Kind.TEMPORARY else outcome.classify(statuses.SUCCESS)


def _echo(call: Call) -> int:
    with call.associate([(uids.VERIFICATION, (IMPLICIT_LITTLE, EXPLICIT_LITTLE))]) as association:
        return association.echo()


def judge_call(error: errors.NetworkError) -> Outcome:
    """What it means that no association came about: always the destination's matter (FWD-01)."""
    if isinstance(error, errors.AssociationRejected):
        return outcome.association_rejected(error.result, error.source, error.reason, str(error))
    if isinstance(error, errors.TlsFailed):
        return outcome.tls_failed(str(error))
    return outcome.no_connection(str(error))


def judge_break(error: errors.NetworkError) -> Outcome:
    """What it means that an association ended while an instance was being sent."""
    if error.sent:
        return outcome.no_answer(str(error))
    return outcome.association_lost(str(error))
