"""Imaging documents (CDA R2): what the gateway reads in a request, an examination entry or a report.

Keeps nothing; :func:`parse_document` and :func:`explain_document` are one extraction told in two ways, so what is
explained is what is used. Input is never trusted: no DTD, no entities, no network, bounded size, depth and number of
elements.

Source: the header as in the CDA schemas and examples of the national archive; the body by :mod:`document_profile`.
"""

from __future__ import annotations

from dataclasses import dataclass

from kuva_gateway.clinical.document_profile import Kind, Profile
from kuva_gateway.errors import GatewayError


class DocumentError(GatewayError):
    """The file is no document that can be read; the text holds no content of it.

    Attributes
    ----------
    line
        Line of the file where the fault stands, None when it concerns the whole file.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {message}" if line is not None else message)
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingDocument:
    """What one version of a document says. Texts that the document lacks are empty.

    Attributes
    ----------
    oid, set_id, version, replaces
        This version's OID, the first version's OID, the number of the version, OIDs of the versions it replaces.
    kind_rule
        How the kind was decided, for a person: ``title contains pyyn``.
    patient_id, patient_id_root
        Personal identity code (normalised when its root is the national one) or temporary id, and its issuer.
    register_keeper, register, register_specifier, producer, service_event
        OIDs; ``register`` is the code of the register (2 public, 3 private, 4 occupational ...).
    ready
        Whether the record status is "ready for archiving" (3).
    effective_time
        As written (HL7 TS: ``yyyymmddhhmmss``, may have a zone).
    recognised
        Whether one of the template ids is a known imaging template.
    views
        Codes of the table of contents: what the document says that it is.
    study_uids
        Every UID that may name a study: it does when it equals a Study Instance UID.
    accessions
        ``(root, extension)`` of every identifier in the body that may be an accession number.
    procedure_codes
        Codes of the national procedure classifications, in order of appearance, once each.
    """

    oid: str
    set_id: str
    version: int = 1
    replaces: tuple[str, ...] = ()
    kind: Kind = "other"
    kind_rule: str = ""
    patient_id: str = ""
    patient_id_root: str = ""
    register_keeper: str = ""
    register: str = ""
    register_specifier: str = ""
    producer: str = ""
    service_event: str = ""
    ready: bool = False
    record_status: str = ""
    effective_time: str = ""
    template_ids: tuple[str, ...] = ()
    recognised: bool = False
    study_uids: tuple[str, ...] = ()
    accessions: tuple[tuple[str, str], ...] = ()
    procedure_codes: tuple[str, ...] = ()
    title: str = ""
    views: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One value found in a document: for which field, by which rule, in which line."""

    field: str
    value: str
    rule: str
    line: int | None


def parse_document(data: bytes, profile: Profile | None = None) -> ImagingDocument:
    """Read a document.

    Raises
    ------
    DocumentError
        When the bytes are no well-formed, bounded CDA document with an OID of its own.
    """
    from kuva_gateway.clinical.extraction import extract

    return extract(data, profile or Profile()).document()


def explain_document(data: bytes, profile: Profile | None = None) -> list[Explained]:
    """Every value that :func:`parse_document` finds, with its rule and its line; raises the same errors."""
    from kuva_gateway.clinical.extraction import extract

    return extract(data, profile or Profile()).explained()
