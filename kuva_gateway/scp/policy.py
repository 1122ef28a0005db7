"""Who may come in, and what each may do: the configuration as an answer to A-ASSOCIATE-RQ. Default deny.

Keeps nothing but the configuration. Promises that a service which a peer is not allowed is refused in negotiation, and
that a destination which is no peer gets in for the results of storage commitment and nothing else.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from kuva_gateway.config import Configuration, Destination, Peer
from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.information_model import MODELS, answer_negotiation
from kuva_gateway.dicom.sop_classes import STORAGE_CLASSES
from kuva_gateway.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL, VERIFICATION
from kuva_gateway.network.records import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    Admission,
    Answer,
    AssociationRequest,
    ProposedContext,
    Rejection,
    Role,
)
from kuva_gateway.network.shown import PeerCertificate

ASSOCIATIONS_OF_A_DESTINATION = 20
"""Associations that a destination which is no peer may have open at a time."""

_PLAIN_SYNTAXES = frozenset({syntaxes.IMPLICIT_LITTLE, syntaxes.EXPLICIT_LITTLE, syntaxes.EXPLICIT_BIG})
_AS_STORED = (syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE)
_NOT_SUPPORTED = Answer(result=ABSTRACT_SYNTAX_NOT_SUPPORTED)

# PS3.8 9.3.4: rejected-permanent, by the service user; 3 calling, 7 called AE title not recognized.
_CALLING_AE, _CALLED_AE = 3, 7


class Policy:
    """The configuration's answer to those who call.

    Parameters
    ----------
    fetches
        Whether an archive was asked to send something to ``query.fetch_ae_title`` and has not finished.
    """

    def __init__(self, configuration: Configuration, *, fetches: Callable[[], bool] = lambda: False) -> None:
        self._ae_title = configuration.ae_title
        self._fetch_ae_title = configuration.query.fetch_ae_title
        self._upstream = configuration.query.upstream or ""
        self._fetches = fetches
        self._offers_tls = configuration.tls.port is not None
        self._preference = configuration.transfer_syntaxes
        self._storage = STORAGE_CLASSES | frozenset(configuration.private_storage_classes)
        self._peers: defaultdict[str, list[Peer]] = defaultdict(list)
        for peer in configuration.peers:
            self._peers[peer.ae_title].append(peer)
        self._destinations: defaultdict[str, list[Destination]] = defaultdict(list)
        for destination in configuration.destinations:
            self._destinations[destination.ae_title].append(destination)

    def admit(self, request: AssociationRequest) -> Admission | Rejection:
        """May this AE come in?

        Of several peers with one AE title the first counts whose networks hold the address. An AE title that peers
        have is never let in as a destination from anywhere else. A destination reports to the AE title by which it was
        called, which may be another than the gateway's own.
        """
        if request.called_ae == self._fetch_ae_title:
            return self._admit_fetched(request)
        destinations = self._destinations.get(request.calling_ae, [])
        if request.called_ae != self._ae_title and request.called_ae not in _used_at(destinations):
            return _reject("the called AE title is not ours", reason=_CALLED_AE)
        peers = self._peers.get(request.calling_ae, [])
        peer = next((one for one in peers if _inside(request.address, one)), None)
        if peer is not None:
            return self._admit_peer(request, peer, reports=bool(destinations))
        if peers:
            return _reject("no peer with this AE title calls from this address")
        if not destinations:
            return _reject("nobody with this calling AE title is configured")
        return self._refuse_destinations(request, destinations) or Admission(
            peer=destinations[0].name,
            accept=self._answers(request, frozenset(), reports=True),
            limit=ASSOCIATIONS_OF_A_DESTINATION,
        )

    def _admit_fetched(self, request: AssociationRequest) -> Admission | Rejection:
        """Under the title for what was asked for: the archive that is asked, while it is, to store and nothing else."""
        peers = self._peers.get(request.calling_ae, [])
        destination = next(
            (one for one in self._destinations.get(request.calling_ae, ()) if one.name == self._upstream), None
        )
        if destination is None and all(one.name != self._upstream for one in peers):
            return _reject("only the archive that is fetched from calls this AE title")
        peer = next((one for one in peers if _inside(request.address, one)), None)
        if peers and peer is None:
            return _reject("no peer with this AE title calls from this address")
        refused = None if peer is None else self._refuse_peer(request, peer)
        if refused is not None:
            return refused
        refused = None if destination is None else self._refuse_destinations(request, [destination])
        if refused is not None:
            return refused
        if not self._fetches():
            return _reject("nothing is being fetched for this AE title", reason=_CALLED_AE)

        def answer(context: ProposedContext) -> Answer:
            if context.abstract_syntax not in self._storage:
                return _NOT_SUPPORTED
            return self._choose(context, syntaxes.ACCEPTED, as_stored=True)

        return Admission(peer=self._upstream, accept=answer, limit=ASSOCIATIONS_OF_A_DESTINATION)

    def is_storage(self, sop_class: str) -> bool:
        """Whether the gateway stores instances of this SOP class."""
        return sop_class in self._storage

    def may_commit(self, peer: str) -> bool:
        """Whether the peer of this name may ask for storage commitment."""
        return any(one.name == peer and "commit" in one.allow for peers in self._peers.values() for one in peers)

    def destinations(self, ae_title: str) -> tuple[str, ...]:
        """The names of the destinations with this AE title."""
        return tuple(one.name for one in self._destinations.get(ae_title, ()))

    def _admit_peer(self, request: AssociationRequest, peer: Peer, *, reports: bool) -> Admission | Rejection:
        return self._refuse_peer(request, peer) or Admission(
            peer=peer.name,
            accept=self._answers(request, peer.allow, reports=reports),
            limit=peer.limits.associations,
        )

    def _refuse_peer(self, request: AssociationRequest, peer: Peer) -> Rejection | None:
        """What is wrong with the way in which this peer calls."""
        if peer.require_tls and not request.tls:
            return _reject("this peer must use TLS and does not")
        bound = peer.certificate_subject is not None or peer.certificate_names
        if bound and not _is_one_of(request.certificate, peer.certificate_subject, peer.certificate_names):
            return _reject("the certificate is not the one that this peer must show")
        return None

    def _refuse_destinations(self, request: AssociationRequest, called: Sequence[Destination]) -> Rejection | None:
        """What is wrong with the way in which these, of one AE title, call us; nothing where TLS is not offered."""
        if not self._offers_tls:
            return None
        if not request.tls and any(one.tls for one in called):
            return _reject("this destination is reached with TLS and called without")
        names = [name for one in called for name in one.certificate_names]
        if names and not _is_one_of(request.certificate, None, names):
            return _reject("the certificate is not the one that this destination must show")
        return None

    def _answers(
        self, request: AssociationRequest, allow: Collection[str], *, reports: bool
    ) -> Callable[[ProposedContext], Answer]:
        def answer(context: ProposedContext) -> Answer:
            if context.abstract_syntax == VERIFICATION and "echo" in allow:
                return self._choose(context, _PLAIN_SYNTAXES)
            if context.abstract_syntax == STORAGE_COMMITMENT_PUSH_MODEL and (reports or "commit" in allow):
                wanted = request.roles.get(STORAGE_COMMITMENT_PUSH_MODEL)
                return self._choose(
                    context, _PLAIN_SYNTAXES, _commitment_role(wanted, asks="commit" in allow, reports=reports)
                )
            model = MODELS.get(context.abstract_syntax)
            if model is not None and model.service.value in allow:
                proposed = request.extended.get(context.abstract_syntax)
                agreed = None if proposed is None else answer_negotiation(proposed, model.service)
                return self._choose(context, _PLAIN_SYNTAXES, extended=agreed)
            if context.abstract_syntax in self._storage:
                return self._answer_storage(context, request.roles.get(context.abstract_syntax), allow)
            return _NOT_SUPPORTED

        return answer

    def _answer_storage(self, context: ProposedContext, wanted: Role | None, allow: Collection[str]) -> Answer:
        """A context for what the peer stores, for what it gets by C-GET (as SCP: PS3.4 C.5.3.1), or for both.

        What a peer gets goes as it is stored, mostly uncompressed: that comes first where the peer offers a choice.
        """
        gets = wanted is not None and wanted.scp and "get" in allow
        stores = "store" in allow and (wanted is None or wanted.scu)
        if not (gets or stores):
            return _NOT_SUPPORTED
        role = Role(scu=stores, scp=True) if gets else None
        return self._choose(context, syntaxes.ACCEPTED, role, as_stored=not stores)

    def _choose(
        self,
        context: ProposedContext,
        supported: Collection[str],
        role: Role | None = None,
        extended: bytes | None = None,
        as_stored: bool = False,
    ) -> Answer:
        preference = _AS_STORED if as_stored else self._preference
        chosen = syntaxes.choose(context.transfer_syntaxes, preference, supported)
        if chosen is None:
            return Answer(result=TRANSFER_SYNTAXES_NOT_SUPPORTED)
        return Answer(transfer_syntax=chosen, role=role, extended=extended)


def _commitment_role(wanted: Role | None, *, asks: bool, reports: bool) -> Role | None:
    """A modality asks as SCU, an archive reports as SCP on an association of its own (PS3.4 J.3.3, PS3.7 D.3.3.4).

    Who forgets to propose a role is let in all the same: requests and results are heard.
    """
    if wanted is None:
        return None
    role = Role(scu=wanted.scu and asks, scp=wanted.scp and reports)
    return role if role.scu or role.scp else None


def _used_at(destinations: Iterable[Destination]) -> set[str]:
    """The AE titles under which the gateway calls these destinations."""
    used = {title for one in destinations for title in one.calling_ae_titles.values()}
    return used | {one.calling_ae_title for one in destinations if one.calling_ae_title is not None}


def _inside(address: str, peer: Peer) -> bool:
    """Whether ``address`` is in one of the peer's networks; ``networks: null`` holds every address."""
    if peer.networks is None:
        return True
    try:
        found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in network for network in peer.networks)


def _is_one_of(shown: PeerCertificate | None, subject: str | None, names: Collection[str]) -> bool:
    """Whether a certificate has this subject (as a whole, or as its one common name) or carries one of these names."""
    if shown is None:
        return False
    by_subject = subject is not None and (shown.subject == subject or f"CN:{subject}" in shown.names)
    return by_subject or not shown.names.isdisjoint(names)


def _reject(why: str, *, reason: int = _CALLING_AE) -> Rejection:
    return Rejection(result=1, source=1, reason=reason, why=why)
