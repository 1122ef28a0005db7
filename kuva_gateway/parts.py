"""The gateway's parts as the configuration wants them, for the daemon and for commands alike.

Keeps nothing; every function makes something new from a checked configuration. Network, rules and catalog are imported
where they are used: a command that only looks into the catalog starts without the network, a receiving process without
the catalog.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from kuva_gateway.config import Configuration
from kuva_gateway.config.model import IMPORTED
from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.uids import is_valid_uid
from kuva_gateway.errors import ConfigurationError, DeferredError, NotFoundError, Problem, RefusedError
from kuva_gateway.spool.spool import Spool

if TYPE_CHECKING:
    import ssl

    from kuva_gateway.catalog.database import Catalog
    from kuva_gateway.catalog.records import DestinationPlan, StudyView
    from kuva_gateway.catalog.visibility import Condition
    from kuva_gateway.catalog.withdrawal import MakeNote
    from kuva_gateway.clinical.code_mapping import CodeMapping
    from kuva_gateway.clinical.content_classes import ContentClasses
    from kuva_gateway.clinical.document_profile import Profile
    from kuva_gateway.config import Peer
    from kuva_gateway.dicom.amendments import Amendment
    from kuva_gateway.forward.call import Call
    from kuva_gateway.network import Limits, Timers
    from kuva_gateway.validation.automatic import SenderOf
    from kuva_gateway.validation.findings import Refusal, Verdict
    from kuva_gateway.validation.parties import PartiesOf
    from kuva_gateway.validation.practice import Practice

CATALOG_FILE = "catalog.sqlite"


def open_catalog(configuration: Configuration, *, create: bool, now: Callable[[], datetime] | None = None) -> Catalog:
    """The catalog that the configuration names; raises what :meth:`Catalog.open` raises."""
    from kuva_gateway.catalog.database import Catalog

    keywords: dict[str, Any] = {} if now is None else {"now": now}
    return Catalog.open(configuration.catalog.url, catalog_path(configuration), create=create, **keywords)


def catalog_path(configuration: Configuration) -> Path:
    """Where the embedded catalog's file is."""
    return configuration.state_directory / CATALOG_FILE


def open_spool(configuration: Configuration) -> Spool:
    """The spool's folders in the state directory, made if they are missing."""
    return Spool(
        configuration.state_directory / "spool",
        durability=configuration.spool.durability,
        minimum_free=configuration.spool.minimum_free,
    )


def timers(configuration: Configuration) -> Timers:
    """The deadlines of associations."""
    from kuva_gateway.network import Timers

    own = configuration.timers
    return Timers(
        handshake=own.handshake,
        associate=own.associate,
        idle=own.idle,
        message=own.message,
        minimum_rate=own.minimum_rate,
        send_stall=own.send_stall,
        response=own.response,
    )


def limits(configuration: Configuration) -> Limits:
    """How much of the machine peers may use."""
    from kuva_gateway.network import Limits

    own = configuration.limits
    return Limits(
        associations=own.associations,
        half_open=own.half_open,
        half_open_per_address=own.half_open_per_address,
        pdu_length=own.pdu_length,
    )


def server_tls(configuration: Configuration) -> ssl.SSLContext | None:
    """The TLS context of the listener, None when there is none; raises TlsFilesError."""
    from kuva_gateway.network import tls

    own = configuration.tls
    if own.port is None or own.certificate is None or own.key is None:
        return None
    return tls.server_context(
        configuration.path(own.certificate),
        configuration.path(own.key),
        None if own.ca is None else configuration.path(own.ca),
    )


def client_tls(configuration: Configuration) -> ssl.SSLContext | None:
    """The TLS context for calling others, None when none of them uses TLS; raises TlsFilesError."""
    from kuva_gateway.network import tls

    called = any(peer.require_tls and peer.host is not None for peer in configuration.peers)
    if not (called or any(destination.tls for destination in configuration.destinations)):
        return None
    own = configuration.tls
    return tls.client_context(
        None if own.ca is None else configuration.path(own.ca),
        None if own.certificate is None else configuration.path(own.certificate),
        None if own.key is None else configuration.path(own.key),
    )


