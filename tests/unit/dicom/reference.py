"""A header as pydicom's public interface sees it: written apart from the scanner, for tests to compare with."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pynetdicom
from pydicom.dataset import Dataset
from pydicom.filewriter import write_dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from kuva_gateway.dicom.header import CodeItem, Header
from kuva_gateway.dicom.part10 import read_meta

PACKAGES = (Path(pydicom.__file__).parent, Path(pynetdicom.__file__).parent)


def shipped_files() -> list[Path]:
    """Every installed file of pydicom and pynetdicom that begins like a Part 10 file; nothing is fetched."""
    return sorted(path for package in PACKAGES for path in package.rglob("*") if path.is_file() and _is_part10(path))


def _is_part10(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def data_set_of(path: Path) -> tuple[bytes, str]:
    """The bytes of a file's data set, and its transfer syntax."""
    with path.open("rb") as stream:
        meta = read_meta(stream)
        stream.seek(meta.dataset_offset)
        return stream.read(), meta.transfer_syntax


def encoded(data_set: Dataset, *, implicit: bool = False, big_endian: bool = False) -> bytes:
    """``data_set`` as pydicom writes it."""
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_implicit_VR = implicit
    buffer.is_little_endian = not big_endian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dataset(buffer, data_set)
    return buffer.getvalue()


def read_header(data: bytes, syntax: str) -> Header:
    """The header of a data set, read by pydicom."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = pydicom.dcmread(io.BytesIO(_file(data, syntax)), stop_before_pixels=True)
        return header_of(data_set, syntax)


def _file(data: bytes, syntax: str) -> bytes:
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.write(bytes(128) + b"DICM")
    pydicom.filewriter.write_file_meta_info(buffer, meta, enforce_standard=False)
    return buffer.getvalue() + data


def header_of(data_set: Dataset, syntax: str) -> Header:
    """The header of a data set that pydicom has read."""

    def get(keyword: str) -> str:
        return _text(data_set.get(keyword))

    qualifiers = _first(data_set, "IssuerOfPatientIDQualifiersSequence")
    accession = _first(data_set, "IssuerOfAccessionNumberSequence")
    institution = _codes(data_set, "InstitutionCodeSequence")
    title = _codes(data_set, "ConceptNameCodeSequence")
    requests = data_set.get("RequestAttributesSequence") or []
    character_set = get("SpecificCharacterSet")
    waveforms = data_set.get("WaveformSequence") or []
    return Header(
        sop_class_uid=get("SOPClassUID"),
        sop_instance_uid=get("SOPInstanceUID"),
        study_instance_uid=get("StudyInstanceUID"),
        series_instance_uid=get("SeriesInstanceUID"),
        transfer_syntax_uid=syntax,
        character_set=tuple(character_set.split("\\")) if character_set else (),
        patient_id=get("PatientID"),
        issuer_of_patient_id=get("IssuerOfPatientID"),
        issuer_universal_id=_text(qualifiers.get("UniversalEntityID")),
        issuer_universal_type=_text(qualifiers.get("UniversalEntityIDType")),
        patient_name=get("PatientName"),
        birth_date=get("PatientBirthDate"),
        sex=get("PatientSex"),
        accession_number=get("AccessionNumber"),
        accession_issuer=_text(accession.get("UniversalEntityID")) or _text(accession.get("LocalNamespaceEntityID")),
        study_date=get("StudyDate"),
        study_time=get("StudyTime"),
        study_id=get("StudyID"),
        study_description=get("StudyDescription"),
        referring_physician=get("ReferringPhysicianName"),
        modality=get("Modality"),
        series_number=get("SeriesNumber").strip(),
        series_description=get("SeriesDescription"),
        series_date=get("SeriesDate"),
        series_time=get("SeriesTime"),
        body_part=get("BodyPartExamined"),
        laterality=get("Laterality"),
        institution_name=get("InstitutionName"),
        institution_code=institution[0].value if institution else "",
        instance_number=get("InstanceNumber").strip(),
        number_of_frames=_number(data_set.get("NumberOfFrames")),
        rows=_number(data_set.get("Rows")),
        columns=_number(data_set.get("Columns")),
        procedure_codes=_codes(data_set, "ProcedureCodeSequence"),
        requested_procedure_codes=(
            *_codes(data_set, "RequestedProcedureCodeSequence"),
            *(code for request in requests for code in _codes(request, "RequestedProcedureCodeSequence")),
        ),
        waveform_items=sum(1 for item in waveforms if item.get("WaveformData")),
        mime_type=get("MIMETypeOfEncapsulatedDocument"),
        document_starts=(data_set.get("EncapsulatedDocument") or b"")[:5].decode("latin-1").replace("\0", "\ufffd"),
        document_title_code=title[0] if title else None,
        request_priority=get("RequestedProcedurePriority"),
        requests=tuple(
            (
                _text(request.get("RequestedProcedureID")),
                _text(request.get("ScheduledProcedureStepID")),
                _text(request.get("AccessionNumber")),
            )
            for request in requests
        ),
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    values = value if isinstance(value, MultiValue) else [value]
    return "\\".join("" if one is None else str(one) for one in values).replace("\0", "\ufffd")


def _number(value: object) -> int:
    try:
        return int(value or 0)  # type: ignore[call-overload,no-any-return]
    except ValueError:
        return 0


def _first(data_set: Dataset, keyword: str) -> Dataset:
    items: Sequence = data_set.get(keyword) or []
    return items[0] if items else Dataset()


def _codes(data_set: Dataset, keyword: str) -> tuple[CodeItem, ...]:
    return tuple(_code(item) for item in data_set.get(keyword) or [])


def _code(item: Dataset) -> CodeItem:
    values = (_text(item.get(keyword)) for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue"))
    return CodeItem(
        value=next((value for value in values if value), ""),
        scheme=_text(item.get("CodingSchemeDesignator")),
        scheme_uid=_text(item.get("CodingSchemeUID")),
        meaning=_text(item.get("CodeMeaning")),
    )


def differences(ours: Header, theirs: Header) -> Iterator[str]:
    """Each field in which two headers differ, in words."""
    for name in Header.__slots__:
        if getattr(ours, name) != getattr(theirs, name):
            yield f"{name}: {getattr(ours, name)!r} is not {getattr(theirs, name)!r}"
