"""What verdicts depend on, as the configuration says: content classes, parties, amendments, what peers see.

Keeps nothing. Rules and catalog are imported where they are used: a receiving process starts without them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from kuva_gateway.config import Configuration
from kuva_gateway.config.kinds import IMPORTED
from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.uids import is_valid_uid

if TYPE_CHECKING:
    from kuva_gateway.catalog.database import Catalog
    from kuva_gateway.catalog.records import DestinationPlan, StudyView
    from kuva_gateway.catalog.visibility import Condition
    from kuva_gateway.catalog.withdrawal import MakeNote
    from kuva_gateway.clinical.code_mapping import CodeMapping
    from kuva_gateway.clinical.content_classes import ContentClasses
    from kuva_gateway.config import Peer
    from kuva_gateway.dicom.amendments import Amendment
    from kuva_gateway.validation.automatic import SenderOf
    from kuva_gateway.validation.findings import Refusal, Verdict
    from kuva_gateway.validation.parties import PartiesOf
    from kuva_gateway.validation.practice import Practice


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
        if known is None or known.producer is None or not configuration.is_restricted(peer):
            return seen
        today = catalog.now().astimezone(zone).date()
        return seen & search_rights.search_right(known.producer, _peers_of(configuration, known.producer), today)

    return may_see


def code_mapping(configuration: Configuration, peer: Peer) -> CodeMapping | None:
    """The peer's mapping of local codes, None when it has none; raises CodeMappingError."""
    from kuva_gateway.intake.code_mappings import load_code_mapping

    return None if peer.code_mapping is None else load_code_mapping(configuration.path(peer.code_mapping))


def _peers_of(configuration: Configuration, producer: str) -> list[str]:
    """The peers whose studies are a producer's own: those of its organisation."""
    from kuva_gateway.clinical.identifiers import organisation_of

    own = organisation_of(producer)
    return [
        one.name
        for one in configuration.peers
        if own in {organisation_of(oid) for oid in (one.producer, one.register_keeper) if oid is not None}
    ]


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
