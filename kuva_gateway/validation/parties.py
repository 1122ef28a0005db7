"""Who sent a study, whose it is, and by what right: the facts beside headers and documents.

Keeps nothing. Senders come from the configuration, registers from the linked documents, authorizations and providers
from the catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from kuva_gateway.catalog.records import KeptAuthorization
from kuva_gateway.clinical.authorizations import Authorization
from kuva_gateway.clinical.documents import ImagingDocument
from kuva_gateway.clinical.providers import Provider

ValidOn = Literal["study_date", "delivery_date", "both"]
KINDS = ("request", "examination_entry", "report")


class Register(NamedTuple):
    """A register as documents name it; ``code`` and ``specifier`` are "" where they do not."""

    keeper: str
    code: str
    specifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A peer that sent instances of the study, as it is configured; OIDs, "" where they are not given."""

    peer: str
    producer: str = ""
    register_keeper: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """What is known of the study's parties.

    Attributes
    ----------
    authorizations
        Those that may let one of the senders' producers store into one of the registers.
    valid_on
        The day that must lie within an authorization's validity.
    known_keepers
        OIDs of the register keepers that the gateway serves; empty: any.
    providers
        Those whose OID an operator has given.
    """

    senders: tuple[Sender, ...] = ()
    authorizations: tuple[KeptAuthorization, ...] = ()
    valid_on: ValidOn = "study_date"
    known_keepers: frozenset[str] = frozenset()
    providers: tuple[Provider, ...] = ()


class Concerned(NamedTuple):
    """What parties are looked up for: who sent, which register keepers' documents, which patients.

    ``producers`` are those that the documents name: of a sender that is not configured nothing else is known.
    """

    peers: tuple[str, ...]
    keepers: tuple[str, ...]
    patients: tuple[str, ...]
    producers: tuple[str, ...] = ()


PartiesOf = Callable[[Concerned], Parties]


def nobody(concerned: Concerned) -> Parties:
    """Parties where nothing is configured."""
    return Parties(senders=tuple(Sender(peer=peer) for peer in concerned.peers))


def concerned(
    peers: Iterable[str], documents: Iterable[tuple[ImagingDocument, bool]], patients: Collection[str]
) -> Concerned:
    """What to look up for a study; ``documents`` are its linked ones, each with whether it is current."""
    papers = tuple(documents)
    named = (document.producer for document, current in papers if current and document.kind in KINDS)
    return Concerned(
        tuple(dict.fromkeys(peers)),
        tuple(dict.fromkeys(register.keeper for register in registers(papers))),
        tuple(dict.fromkeys(one for one in patients if one)),
        tuple(dict.fromkeys(one for one in named if one)),
    )


def registers(documents: Iterable[tuple[ImagingDocument, bool]]) -> tuple[Register, ...]:
    """The registers of the linked documents that are current and of a known kind, once each; ready ones decide."""
    here = [document for document, current in documents if current and document.kind in KINDS]
    ready = [document for document in here if document.ready]
    return tuple(dict.fromkeys(_register(document) for document in ready or here if document.register_keeper))


def _register(document: ImagingDocument) -> Register:
    return Register(document.register_keeper, document.register, "".join(document.register_specifier.split()).upper())


def producers(parties: Parties) -> Iterator[str]:
    """The producers that sent the study, once each."""
    yield from dict.fromkeys(sender.producer for sender in parties.senders if sender.producer)


def own_keepers(parties: Parties) -> tuple[str, ...]:
    """The register keepers that are configured for the senders, once each."""
    return tuple(dict.fromkeys(one.register_keeper for one in parties.senders if one.register_keeper))


def with_authorizations(parties_of: PartiesOf, read: Sequence[Authorization]) -> PartiesOf:
    """The same parties with authorizations that were read from files; among these the latest version counts."""

    def current(one: Authorization) -> bool:
        return not any(
            one.oid in other.replaces or (other.set_id == one.set_id and other.version > one.version) for other in read
        )

    kept = tuple(KeptAuthorization(authorization=one, current=current(one), invalidated=False) for one in read)

    def with_read(concerned: Concerned) -> Parties:
        known = parties_of(concerned)
        return replace(known, authorizations=(*known.authorizations, *kept)) if kept else known

    return with_read