def check_configuration(configuration: Configuration, path: Path) -> None:
    """Check what the file's form cannot say: rule ids, TLS files, that somebody can reach us.

    Raises
    ------
    ConfigurationError
        With every such fault.
    """
    from kuva_gateway.network.errors import TlsFilesError
    from kuva_gateway.validation.rules import RULES

    problems = []
    for place, rules in [
        ("rules", configuration.rules),
        *((f"peers.{p.name}.rules", p.rules) for p in configuration.peers),
    ]:
        problems += [
            Problem(line=None, key=f"{place}.{rule}", message=_no_rule(rule)) for rule in rules if rule not in RULES
        ]
    try:
        known = {one.id for one in content_classes(configuration).classes}
        problems += _unknown_classes(configuration, known)
    except ConfigurationError as error:
        problems += [
            Problem(line=None, key="archive.content_classes", message=f"{error.path}: {one}") for one in error.problems
        ]
    except NotFoundError as error:
        problems.append(Problem(line=None, key="archive.content_classes", message=str(error)))
    for make in (server_tls, client_tls):
        try:
            make(configuration)
        except TlsFilesError as error:
            problems.append(Problem(line=None, key="tls", message=str(error)))
    problems += _unknown_peers(configuration)
    problems += _wrong_oids(configuration)
    problems += _mapping_problems(configuration)
    if configuration.listen.port is None and configuration.tls.port is None:
        problems.append(
            Problem(line=None, key="listen.port", message="neither a plain nor a TLS port: nobody can reach us")
        )
    if problems:
        raise ConfigurationError(str(path), problems)


def _wrong_oids(configuration: Configuration) -> list[Problem]:
    """OIDs of producers and register keepers that are none of an organisation's would silently match nothing."""
    from kuva_gateway.clinical.identifiers import is_organisation_oid

    named = [("register_keepers", oid) for oid in configuration.register_keepers]
    for destination in configuration.destinations:
        named += [(f"destinations.{destination.name}.calling_ae_titles", oid) for oid in destination.calling_ae_titles]
    for peer in configuration.peers:
        named += [
            (f"peers.{peer.name}.{key}", oid)
            for key, oid in (("producer", peer.producer), ("register_keeper", peer.register_keeper))
            if oid is not None
        ]
    return [
        Problem(line=None, key=key, message="expected an OID under 1.2.246.10")
        for key, oid in named
        if not is_organisation_oid(oid)
    ]


def _unknown_peers(configuration: Configuration) -> list[Problem]:
    """Filters that name a peer which is not configured would silently take nothing."""
    known = {peer.name for peer in configuration.peers} | {IMPORTED}
    return [
        Problem(line=None, key=f"destinations.{one.name}.filter", message=f"there is no peer {name}")
        for one in configuration.destinations
        for name in sorted(one.filter.peers - known)
    ]


def _no_rule(rule: str) -> str:
    from kuva_gateway.validation.texts.elsewhere import ELSEWHERE

    return (
        "this rule has no findings and no severity (docs/rules.rst)" if rule in ELSEWHERE else "there is no such rule"
    )


def _unknown_classes(configuration: Configuration, known: set[str]) -> list[Problem]:
    """Filters that name a content class which the file lacks would silently take nothing."""
    return [
        Problem(line=None, key=f"destinations.{one.name}.filter", message=f"there is no content class {name}")
        for one in configuration.destinations
        for name in sorted(one.filter.content_classes - known)
    ]


def content_classes(configuration: Configuration) -> ContentClasses:
    """The content classes, from the configured file or the one that ships with the gateway.

    Raises
    ------
    ConfigurationError
        The file cannot be read or has faults, each with its line.
    NotFoundError
        No file is configured, and the shipped one was not installed.
    """
    from kuva_gateway.clinical.content_classes import read_content_classes
    from kuva_gateway.intake.shipped import CONTENT_CLASSES, shipped_file

    own = configuration.archive.content_classes
    return read_content_classes(shipped_file(CONTENT_CLASSES) if own is None else configuration.path(own))


def practice(configuration: Configuration, classes: ContentClasses | None = None) -> Practice:
    """What the archive takes; without ``classes`` for the immediate rules, which ask for none."""
    from kuva_gateway.validation.practice import Practice

    own = configuration.archive
    return Practice(
        content_classes=classes,
        method_modalities=own.method_modalities,
        transfer_syntaxes=own.transfer_syntaxes.configured(),
        study_uid_roots=own.study_uid_roots,
    )


