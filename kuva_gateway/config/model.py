"""Every key of the configuration file, its type, its default and what it may hold.

The models are frozen: a changed configuration is a new object. Durations are seconds, sizes are bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, StringConstraints, field_validator, model_validator

from kuva_gateway.config.archive import Archive, Uid
from kuva_gateway.config.delivery import Filter, Statuses, Window
from kuva_gateway.config.kinds import (
    AeTitle,
    Name,
    Port,
    RetrySchedule,
    Rules,
    Section,
    Severity,
)
from kuva_gateway.config.peer import Peer
from kuva_gateway.config.tls import CertificateNames, Tls
from kuva_gateway.config.units import Duration, Share, Size


class Listen(Section):
    """Where peers reach the gateway without TLS."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] | None = 11112
    processes: Annotated[int, Field(ge=0, le=64)] | None = None


class Timers(Section):
    """How long each phase of an association may last; each is an absolute deadline."""

    handshake: Duration = 10.0
    associate: Duration = 30.0
    idle: Duration = 600.0
    message: Duration = 60.0
    minimum_rate: Size = 16 * 1024
    send_stall: Duration = 60.0
    response: Duration = 120.0


class Limits(Section):
    """How much of the machine all peers together may use."""

    associations: Annotated[int, Field(ge=1)] = 200
    half_open: Annotated[int, Field(ge=1)] = 256
    half_open_per_address: Annotated[int, Field(ge=1)] = 16
    pdu_length: Annotated[Size, Field(ge=4096, le=16 * 2**20)] = 256 * 1024


