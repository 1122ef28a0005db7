"""Makes real studies for demonstrations and tests from the CT, MR and 12-lead ECG files that pydicom ships.

The pixels and the waveforms are those of real devices; everything that identifies is given here: fictional patients
(personal identity codes of the 900 series), accession numbers, procedure codes and fresh UIDs, in the places where the
national archive looks for them. ``scripts/make-study`` is the command.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

SOURCES = {"ct": "CT_small.dcm", "mr": "MR_small.dcm", "ecg": "waveform_ecg.dcm"}
CODES = {"ct": ("AA1AD", "Pään TT"), "mr": ("AA1BG", "Pään MT"), "ecg": ("FP1B5", "EKG, 12 kytkentää levossa")}
HETU_ROOT = "1.2.246.21"
CODE_SCHEME = "1.2.246.537.6.2"
# A fictional organisation: 1.2.246.10.<Y-tunnus>, in the style of Kela's own examples.
ORGANISATION = "1.2.246.10.99999984"
# Fictional people of the Digital and Population Data Services Agency's own examples (odd number: male, even: female).
HETUS = (
    "010516B903X", "010516B902W", "020516C903K", "020516C902J", "030516D9037", "030516D9026", "010501E9032",
    "020502E902X", "020503F9037", "020504A902E", "020504B904H", "010594Y9032", "010594Y9021", "020594X903P",
    "020594X902N", "030594W903B", "030694W9024", "040594V9030", "040594V902Y", "050594U903M", "050594U902L",
)  # fmt: skip
CENTURIES = {"+": 1800, **dict.fromkeys("-YXWVU", 1900), **dict.fromkeys("ABCDEF", 2000)}


def new_uid() -> str:
    """A fresh UID from a random UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def birth_date(hetu: str) -> date:
    """The date of birth that a personal identity code holds."""
    return date(CENTURIES[hetu[6]] + int(hetu[4:6]), int(hetu[2:4]), int(hetu[0:2]))