def judged_by(configuration: Configuration) -> str:
    """A digest of everything besides a study's facts that its verdict depends on: rules, tables, this version."""
    from kuva_gateway import __version__

    keys = {
        "environment",
        "timezone",
        "language",
        "private_storage_classes",
        "rules",
        "archive",
        "authorizations",
        "register_keepers",
    }
    own = configuration.model_dump_json(include=keys)
    peers = sorted(peer.model_dump_json(exclude={"networks", "limits", "host", "port"}) for peer in configuration.peers)
    classes = content_classes(configuration).model_dump_json()
    tables = [configuration.path(peer.code_mapping).read_bytes() for peer in configuration.peers if peer.code_mapping]
    digest = hashlib.sha256("\n".join([__version__, own, *peers, classes]).encode())
    for table in tables:
        digest.update(hashlib.sha256(table).digest())
    return digest.hexdigest()


def make_today(configuration: Configuration, now: Callable[[], datetime]) -> Callable[[], date]:
    """The day where the gateway is."""
    zone = ZoneInfo(configuration.timezone)
    return lambda: now().astimezone(zone).date()


def make_may_see(configuration: Configuration) -> Callable[[Catalog, str], Condition]:
    """What each peer may see of the studies: a condition on studies ``s`` (:mod:`kuva_gateway.catalog.visibility`).

    One place for every restriction; queries and retrieval ask it for each request. A peer that belongs to a service
    producer sees what is its own and what authorizations let it search (OSV-04).
    """
    zone = ZoneInfo(configuration.timezone)

    def may_see(catalog: Catalog, peer: str) -> Condition:
        from kuva_gateway.catalog import search_rights, visibility

        own = configuration.query
        hidden = (() if own.show_held else visibility.HELD) + (() if own.show_rejected else visibility.REJECTED)
        seen = visibility.without_states(hidden)
        known = configuration.peer(peer)
        if known is None or known.producer is None or configuration.severities(peer).get("OSV-04") == "off":
            return seen
        today = catalog.now().astimezone(zone).date()
        return seen & search_rights.search_right(known.producer, _peers_of(configuration, known.producer), today)

    return may_see


def _mapping_problems(configuration: Configuration) -> list[Problem]:
    """Every fault in the peers' mapping files, with the file's line."""
    from kuva_gateway.clinical.code_mapping import CodeMappingError

    problems = []
    for peer in configuration.peers:
        try:
            code_mapping(configuration, peer)
        except CodeMappingError as error:
            for line, why in error.faults:
                place = f"{peer.code_mapping}" + (f", line {line}" if line else "")
                problems.append(Problem(line=None, key=f"peers.{peer.name}.code_mapping", message=f"{place}: {why}"))
    return problems


def code_mapping(configuration: Configuration, peer: Peer) -> CodeMapping | None:
    """The peer's mapping of local codes, None when it has none; raises CodeMappingError."""
    from kuva_gateway.intake.code_mappings import load_code_mapping

    return None if peer.code_mapping is None else load_code_mapping(configuration.path(peer.code_mapping))


def unlisted_codes(configuration: Configuration, catalog: Catalog) -> list[str]:
    """A line for each code of a mapping file that the code list does not have."""
    from kuva_gateway.intake.code_mappings import unlisted

    return [
        f"peers.{peer.name}.code_mapping: {peer.code_mapping}, {line}"
        for peer in configuration.peers
        if (mapping := code_mapping(configuration, peer)) is not None
        for line in unlisted(catalog, mapping)
    ]


def _peers_of(configuration: Configuration, producer: str) -> list[str]:
    """The peers whose studies are a producer's own: those of its organisation."""
    from kuva_gateway.clinical.identifiers import organisation_of

    own = organisation_of(producer)
    return [
        one.name
        for one in configuration.peers
        if own in {organisation_of(oid) for oid in (one.producer, one.register_keeper) if oid is not None}
    ]


def accepted_documents(configuration: Configuration) -> Path:
    """Where the bytes of accepted documents are kept."""
    return configuration.state_directory / "documents" / "accepted"


def accepted_authorizations(configuration: Configuration) -> Path:
    """Where the bytes of accepted authorizations are kept."""
    return configuration.state_directory / "authorizations" / "accepted"


