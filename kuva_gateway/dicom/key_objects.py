"""Key object selection documents (PS3.3 A.35.4) as rejection notes (IHE RAD TF-3 4.66, IOCM): read and written.

Keeps nothing. What is read comes from anybody and is bounded; what is written is a complete document that names its
patient and study as the rejected instances do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from types import MappingProxyType
from typing import Any, BinaryIO, Final

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.charsets import code_string
from kuva_gateway.dicom.data_set import ElementError, Items, read_elements
from kuva_gateway.dicom.deflated import Inflating
from kuva_gateway.dicom.elements import Elements
from kuva_gateway.dicom.encoding import Encoding
from kuva_gateway.dicom.header import Header, HeaderError
from kuva_gateway.dicom.part10 import read_meta
from kuva_gateway.dicom.uids import is_valid_uid

KEY_OBJECT_SELECTION: Final = "1.2.840.10008.5.1.4.1.1.88.59"

QUALITY, SAFETY, WORKLIST, RETENTION = "113001", "113037", "113038", "113039"
MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        QUALITY: "Rejected for Quality Reasons",
        SAFETY: "Rejected for Patient Safety Reasons",
        WORKLIST: "Incorrect Modality Worklist Entry",
        RETENTION: "Data Retention Policy Expired",
    }
)
"""Document titles of rejection notes (PS3.16 CID 7011), by their code in DCM."""

LARGEST = 16 << 20
"""Bytes of a note that is read at most, inflated too; one with 50,000 references has about 8 MiB."""
MOST_REFERENCES: Final = 100_000
_EVIDENCE: Final = 0x0040A375  # Current Requested Procedure Evidence Sequence
_SERIES, _INSTANCES = 0x00081115, 0x00081199
_STUDY_UID, _SERIES_UID, _CLASS, _INSTANCE = 0x0020000D, 0x0020000E, 0x00081150, 0x00081155
_NOT_DOCUMENTS: Final = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.", "1.2.840.10008.5.1.4.1.1.9.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One instance that a note rejects."""

    study: str
    series: str
    sop_class: str
    sop_instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A rejection note: its title's code and what it rejects."""

    code: str
    references: tuple[Reference, ...]


def title_of_note(header: Header) -> str | None:
    """The code of a rejection note's title; None: this is no rejection note."""
    title = header.document_title_code
    if header.sop_class_uid != KEY_OBJECT_SELECTION or title is None or title.scheme != "DCM":
        return None
    return title.value if title.value in MEANINGS else None


def read_note(stream: BinaryIO, size: int, code: str) -> Note:
    """The note in a Part 10 file of ``size`` bytes, whose title has this code.

    Raises
    ------
    HeaderError
        Its references cannot be read, or it is too long.
    """
    if size > LARGEST:
        raise HeaderError("a rejection note of more than 16 MiB")
    meta = read_meta(stream)
    stream.seek(meta.dataset_offset)
    data = stream.read(LARGEST)
    if syntaxes.is_deflated(meta.transfer_syntax):
        data = Inflating(BytesIO(data), 0, len(data)).read(0, LARGEST + 1)
        if len(data) > LARGEST:
            raise HeaderError("a rejection note of more than 16 MiB")
    references = tuple(dict.fromkeys(_references(_evidence_in(data, meta.transfer_syntax))))
    return Note(code=code, references=references)


def _evidence_in(data: bytes, transfer_syntax: str) -> list[Items]:
    """The items of the evidence sequence of a data set; none where it has none."""
    encoding = Encoding.of(transfer_syntax)
    elements = Elements(
        lambda position, count: data[position : position + count],
        implicit=encoding.implicit,
        big_endian=encoding.big_endian,
    )
    found = next((one for one in elements.until(_EVIDENCE) if one.tag == _EVIDENCE), None)
    if found is None:
        return []
    evidence = data[found.start : found.end]
    if evidence.count(encoding.item(b"")[:4]) > 2 * MOST_REFERENCES:  # a study and a series for each, at the worst
        raise HeaderError(f"a rejection note of more than {MOST_REFERENCES} references")
    try:
        return _items(read_elements(evidence, transfer_syntax), _EVIDENCE)
    except ElementError as error:
        raise HeaderError("the references of a rejection note cannot be read") from error


def _references(studies: Iterable[Items]) -> Iterable[Reference]:
    for study in studies:
        for series in _items(study, _SERIES):
            for item in _items(series, _INSTANCES):
                found = Reference(
                    study=_uid(study, _STUDY_UID),
                    series=_uid(series, _SERIES_UID),
                    sop_class=_uid(item, _CLASS),
                    sop_instance=_uid(item, _INSTANCE),
                )
                if is_valid_uid(found.study) and is_valid_uid(found.sop_instance):
                    yield found