class CatalogSection(Section):
    """Where the index lives; without ``url`` it is SQLite in the state directory."""

    url: str | None = None

    @field_validator("url")
    @classmethod
    def _known_database(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("expected postgresql://user@host/database, or null for SQLite")
        return url


class SpoolSection(Section):
    """How received files are made durable."""

    durability: Literal["auto", "strict"] = "auto"
    minimum_free: Size = 5 * 2**30


class Destination(Section):
    """Where accepted studies go, and how patiently."""

    name: Name
    ae_title: AeTitle
    host: str
    port: Port
    calling_ae_title: AeTitle | None = None
    calling_ae_titles: dict[str, AeTitle] = {}
    tls: bool = False
    certificate_names: CertificateNames = ()
    required: bool = True
    storage_commitment: bool = True
    commitment_wait: Duration = 2.0
    commitment_overdue: Duration = 3600.0
    retry: RetrySchedule = "5x1m,12x5m,48x1h"
    give_up_after: Duration = 30 * 86400.0
    rest_for: Duration = 60.0
    rest_at_most: Duration = 300.0
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    window: Window | None = None
    bandwidth: Annotated[Size, Field(ge=1024)] | None = None
    decompress: bool = True
    filter: Filter = Filter()
    statuses: Statuses = {}


class Decoding(Section):
    """What the process that decompresses images may use."""

    memory: Annotated[Size, Field(ge=512 * 2**20)] = 2**30
    timeout: Annotated[Duration, Field(ge=1)] = 600.0


class Documents(Section):
    """Where imaging documents are dropped, and how their content is read (our own extraction profile)."""

    drop_folder: Path = Path("documents/incoming")
    scan_every: Duration = 10.0
    accession_roots: tuple[str, ...] = ()
    kinds: dict[str, Literal["request", "examination_entry", "report", "other"]] = {}


class Authorizations(Section):
    """Where service-purchase authorizations are dropped, and on which day one must be valid."""

    drop_folder: Path = Path("authorizations/incoming")
    scan_every: Duration = 10.0
    valid_on: Literal["study_date", "delivery_date", "both"] = "study_date"


class Adt(Section):
    """Where HL7 v2 messages about patients (ADT^A40, ADT^A08) are dropped."""

    drop_folder: Path = Path("adt/incoming")
    scan_every: Duration = 10.0


class Query(Section):
    """What peers may find, how patiently, and how many."""

    limit: Annotated[int, Field(ge=1)] = 10000
    barrier: Duration = 5.0
    lenient: bool = True
    fold_accents: bool = True
    show_held: bool = True
    show_rejected: bool = True
    upstream: Name | None = None
    upstream_timeout: Duration = 10.0
    fetch_ae_title: AeTitle | None = None
    cache_for: Duration = 86400.0


class Retention(Section):
    """When files that every required destination has committed to are removed."""

    keep_for: Duration = 30 * 86400.0
    low_water: Share = 0.2


class AuditCollector(Section):
    """Where the audit trail is delivered to: a syslog server of the hospital."""

    host: str
    port: Port = 6514
    transport: Literal["tls", "tcp", "udp"] = "tls"
    ca: Path | None = None


class Audit(Section):
    """Who reports audit messages (PS3.15 A.5), to whom, and how much of the trail stays."""

    source: str | None = None
    site: str = ""
    collector: AuditCollector | None = None
    keep_for: Duration | None = None
    keep_bytes: Size | None = None


class Metrics(Section):
    """Where figures for monitoring are offered; without ``port`` nowhere."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] | None = 9108


class Web(Section):
    """Where ``kuva-gateway web`` offers the status pages, to this machine alone, and who sees what there."""

    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: Port = 8480
    allowed_hosts: tuple[str, ...] = ()
    user_header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    token: Path | None = None
    show_patients: bool = False

    @model_validator(mode="after")
    def _patients_to_known_people(self) -> Web:
        if self.show_patients and self.user_header is None and self.token is None:
            raise ValueError("show_patients needs user_header or token: who sees patients is written down")
        return self


class Alerts(Section):
    """Who is told of alerts where nobody watches the figures, and when waiting is too long."""

    command: tuple[str, ...] | None = None
    held_for: Duration = 86400.0
    unarchived_for: Duration = 3 * 86400.0

    @field_validator("command")
    @classmethod
    def _a_program(cls, command: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if command is not None and not (command and command[0].startswith("/")):
            raise ValueError("expected a list: the program's whole path, then its arguments")
        return command


class Log(Section):
    """What is written about what happens: lines for people on a terminal, fields in the journal, JSON elsewhere."""

    format: Literal["auto", "json", "text"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Configuration(Section):
    """The whole file. ``environment`` has no default: nobody runs production by accident."""

    ae_title: AeTitle = "KUVAGW"
    environment: Literal["test", "production"]
    state_directory: Path = Path("./var")
    timezone: str = "Europe/Helsinki"
    language: Literal["en", "fi"] = "en"
    listen: Listen = Listen()
    tls: Tls = Tls()
    timers: Timers = Timers()
    limits: Limits = Limits()
    drain_timeout: Duration = 30.0
    private_storage_classes: tuple[Uid, ...] = ()
    transfer_syntaxes: tuple[Uid, ...] | None = None
    catalog: CatalogSection = CatalogSection()
    spool: SpoolSection = SpoolSection()
    settle_after: Duration = 60.0
    settle_at_most: Duration = 7200.0
    duplicates: Literal["newest", "first"] = "newest"
    rules: Rules = {}
    register_keepers: tuple[str, ...] = ()
    archive: Archive = Archive()
    peers: tuple[Peer, ...] = ()
    destinations: tuple[Destination, ...] = ()
    decoding: Decoding = Decoding()
    documents: Documents = Documents()
    authorizations: Authorizations = Authorizations()
    adt: Adt = Adt()
    query: Query = Query()
    retention: Retention = Retention()
    audit: Audit = Audit()
    metrics: Metrics = Metrics()
    web: Web = Web()
    alerts: Alerts = Alerts()
    log: Log = Log()

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("expected a time zone such as Europe/Helsinki") from error
        return name

    @field_validator("peers", "destinations")
    @classmethod
    def _names_once(cls, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        seen: set[str] = set()
        for entry in entries:
            if entry.name in seen:
                raise ValueError(f"the name {entry.name} stands twice")
            seen.add(entry.name)
        return entries

    def path(self, relative: Path) -> Path:
        """``relative`` as seen from the state directory (absolute paths stay)."""
        return self.state_directory / relative

    def peer(self, name: str) -> Peer | None:
        """The peer called ``name``, or None."""
        return next((peer for peer in self.peers if peer.name == name), None)

    def destination(self, name: str) -> Destination | None:
        """The destination called ``name``, or None."""
        return next((destination for destination in self.destinations if destination.name == name), None)

    def severities(self, peer: str) -> dict[str, Severity]:
        """The rules' severities that apply to what ``peer`` sent: the peer's own before the global ones."""
        own = self.peer(peer)
        return {**self.rules, **(own.rules if own is not None else {})}

    def is_restricted(self, peer: str) -> bool:
        """Whether ``peer`` sees only what is its producer's own and what authorizations let it search (OSV-04)."""
        own = self.peer(peer)
        return own is not None and own.producer is not None and self.severities(peer).get("OSV-04") != "off"

    def notices(self) -> list[str]:
        """Keys that are set, but that this version does not act on; said by ``config check`` and at start."""
        notices = []
        if not any(destination.required for destination in self.destinations):
            notices.append("destinations: none is required, so no study is ever archived")
        elif all(destination.filter for destination in self.destinations if destination.required):
            notices.append("destinations: a study that no required one's filter takes is never archived")
        for peer in self.peers:
            notices += peer.notices(self.tls)
            if "commit" in peer.allow and (peer.host is None or peer.port is None):
                notices.append(
                    f"peers.{peer.name}: no host and port: storage commitment is reported on its own associations only"
                )
        return notices
