"""Small instances as the spool keeps them: Part 10 files named by digest, and what the catalog says about them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import generate_uid

from kuva_gateway.dicom import part10, syntaxes
from kuva_gateway.dicom.amendments import Amendment

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Has the shape of the catalog's PendingInstance."""

    instance_id: int
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    digest: str
    size: int
    data_set_digest: str
    amendments: tuple[Amendment, ...] = ()


class Shelf:
    """A folder of stored instances."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.study = str(generate_uid(None))

    def path(self, digest: str) -> Path:
        """Where the file with this digest is."""
        return self.folder / digest

    def open(self, digest: str) -> BinaryIO:
        """The stored file at its first byte."""
        return self.path(digest).open("rb")

    def put(
        self, number: int, *, sop_class: str = CT, syntax: str = syntaxes.EXPLICIT_LITTLE, size: int = 4096
    ) -> Stored:
        """Store one more instance with ``size`` bytes of pixels."""
        data_set = Dataset()
        data_set.SOPClassUID, data_set.SOPInstanceUID = sop_class, str(generate_uid(None))
        data_set.PatientID = "TEST"
        data_set.StudyInstanceUID, data_set.SeriesInstanceUID = self.study, f"1.2.246.99.{number % 7}"
        data_set.InstanceNumber = str(number)
        data_set.PixelData = bytes([number % 256]) * size
        data_set["PixelData"].VR = "OB" if not syntaxes.is_implicit(syntax) else "OW"
        stream = DicomBytesIO()
        stream.is_implicit_VR = syntaxes.is_implicit(syntax)
        stream.is_little_endian = True
        write_dataset(stream, data_set)
        body = stream.getvalue()
        whole = part10.preamble_and_meta(sop_class, str(data_set.SOPInstanceUID), syntax) + body
        digest = hashlib.sha256(whole).hexdigest()
        self.path(digest).write_bytes(whole)
        return Stored(
            instance_id=number,
            sop_class=sop_class,
            sop_instance=str(data_set.SOPInstanceUID),
            transfer_syntax=syntax,
            digest=digest,
            size=len(whole),
            data_set_digest=hashlib.sha256(body).hexdigest(),
        )
