"""The audit trail as the configuration wants it: where it is, who reports, and what the catalog adds to it."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kuva_gateway.config import Configuration
from kuva_gateway.parts.calling import caller_tls

if TYPE_CHECKING:
    from pathlib import Path

    from kuva_gateway.audit.collector import Collector
    from kuva_gateway.audit.events import Node
    from kuva_gateway.audit.message import Message, Source
    from kuva_gateway.audit.thinning import Thinned
    from kuva_gateway.audit.writer import AuditWriter
    from kuva_gateway.catalog.audited import Untold
    from kuva_gateway.catalog.database import Catalog

_MESSAGES_AT_ONCE = 10_000
"""What one call tells at most: a tick does not hold its thread for hours after a long absence."""


def audit_folder(configuration: Configuration) -> Path:
    """Where the audit trail is."""
    return configuration.state_directory / "audit"


def audit_source(configuration: Configuration) -> tuple[Node, Source]:
    """The gateway as a participant of events, and as the one who reports them."""
    from kuva_gateway.audit.events import Node
    from kuva_gateway.audit.message import Source

    own = configuration.audit
    us = Node(ae_title=configuration.ae_title, address=socket.gethostname())
    return us, Source(identifier=own.source or configuration.ae_title, site=own.site)


def audit_writer(configuration: Configuration, log: Any) -> AuditWriter:
    """For what happens on many threads."""
    from kuva_gateway.audit.trail import Trail
    from kuva_gateway.audit.writer import AuditWriter

    return AuditWriter(Trail(audit_folder(configuration)), *audit_source(configuration), log=log)


def audit_collector(configuration: Configuration, log: Any) -> Collector | None:
    """Who the trail is delivered to, None: nobody; raises TlsFilesError."""
    from kuva_gateway.audit.collector import Address, Collector

    own = configuration.audit.collector
    if own is None:
        return None
    context = caller_tls(configuration, own.ca) if own.transport == "tls" else None
    address = Address(host=own.host, port=own.port, transport=own.transport, tls=context)
    return Collector(audit_folder(configuration), address, log=log)


def audit_undelivered(configuration: Configuration) -> int:
    """How many records of the trail the collector has not got yet; 0 without a collector.

    Raises
    ------
    OSError, DamageError, TlsFilesError
        It cannot be said.
    """
    collector = audit_collector(configuration, None)
    return 0 if collector is None else collector.waiting


def thin_audit(configuration: Configuration, delivered: int | None) -> Thinned:
    """Hold the trail to its limits; raises what :func:`~kuva_gateway.audit.thinning.thin` raises."""
    from kuva_gateway.audit.thinning import Limits, thin

    own = configuration.audit
    keep_for = None if own.keep_for is None else timedelta(seconds=own.keep_for)
    limits = Limits(keep_for=keep_for, keep_bytes=own.keep_bytes)
    return thin(audit_folder(configuration), limits, datetime.now(UTC), delivered)


def tell_audit(configuration: Configuration, catalog: Catalog) -> int:
    """Write to the trail what the catalog has for it: decisions, removals, deliveries; returns how many.

    Raises
    ------
    CatalogUnavailableError, OSError, DamageError
        The catalog is away, or the trail cannot be written; the rest is told the next time.
    """
    from kuva_gateway.audit.message import to_xml
    from kuva_gateway.audit.trail import Trail
    from kuva_gateway.catalog import audited

    trail, (us, source) = Trail(audit_folder(configuration)), audit_source(configuration)
    done = 0
    while done < _MESSAGES_AT_ONCE and (found := audited.untold(catalog)):
        trail.append((one.at, to_xml(_message(configuration, us, one), source)) for one in found)
        audited.told(catalog, [one.id for one in found])
        done += len(found)
    return done


def _message(configuration: Configuration, us: Node, one: Untold) -> Message:
    from kuva_gateway.audit import events

    study = events.StudyTold(
        uid=one.study_instance_uid,
        patient_id=one.patient_id,
        accession_number=one.accession_number,
        sop_classes={"": one.sent} if one.sent else {},
    )
    if one.sent:
        failure = "" if one.outcome == "delivered" else f"{one.sent} sent, then: {one.reason}"
        return events.sent(
            us, one.at, receiver=_destination(configuration, one.destination), studies=[study], failure=failure
        )
    what = one.event if one.entry is None else f"{one.event}: entry {one.entry} to {one.destination}"
    told = f"{what}: {one.reason}" if one.reason else what
    if one.event in ("removed", "files_removed"):
        return events.deleted(us, one.at, person=one.actor, why=told, study=study)
    return events.decided(us, one.at, person=one.actor, what=told, study=study)


def _destination(configuration: Configuration, name: str) -> Node:
    from kuva_gateway.audit.events import Node

    found = configuration.destination(name)
    return Node(ae_title=name) if found is None else Node(ae_title=found.ae_title, address=found.host)
