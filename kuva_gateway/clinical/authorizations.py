"""Service-purchase authorizations (ostopalvelun valtuutus): what one says, and what it lets its producer do.

An organiser of care lets one producer store into, and search, a register of the organiser's own: for one patient or
for a population, for a limited time. There is no chain: a producer's subcontractor needs an authorization of its own.

Keeps nothing, reads nothing. Source: the form and its validator in the archive's published CDA interface (view 362);
who may do what: the archive's page on the authorization.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final, Literal

from kuva_gateway.clinical.identifiers import organisation_of, parse_hetu
from kuva_gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["patient", "population"]

VIEW: Final = "362"
"""Code of the view by which a document says that it is an authorization."""
OCCUPATIONAL: Final = "4"
"""Register of occupational health care: it is told apart by a specifier, the employer's business id or a person's."""


class AuthorizationError(GatewayError):
    """The file is no authorization that can be used; ``faults`` has one line for each reason, without content of it."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One register of one register keeper.

    Attributes
    ----------
    keeper
        OID of the register keeper.
    code
        Register code (1.2.246.537.5.40150): 2 public, 3 private, 4 occupational health care, ...
    specifier, specifier_name
        Which register it is where a keeper has several: a business id or a personal identity code; "" elsewhere.
    """

    keeper: str
    code: str
    specifier: str = ""
    specifier_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """One version of an authorization. Texts that it lacks are empty.

    Attributes
    ----------
    oid, set_id, version, replaces
        This version's OID, the first version's OID, the number of the version, OIDs of the versions it replaces.
    kind
        ``patient`` (type 1) or ``population`` (type 2).
    ready
        Whether the record status is "ready for archiving" (3). A version that is not, and replaces another, ends it.
    valid_from, valid_to
        First and last day, both inclusive; None only in a version that is not ready.
    register_keeper
        The organiser's, who keeps the authorization itself.
    search, storing
        The register that the producer may search (None: none), and that it stores into.
    patient_id
        Normalised personal identity code; "" for a population.
    all_documents, documents_from, documents_to, service_events
        What of the search right's register is covered; see :func:`scope`.
    """

    oid: str
    set_id: str
    version: int = 1
    replaces: tuple[str, ...] = ()
    ready: bool = True
    kind: Kind = "population"
    valid_from: date | None = None
    valid_to: date | None = None
    register_keeper: str = ""
    register_keeper_name: str = ""
    organiser: str = ""
    organiser_name: str = ""
    organiser_unit: str = ""
    organiser_unit_name: str = ""
    producer: str = ""
    producer_name: str = ""
    search: Register | None = None
    storing: Register | None = None
    patient_id: str = ""
    patient_name: str = ""
    patient_birth: str = ""
    all_documents: bool = False
    documents_from: date | None = None
    documents_to: date | None = None
    service_events: tuple[str, ...] = ()
    organisers_event: str = ""
    saver_id: str = ""
    saver_name: str = ""
    saver_unit: str = ""
    saved_at: str = ""

    def __repr__(self) -> str:
        return f"Authorization(oid={self.oid!r}, version={self.version})"

    def valid_on(self, day: date) -> bool:
        """Whether ``day`` lies within the validity; the last day belongs to it."""
        return self.valid_from is not None and self.valid_to is not None and self.valid_from <= day <= self.valid_to

    def stores_into(self, keeper: str, register: str) -> bool:
        """Whether it lets its producer store into that register of that keeper, whoever the patient is.

        It covers the organiser's own register only.
        """
        right = self.storing
        if right is None or (right.keeper, right.code) != (keeper, register):
            return False
        return organisation_of(self.organiser) == organisation_of(keeper)


def scope(authorization: Authorization) -> Literal["all", "range", "events"]:
    """What of the searched register is covered.

    All documents where the form says so; else the service events that it lists, or the range of days. An authorization
    for a population need not say anything of these: then it covers all.
    """
    if authorization.all_documents:
        return "all"
    if authorization.service_events:
        return "events"
    if authorization.documents_from is not None or authorization.documents_to is not None:
        return "range"
    return "all"


def shown_specifier(specifier: str) -> str | None:
    """A register's specifier as it may be shown: a personal identity code becomes ``***``; None for none."""
    if not specifier:
        return None
    try:
        parse_hetu(specifier)
    except GatewayError:
        return specifier
    return "***"


def parse_authorization(data: bytes) -> Authorization:
    """Read an authorization document and check it.

    Raises
    ------
    AuthorizationError
        With one line for each fault: the file is no XML, no authorization, or lacks or contradicts something.
    """
    from kuva_gateway.clinical.authorization_form import read_form

    return read_form(data)