def make_state_directory(path: Path) -> None:
    """Make the state directory, readable by the gateway's own user only."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def document_profile(configuration: Configuration) -> Profile:
    """How imaging documents are read."""
    from kuva_gateway.clinical.document_profile import Profile

    return Profile(kinds=configuration.documents.kinds, accession_roots=configuration.documents.accession_roots)


def make_keeper_of(configuration: Configuration, catalog: Catalog) -> Callable[[str], str]:
    """Whose register a study belongs into, by its UID: the register keeper's OID, "" when nothing says it."""
    from kuva_gateway.catalog.keepers import register_keeper

    by_peer = {one.name: one.register_keeper for one in configuration.peers if one.register_keeper is not None}
    return lambda study: register_keeper(catalog, study, by_peer)


def destination_plans(configuration: Configuration) -> tuple[DestinationPlan, ...]:
    """Where an accepted study goes."""
    from kuva_gateway.catalog.records import DestinationPlan

    urgent = frozenset(peer.name for peer in configuration.peers if peer.urgent)
    return tuple(
        DestinationPlan(
            name=one.name,
            required=one.required,
            commitment=one.storage_commitment,
            filter=one.filter or None,
            urgent_peers=urgent,
        )
        for one in configuration.destinations
    )


def rejecters(configuration: Configuration) -> dict[str, bool]:
    """The peers whose rejection notes count, and whether these are forwarded (IOC-01)."""
    return {peer.name: peer.forward_rejections for peer in configuration.peers if "reject" in peer.allow}


def make_note(configuration: Configuration, code: str, uid: str, now: datetime) -> MakeNote:
    """What writes a rejection note of ours: its title has ``code``, its SOP Instance UID is ``uid``."""
    from kuva_gateway import __version__
    from kuva_gateway.dicom.key_objects import write_note
    from kuva_gateway.dicom.uids import new_uid

    device = {
        "Manufacturer": "kuva-gateway",
        "ManufacturerModelName": "kuva-gateway",
        "SoftwareVersions": __version__,
        "StationName": configuration.ae_title,
    }
    at = now.astimezone(ZoneInfo(configuration.timezone))
    return partial(write_note, code=code, uid=uid, series_uid=new_uid(), at=at, device=device)


def call_peer(configuration: Configuration, peer: Peer) -> Call | None:
    """How a peer is called, with TLS where it must use that itself; None: nobody knows where it is."""
    from kuva_gateway.forward.call import Call

    if peer.host is None or peer.port is None:
        return None
    return Call(
        name=peer.name,
        host=peer.host,
        port=peer.port,
        called_ae=peer.ae_title,
        calling_ae=configuration.ae_title,
        tls=client_tls(configuration) if peer.require_tls else None,
        timers=timers(configuration),
        limits=limits(configuration),
    )


def make_callee(configuration: Configuration) -> Callable[[str], Call | None]:
    """AE title to the peer that is called so, for C-MOVE: the first with a host and a port."""

    def callee(ae_title: str) -> Call | None:
        calls = (call_peer(configuration, peer) for peer in configuration.peers if peer.ae_title == ae_title)
        return next((call for call in calls if call is not None), None)

    return callee


def make_parties_of(configuration: Configuration, catalog: Catalog | None) -> PartiesOf:
    """What is known of those who sent a study and of those whose it is; without a catalog only the configuration."""
    from kuva_gateway.catalog import authorizations, providers
    from kuva_gateway.validation.parties import Concerned, Parties, Sender

    peers = {
        one.name: Sender(peer=one.name, producer=one.producer or "", register_keeper=one.register_keeper or "")
        for one in configuration.peers
    }
    own = {
        *configuration.register_keepers,
        *(one.register_keeper for one in peers.values() if one.register_keeper),
        *(keeper for destination in configuration.destinations for keeper in destination.calling_ae_titles),
    }

    def senders_called(name: str, concerned: Concerned) -> list[Sender]:
        """One that is not configured (any more) counts as the producers that the documents name."""
        if name in peers:
            return [peers[name]]
        if name == IMPORTED or not concerned.producers:
            return [Sender(peer=name)]
        return [Sender(peer=name, producer=producer) for producer in concerned.producers]

    def parties_of(concerned: Concerned) -> Parties:
        senders = tuple(sender for name in concerned.peers for sender in senders_called(name, concerned))
        producers = [one.producer for one in senders if one.producer]
        keepers = {*concerned.keepers, *(one.register_keeper for one in senders if one.register_keeper)}
        known = providers.mapped(catalog) if catalog is not None else ()
        found = (
            authorizations.concerning(catalog, producers, keepers, concerned.patients)
            if catalog is not None and producers
            else ()
        )
        served = own | {keeper for keeper in keepers if any(one.keeps(keeper) for one in known)}
        return Parties(
            senders=senders,
            authorizations=found,
            valid_on=configuration.authorizations.valid_on,
            known_keepers=frozenset(served if configuration.register_keepers else ()),
            providers=known,
        )

    return parties_of