def sex(hetu: str) -> str:
    """``M`` or ``F``, from the parity of the individual number."""
    return "M" if int(hetu[7:10]) % 2 else "F"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a study is to be about; the rest follows from it.

    ``source`` names another of pydicom's files to start from than the one of ``kind``, for instance one in another
    transfer syntax, which is kept; ``extra`` has keywords and values to set last.
    """

    kind: str = "ct"
    hetu: str = HETUS[0]
    accession: str = "A0001"
    code: str = ""
    code_name: str = ""
    study_date: date = date(2024, 3, 4)
    study_uid: str = field(default_factory=new_uid)
    series: int = 1
    instances: int = 1
    pixel_bytes: int | None = None
    source: str = ""
    extra: tuple[tuple[str, object], ...] = ()

    @property
    def procedure(self) -> tuple[str, str]:
        """The procedure code and its name; each kind has a fitting one of its own."""
        code, name = CODES[self.kind]
        return (self.code or code, self.code_name or ("" if self.code and self.code != code else name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study that was made: its order and its instances (per series ``order.instances`` of them)."""

    order: Order
    data_sets: tuple[FileDataset, ...]

    @property
    def uid(self) -> str:
        """The Study Instance UID."""
        return self.order.study_uid

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        """The SOP Instance UIDs, in the order of the instances."""
        return tuple(str(data_set.SOPInstanceUID) for data_set in self.data_sets)

    def write(self, folder: Path) -> list[Path]:
        """Write one Part 10 file per instance into ``folder``, named by number."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, data_set in enumerate(self.data_sets, start=1):
            path = folder / f"{self.order.accession}-{self.order.kind}-{number:04d}.dcm"
            dcmwrite(path, data_set, enforce_file_format=True)
            paths.append(path)
        return paths


def code_item(code: str, meaning: str) -> Dataset:
    """A code of THL's procedure classification (PS3.3 8.8); the scheme's UID says whose it is."""
    item = Dataset()
    item.CodeValue = code
    item.CodingSchemeDesignator = "99THL"
    item.CodingSchemeUID = CODE_SCHEME
    item.CodeMeaning = (meaning or code)[:64]
    return item


def issuer_item(root: str) -> Dataset:
    """Who issued an identifier, by OID (PS3.3 10.17.1)."""
    item = Dataset()
    item.UniversalEntityID = root
    item.UniversalEntityIDType = "ISO"
    return item


def _identify(data_set: FileDataset, order: Order) -> None:
    code, name = order.procedure
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.PatientID = order.hetu
    data_set.IssuerOfPatientID = HETU_ROOT
    data_set.IssuerOfPatientIDQualifiersSequence = [issuer_item(HETU_ROOT)]
    data_set.PatientName = "Esimerkki^Eero" if sex(order.hetu) == "M" else "Esimerkki^Eeva"
    data_set.PatientBirthDate = birth_date(order.hetu).strftime("%Y%m%d")
    data_set.PatientSex = sex(order.hetu)
    for keyword in ("PatientAge", "PatientAddress", "OtherPatientIDs"):
        if keyword in data_set:
            delattr(data_set, keyword)
    data_set.AccessionNumber = order.accession
    data_set.IssuerOfAccessionNumberSequence = [issuer_item(ORGANISATION)]
    data_set.StudyInstanceUID = order.study_uid
    data_set.StudyDate = order.study_date.strftime("%Y%m%d")
    data_set.StudyTime = "101500"
    data_set.StudyID = order.accession[:16]
    data_set.StudyDescription = f"{code} {name}".strip()[:64]
    data_set.ProcedureCodeSequence = [code_item(code, name)]
    data_set.InstitutionName = "Esimerkkisairaala"
    data_set.ReferringPhysicianName = "Lähettävä^Liisa"


def _resize(data_set: FileDataset, size: int) -> None:
    """Give the image ``size`` bytes of 16-bit pixels, by repeating the real ones."""
    pixels: bytes = data_set.PixelData
    data_set.PixelData = (pixels * (size // len(pixels) + 1))[:size]
    columns = 512 if size % 1024 == 0 and size >= 512 * 1024 else 64
    while size // 2 // columns > 0xFFFF:  # Rows is an unsigned short
        columns *= 2
    if size % (2 * columns):
        raise ValueError(f"pixel data of {size} bytes does not fill rows of {columns} 16-bit pixels")
    data_set.Rows, data_set.Columns = size // 2 // columns, columns


def make_study(order: Order | None = None, *, uid: Callable[[], str] = new_uid, **changes: object) -> Study:
    """Make one study by ``order``, or by the default order with ``changes`` (the fields of :class:`Order`)."""
    order = order or Order(**changes)  # type: ignore[arg-type]
    source = (Path(str(get_testdata_file(order.source or SOURCES[order.kind], download=False)))).read_bytes()
    data_sets = []
    for series in range(1, order.series + 1):
        series_uid = uid()
        for number in range(1, order.instances + 1):
            data_set = dcmread(io.BytesIO(source))
            _identify(data_set, order)
            data_set.SeriesInstanceUID, data_set.SeriesNumber = series_uid, series
            data_set.SOPInstanceUID, data_set.InstanceNumber = uid(), number
            if order.pixel_bytes is not None:
                _resize(data_set, order.pixel_bytes)
            for keyword, value in order.extra:
                setattr(data_set, keyword, value)
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID = data_set.SOPClassUID
            meta.MediaStorageSOPInstanceUID = UID(str(data_set.SOPInstanceUID))
            meta.TransferSyntaxUID = data_set.file_meta.TransferSyntaxUID
            data_set.file_meta = meta
            data_sets.append(data_set)
    return Study(order=order, data_sets=tuple(data_sets))


def load_files(
    folder: Path, *, count: int, pixel_bytes: int, studies: int = 1, uid: Callable[[], str] = new_uid
) -> int:
    """Write ``count`` CT images of ``pixel_bytes`` each into ``folder``, spread over ``studies``; return their bytes.

    Built for load tests: one image is encoded, and its UIDs are exchanged in the bytes for others of equal length.
    storescu sends these data sets byte for byte as they are in the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for first in range(studies):
        accession = f"L{first + 1:05d}"
        hetu = HETUS[first % len(HETUS)]
        study = make_study(Order(kind="ct", hetu=hetu, accession=accession, pixel_bytes=pixel_bytes), uid=_fixed(uid))
        # storescu does not send it; what arrives is to have the very bytes of the file.
        study.data_sets[0].pop("DataSetTrailingPadding", None)
        buffer = io.BytesIO()
        dcmwrite(buffer, study.data_sets[0], enforce_file_format=True)
        pattern, marker = buffer.getvalue(), study.sop_instance_uids[0].encode()
        for number in range(first, count, studies):
            fresh = _fixed(uid)().encode()
            path = folder / f"{accession}-{number:06d}.dcm"
            path.write_bytes(pattern.replace(marker, fresh))
            total += len(pattern)
    return total


def _fixed(uid: Callable[[], str], length: int = 44) -> Callable[[], str]:
    """UIDs of exactly ``length`` characters, so that one can stand in another's place."""

    def padded() -> str:
        while True:
            value = uid()
            if len(value) == length:
                return value

    return padded


def documents(
    build: Callable[..., bytes], study: Study, kinds: Sequence[str] = ("request", "examination_entry", "report")
) -> Iterable[tuple[str, bytes]]:
    """The imaging documents of ``study`` as (file name, bytes); ``build`` is ``synthetic_documents.build_document``."""
    order = study.order
    for kind in kinds:
        content = build(
            kind=kind, study_uid=study.uid, accession=order.accession, hetu=order.hetu, code=order.procedure[0]
        )
        yield f"{order.accession}-{kind}.xml", content
