"""Small real data sets received into a real spool, and what the tests of the catalog say of studies over and over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from kuva_gateway.catalog import documents, entries, studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.indexer import Indexer
from kuva_gateway.catalog.records import AttemptRecord, DestinationPlan, EntryRecord, FindingRecord
from kuva_gateway.clinical.codes import CodePeriod
from kuva_gateway.clinical.documents import ImagingDocument
from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.scanner import scan
from kuva_gateway.spool import Arrival, Spool

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
HETU = "010594Y9032"
ARCHIVE = DestinationPlan(name="archive")
COPY = DestinationPlan(name="copy", required=False, commitment=False)
MISSING = FindingRecord(rule="DOC-02", severity="hold", where="study", message="no entry", remedy="send it")
NOTE = FindingRecord(rule="COD-04", severity="warning", where="study", message="odd scheme", remedy="")


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **time: float) -> datetime:
        """Turn it on; returns the new moment."""
        self.at += timedelta(**time)
        return self.at

    def ns(self) -> int:
        """The same in nanoseconds, for the spool."""
        return int(self.at.timestamp()) * 1_000_000_000 + self.at.microsecond * 1000


def data_set(study: str = "1.2.1", series: int = 1, instance: int = 1, **attributes: Any) -> Dataset:
    """A CT image without pixels; every part can be another one."""
    values = {
        "SOPClassUID": CT,
        "SOPInstanceUID": f"{study}.{series}.{instance}",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.{series}",
        "PatientID": HETU,
        "PatientName": "Test^Anna",
        "AccessionNumber": "A1",
        "StudyDate": "20240105",
        "StudyDescription": "GD1AD Thorax TT",
        "Modality": "CT",
        "InstanceNumber": str(instance),
        "Rows": 4,
        "Columns": 4,
        **attributes,
    }
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def encode(made: Dataset) -> bytes:
    """A data set in explicit little endian."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, made)
    return bytes(stream.getvalue())


@dataclass
class Hospital:
    """Sends instances into a spool, and leads studies through what comes before a test's own subject."""

    catalog: Catalog
    spool: Spool
    clock: Clock
    problems: list[tuple[str, str]] = field(default_factory=list)
    by_hand: bool = False
    """States are set by hand, and the totals that are kept say nothing."""
    _number: int = 0

    def indexer(self, **keywords: Any) -> Indexer:
        """An indexer over this catalog and spool."""
        return Indexer(self.catalog, self.spool, on_problem=lambda *p: self.problems.append(p), **keywords)

    def receive(
        self, study: str = "1.2.1", series: int = 1, instance: int = 1, **attributes: Any
    ) -> tuple[Arrival, Header]:
        """Receive one instance; nothing is indexed."""
        peer = attributes.pop("peer", "ct1")
        return self.receive_bytes(encode(data_set(study, series, instance, **attributes)), peer=peer)

    def receive_bytes(self, data: bytes, *, peer: str = "ct1", header: bool = True) -> tuple[Arrival, Any]:
        """The same for a data set as it comes."""
        self._number += 1
        found = scan(data, EXPLICIT, whole=True) if header else None
        uid = found.sop_instance_uid if found else "1.2.3"
        incoming = self.spool.begin(CT, uid, EXPLICIT)
        incoming.write(memoryview(data))
        return incoming.commit(peer, 1, self._number), found

    def index(self, **keywords: Any) -> frozenset[str]:
        """Index what is in ``arrived/``, now."""
        return self.indexer(**keywords).index_batch(self.spool.arrivals())

    def send(self, study: str = "1.2.1", instances: int = 2, **attributes: Any) -> None:
        """Receive and index a study of so many instances."""
        for number in range(1, instances + 1):
            self.receive(study, instance=number, **attributes)
        self.index()

    def settle(self, study: str = "1.2.1") -> None:
        """receiving -> settled."""
        record = studies.find(self.catalog, study)
        assert record is not None
        assert studies.settle(self.catalog, study, record.revision)

    def judge(
        self,
        study: str = "1.2.1",
        *findings: FindingRecord,
        destinations: Sequence[DestinationPlan] = (ARCHIVE,),
    ) -> bool:
        """A verdict on the study as it is: passed unless a finding holds."""
        passed = not any(finding.severity == "hold" for finding in findings)
        view = studies.view(self.catalog, study)
        return studies.record_verdict(self.catalog, view, passed, findings, destinations)

    def accept(
        self,
        study: str = "1.2.1",
        instances: int = 2,
        destinations: Sequence[DestinationPlan] = (ARCHIVE,),
        **attributes: Any,
    ) -> None:
        """A study that has arrived, settled and passed."""
        self.send(study, instances, **attributes)
        self.settle(study)
        assert self.judge(study, destinations=destinations)

    def hold(self, study: str = "1.2.1", *findings: FindingRecord, **attributes: Any) -> None:
        """A study that has arrived, settled and failed."""
        self.send(study, **attributes)
        self.settle(study)
        assert self.judge(study, *(findings or (MISSING,)))

    def claim(self, destination: str = "archive", owner: str = "worker") -> EntryRecord | None:
        """Claim with a lease of a minute."""
        return entries.claim(self.catalog, destination, self.clock(), timedelta(minutes=1), owner)

    def claimed(self, destination: str = "archive") -> EntryRecord:
        """Claim what must be there."""
        entry = self.claim(destination)
        assert entry is not None
        return entry

    def deliver(self, destination: str = "archive") -> EntryRecord:
        """Claim an entry, send all of it."""
        entry = self.claimed(destination)
        pending = entries.pending_instances(self.catalog, entry)
        entries.mark_sent(self.catalog, entry.id, [one.instance_id for one in pending], self.clock())
        entries.delivered(self.catalog, entry.id, self.attempt(sent=len(pending)))
        return entry

    def attempt(self, outcome: str = "delivered", **values: Any) -> AttemptRecord:
        """An attempt that took a second."""
        return AttemptRecord(
            started_at=self.clock() - timedelta(seconds=1), ended_at=self.clock(), outcome=outcome, **values
        )

    def state(self, study: str = "1.2.1") -> str:
        """The study's state."""
        record = studies.find(self.catalog, study)
        assert record is not None
        return record.state

    def add_document(self, oid: str = "1.9.1", **values: Any) -> Any:
        """Add a ready examination entry for study 1.2.1's accession number."""
        document = imaging_document(oid, **values)
        digest = hashlib.sha256(documents.to_json(document).encode()).hexdigest()
        return documents.add(self.catalog, document, f"{oid}.xml", digest, self.clock())

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Look into the tables."""
        with self.catalog.read() as session:
            return session.rows(sql, *values)

    def column(self, sql: str, *values: Any) -> list[Any]:
        """The first column of what is in the tables."""
        return [next(iter(row.values())) for row in self.rows(sql, *values)]


def imaging_document(oid: str = "1.9.1", **values: Any) -> ImagingDocument:
    """A ready examination entry for study 1.2.1's accession number."""
    given: dict[str, Any] = {
        "set_id": oid,
        "kind": "examination_entry",
        "patient_id": HETU,
        "patient_id_root": "1.2.246.21",
        "ready": True,
        "accessions": (("1.2.246.10", "A1"),),
        **values,
    }
    return ImagingDocument(oid=oid, **given)


def period(code: str = "GD1AD", **values: Any) -> CodePeriod:
    """A period of validity that began in 1997."""
    given: dict[str, Any] = {"name": "Thorax TT", "valid_from": date(1997, 1, 1), "radiology": True, **values}
    return CodePeriod(code=code, **given)


Make = Callable[..., Any]
