"""ADT messages into the catalog: one file, one transaction.

Keeps nothing: a message that was taken in is in the links and amendments that it made.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kuva_gateway.catalog import patients
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import Linked
from kuva_gateway.clinical.adt import MAXIMUM_BYTES, Identity, PatientIdentifier, read_adt
from kuva_gateway.clinical.identifiers import IdentifierError, is_temporary_id, parse_hetu
from kuva_gateway.dicom.amendments import Value
from kuva_gateway.errors import RefusedError
from kuva_gateway.intake.amendments import identity_changes
from kuva_gateway.intake.drop_folder import DropFolder, Outcome

ACTOR: Final = "ADT"
"""Who linked or changed a patient, where a message did."""


def take_in(catalog: Catalog, data: bytes) -> Linked:
    """Let one message count.

    Raises
    ------
    AdtError
        It is no message that can be used.
    RefusedError
        The new id of a patient is no valid one, or nobody knows who issued it.
    CatalogUnavailableError
        The catalog is away; nothing was changed.
    """
    message = read_adt(data)
    amended: dict[str, None] = {}
    delivered: dict[str, None] = {}
    with catalog.write():
        for identity in message.identities:
            for old, changes in _links(identity, message.event):
                found = patients.link(
                    catalog,
                    old.value,
                    changes,
                    issuer=old.issuer,
                    by=ACTOR,
                    reason=f"ADT^{message.event}",
                )
                amended.update(dict.fromkeys(found.amended))
                delivered.update(dict.fromkeys(found.delivered))
    return Linked(amended=tuple(amended), delivered=tuple(delivered))


def _links(identity: Identity, event: str) -> list[tuple[PatientIdentifier, dict[str, Value]]]:
    told = {"PatientName": identity.name, "PatientBirthDate": identity.birth_date, "PatientSex": identity.sex}
    person: dict[str, Value] = {keyword: value for keyword, value in told.items() if value}
    links: list[tuple[PatientIdentifier, dict[str, Value]]] = []
    if identity.replaced:
        new = {**_new_id(identity.patient), **person}
        links += [(old, new) for old in identity.replaced]
    if event == "A08" and person:
        links.append((identity.patient, person))
    if not links:
        raise RefusedError("the message neither replaces an id nor tells name, birth date or sex")
    return links


def _new_id(patient: PatientIdentifier) -> dict[str, Value]:
    if is_temporary_id(patient.issuer):
        raise RefusedError("the new id is a temporary one")
    try:
        parse_hetu(patient.value)
    except IdentifierError:
        return identity_changes(patient.value, patient.issuer)
    return identity_changes(patient.value)


def adt_drop_folder(
    catalog: Catalog,
    path: Path,
    *,
    rejected: Path,
    now: Callable[[], datetime],
    on_linked: Callable[[Linked], None],
    on_outcome: Callable[[Outcome], None],
) -> DropFolder:
    """The drop folder of ADT messages; what was taken in leaves it."""

    def read(_: Path, data: bytes) -> Any:
        on_linked(take_in(catalog, data))

    return DropFolder(path, rejected=rejected, read=read, maximum_bytes=MAXIMUM_BYTES, now=now, on_outcome=on_outcome)