def make_senders(configuration: Configuration) -> SenderOf:
    """What is configured for each peer's images; mapping files are read once."""
    from kuva_gateway.validation.automatic import Sender

    senders = {
        peer.name: Sender(
            issuer=peer.issuer_of_patient_id or "",
            accession_issuer=peer.issuer_of_accession_number or "",
            mapping=code_mapping(configuration, peer),
        )
        for peer in configuration.peers
    }
    nobody = Sender()
    return lambda name: senders.get(name, nobody)


def make_amender(
    configuration: Configuration, catalog: Catalog, now: Callable[[], datetime]
) -> Callable[[StudyView], Sequence[Amendment]]:
    """The function that says which amendments follow from links and configuration for a study as it was seen."""
    from kuva_gateway.catalog import codes
    from kuva_gateway.validation.automatic import following

    senders = make_senders(configuration)
    periods_for = partial(codes.periods_for, catalog)
    return lambda view: following(view, senders, periods_for, now())


def make_judge(
    configuration: Configuration, catalog: Catalog, now: Callable[[], datetime]
) -> Callable[[StudyView], Verdict]:
    """The function that judges a study as it was seen, by the rules and severities in force for its peer."""
    from kuva_gateway.catalog import codes
    from kuva_gateway.validation.automatic import unmapped
    from kuva_gateway.validation.facts import facts_from_view
    from kuva_gateway.validation.rules import judge

    parties_of = make_parties_of(configuration, catalog)
    senders = make_senders(configuration)
    today = make_today(configuration, now)
    taken = practice(configuration, content_classes(configuration))

    def judge_view(view: StudyView) -> Verdict:
        facts = facts_from_view(
            view,
            periods_for=partial(codes.periods_for, catalog),
            environment=configuration.environment,
            today=today(),
            private_classes=frozenset(configuration.private_storage_classes),
            parties_of=parties_of,
            unmapped=unmapped(view, senders),
            practice=taken,
        )
        return judge(facts, configuration.severities(view.study.peer), configuration.language)

    return judge_view


def make_immediate(configuration: Configuration) -> Callable[[Header, str], Refusal | None]:
    """The rules that answer a C-STORE at once, for an instance from the peer of that name.

    Rules look at what is common to many instances (:meth:`Header.facts`) and at UIDs: what was found good for one
    instance holds for the next of its series, whose own UID is all that is left to see.
    """
    from kuva_gateway.validation.rules import check_instance

    private = frozenset(configuration.private_storage_classes)
    taken = practice(configuration)
    last = threading.local()

    def immediate(header: Header, peer: str) -> Refusal | None:
        seen = (peer, header.series_instance_uid, header.facts_key())
        if getattr(last, "good", None) == seen and is_valid_uid(header.sop_instance_uid):
            return None
        refusal = check_instance(
            header,
            None,
            configuration.environment,
            configuration.severities(peer),
            private_classes=private,
            practice=taken,
        )
        last.good = seen if refusal is None else None
        return refusal

    return immediate


def echo_target(configuration: Configuration, name: str) -> float:
    """Send a C-ECHO to the peer or destination called ``name``; returns the milliseconds that it took.

    Raises
    ------
    RefusedError, DeferredError
        It did not answer with success; the text says why.
    """
    from kuva_gateway.forward.call import Call, echo

    destination, peer = configuration.destination(name), configuration.peer(name)
    if destination is not None:
        call: Call | None = Call(
            name=name,
            host=destination.host,
            port=destination.port,
            called_ae=destination.ae_title,
            calling_ae=destination.calling_ae_title or configuration.ae_title,
            tls=client_tls(configuration) if destination.tls else None,
            timers=timers(configuration),
            limits=limits(configuration),
        )
    else:
        call = None if peer is None else call_peer(configuration, peer)
    if call is None:
        raise RefusedError(f"{name[:40]} has no host and port in the configuration")
    begun = time.perf_counter()
    found = echo(call)
    if not found.stored:
        raise DeferredError(f"{name} did not answer well: {found}", code=found.code)
    return (time.perf_counter() - begun) * 1000