def _items(within: Items, tag: int) -> list[Items]:
    value = within.get(tag, ("", b""))[1]
    return value if isinstance(value, list) else []


def _uid(within: Items, tag: int) -> str:
    value = within.get(tag, ("", b""))[1]
    return code_string(value) if isinstance(value, bytes) else ""


def write_note(
    header: Header,
    references: Sequence[Reference],
    *,
    code: str,
    uid: str,
    series_uid: str,
    at: datetime,
    device: Mapping[str, str],
) -> bytes:
    """The data set of a rejection note, explicit little endian, UTF-8 (PS3.3 A.35.4.3, PS3.16 TID 2010).

    Parameters
    ----------
    header
        Of an instance that is rejected: patient and study are taken from it.
    device
        Keywords and values of the equipment that made it (PS3.3 C.7.5.1).
    at
        Local time of the document.
    """
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": KEY_OBJECT_SELECTION,
        "SOPInstanceUID": uid,
        "StudyDate": header.study_date,
        "StudyTime": header.study_time,
        "ContentDate": at.strftime("%Y%m%d"),
        "ContentTime": at.strftime("%H%M%S"),
        "SeriesDate": at.strftime("%Y%m%d"),
        "SeriesTime": at.strftime("%H%M%S"),
        "TimezoneOffsetFromUTC": at.strftime("%z")[:5],
        "AccessionNumber": header.accession_number,
        "Modality": "KO",
        "ReferringPhysicianName": header.referring_physician,
        "StudyDescription": header.study_description,
        "SeriesDescription": MEANINGS[code],
        "ReferencedPerformedProcedureStepSequence": [],
        "PatientName": header.patient_name,
        "PatientID": header.patient_id,
        "PatientBirthDate": header.birth_date,
        "PatientSex": header.sex,
        "StudyInstanceUID": header.study_instance_uid,
        "SeriesInstanceUID": series_uid,
        "StudyID": header.study_id,
        "SeriesNumber": "9990",
        "InstanceNumber": "1",
        "ValueType": "CONTAINER",
        "ConceptNameCodeSequence": [_code(code, "DCM", MEANINGS[code])],
        "ContinuityOfContent": "SEPARATE",
        "ContentTemplateSequence": [_item(MappingResource="DCMR", TemplateIdentifier="2010")],
        "ReferencedRequestSequence": [],
        "CurrentRequestedProcedureEvidenceSequence": _evidence(references),
        "ContentSequence": [_content(one) for one in references],
        **device,
    }
    if header.accession_issuer:
        universal = is_valid_uid(header.accession_issuer)
        issuer = (
            {"UniversalEntityID": header.accession_issuer, "UniversalEntityIDType": "ISO"}
            if universal
            else {"LocalNamespaceEntityID": header.accession_issuer}
        )
        values["IssuerOfAccessionNumberSequence"] = [_item(**issuer)]
    if header.institution_name:
        values["InstitutionName"] = header.institution_name
    if header.issuer_of_patient_id:
        values["IssuerOfPatientID"] = header.issuer_of_patient_id
    if header.issuer_universal_id:
        values["IssuerOfPatientIDQualifiersSequence"] = [
            _item(UniversalEntityID=header.issuer_universal_id, UniversalEntityIDType=header.issuer_universal_type)
        ]
    if header.procedure_codes:
        values["ProcedureCodeSequence"] = [_code_of(one) for one in header.procedure_codes]
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, _item(**values))
    return stream.getvalue()


def _evidence(references: Sequence[Reference]) -> list[Dataset]:
    studies: dict[str, dict[str, list[Reference]]] = {}
    for one in references:
        studies.setdefault(one.study, {}).setdefault(one.series, []).append(one)
    return [
        _item(
            StudyInstanceUID=study,
            ReferencedSeriesSequence=[
                _item(SeriesInstanceUID=uid, ReferencedSOPSequence=[_reference(one) for one in members])
                for uid, members in series.items()
            ],
        )
        for study, series in studies.items()
    ]


def _content(one: Reference) -> Dataset:
    """IMAGE, WAVEFORM or COMPOSITE, as the class is (PS3.16 TID 2010)."""
    image = not one.sop_class.startswith(_NOT_DOCUMENTS)
    waveform = one.sop_class.startswith(_NOT_DOCUMENTS[2])
    return _item(
        RelationshipType="CONTAINS",
        ValueType="IMAGE" if image else "WAVEFORM" if waveform else "COMPOSITE",
        ReferencedSOPSequence=[_reference(one)],
    )


def _reference(one: Reference) -> Dataset:
    return _item(ReferencedSOPClassUID=one.sop_class, ReferencedSOPInstanceUID=one.sop_instance)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _code_of(one: Any) -> Dataset:
    item = _code(one.value, one.scheme, one.meaning)
    if one.scheme_uid:
        item.CodingSchemeUID = one.scheme_uid
    return item


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item
