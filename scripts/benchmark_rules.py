"""Measures the rules: one large study, many held studies after a code list, and ``check`` on files.

Everything is made in a folder that is removed at the end: a real catalog (SQLite, or ``--url`` for an empty PostgreSQL
database), the shipped content classes, the rules as the daemon has them. Prints one JSON object; the lines of log
that the daemon would write as well go to standard error.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic, perf_counter, thread_time
from typing import Any

from recheck_load import beside

from kuva_gateway import parts
from kuva_gateway.catalog import codes, studies
from kuva_gateway.catalog.batch import Item, write_batch
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.clinical.codes import CodePeriod
from kuva_gateway.config import Configuration
from kuva_gateway.dicom.header import CodeItem, Header
from kuva_gateway.log import configure, get_logger
from kuva_gateway.queue.admission import Admission
from kuva_gateway.spool.receipt import Arrival, Receipt

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BATCH = 256
PACE = 0.1
"""Seconds between two batches of arrivals while receiving goes on."""
PERIOD = CodePeriod(code="GD1AD", name="Thoraxin TT", valid_from=date(2017, 1, 1), radiology=True)
RULES = {"DOC-01": "off", "DOC-02": "off"}
"""Documents are left out, so that the code alone decides."""


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def header(study: int, instance: int) -> Header:
    """An image of a synthetic study that passes every rule once its code is known."""
    return Header(
        sop_class_uid=CT,
        sop_instance_uid=f"2.25.{study}.1.{instance}",
        study_instance_uid=f"2.25.{study}",
        series_instance_uid=f"2.25.{study}.1",
        transfer_syntax_uid=EXPLICIT,
        patient_id="010516B903X",
        issuer_of_patient_id="1.2.246.21",
        issuer_universal_id="1.2.246.21",
        issuer_universal_type="ISO",
        patient_name=f"Synthetic{study}^Patient",  # no two patients are alike: what is made of one cannot be kept
        birth_date="20160501",
        sex="M",
        accession_number=f"A{study}",
        study_date="20240304",
        study_description="GD1AD Thoraxin TT",
        modality="CT",
        instance_number=str(instance),
        procedure_codes=(CodeItem(value="GD1AD", scheme="", scheme_uid="1.2.246.537.6.2", meaning=""),),
    )


class Desk:
    """A catalog with an admission over it, and arrivals that need no files."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.configuration = Configuration(
            environment="test",
            state_directory=folder,
            rules=RULES,
            catalog={"url": url},
            destinations=[{"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 104}],
        )
        parts.make_state_directory(folder)
        self.catalog: Catalog = parts.open_catalog(self.configuration, create=True)
        self._number = 0
        self.admission = Admission(
            self.catalog,
            judge=parts.make_judge(self.configuration, self.catalog, now),
            amend=parts.make_amender(self.configuration, self.catalog, now),
            destinations=parts.destination_plans(self.configuration),
            settle_after=timedelta(0),
            settle_at_most=timedelta(hours=2),
            indexer_passed=lambda moment: True,
            in_flight=lambda uid: False,
            now=now,
            today=parts.make_today(self.configuration, now),
            admitted=lambda: None,
            log=get_logger("benchmark"),
        )

    def items(self, first: int, number: int, instances: int = 1) -> Iterator[Item]:
        """Arrivals of so many studies."""
        for study in range(first, first + number):
            one = header(study, 1)
            for instance in range(1, instances + 1):
                self._number += 1
                receipt = Receipt(time_ns=int(now().timestamp() * 1e9), association=1, number=self._number)
                digest = f"{self._number:064x}"
                arrival = Arrival(receipt=receipt, peer="ct1", digest=digest, path=Path(digest), size=500_000)
                yield Item(arrival, replace(one, sop_instance_uid=f"2.25.{study}.1.{instance}"))

    def index(self, items: list[Item]) -> None:
        """Write their rows, batch by batch, as the indexer does."""
        for start in range(0, len(items), BATCH):
            with self.catalog.write() as session:
                write_batch(session, items[start : start + BATCH], duplicates="newest")

    def admit(self) -> int:
        """Run admission until nothing is open; returns how many verdicts were recorded."""
        verdicts = 0
        while True:
            found = self.admission.run()
            verdicts += found
            if not found and not studies.to_judge(self.catalog, 1):
                return verdicts


class Receiving:
    """Arrivals at a steady pace on a thread of its own: how long each batch takes to be written."""

    def __init__(self, desk: Desk, first: int) -> None:
        self.times: list[float] = []
        self._desk = desk
        self._first = first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Receiving:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        study = self._first
        while not self._stop.is_set():
            items = list(self._desk.items(study, 1, BATCH))
            study += 1
            begun = perf_counter()
            self._desk.index(items)
            self.times.append(perf_counter() - begun)
            self._stop.wait(PACE)


def timed(work: Any) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def one_large_study(desk: Desk, instances: int) -> dict[str, float]:
    """Judge and record one study of so many instances; its parts apart."""
    desk.index(list(desk.items(1, 1, instances)))
    record = studies.find(desk.catalog, "2.25.1")
    assert record is not None
    assert studies.settle(desk.catalog, "2.25.1", record.revision)
    judge = parts.make_judge(desk.configuration, desk.catalog, now)
    views = [timed(lambda: studies.view(desk.catalog, "2.25.1")) for _ in range(5)]
    view = studies.view(desk.catalog, "2.25.1")
    judged = [timed(lambda: judge(view)) for _ in range(5)]
    whole = timed(desk.admit)
    return {
        "instances": instances,
        "view_ms": round(1000 * statistics.median(views), 2),
        "judge_ms": round(1000 * statistics.median(judged), 2),
        "admit_ms": round(1000 * whole, 2),
    }


def held_studies(desk: Desk, number: int) -> dict[str, Any]:
    """Hold so many studies for want of a code, then import it, with arrivals coming in all the time."""
    desk.index(list(desk.items(10, number)))
    held = timed(desk.admit)
    with Receiving(desk, 10_000_000) as alone:
        threading.Event().wait(3)
    with Receiving(desk, 20_000_000) as beside:
        begun, worked = perf_counter(), thread_time()
        codes.store(desk.catalog, [PERIOD])
        imported = perf_counter() - begun
        verdicts = 0
        while len(studies.listing(desk.catalog, state="held", limit=1)):
            verdicts += desk.admission.run()
        whole, worked = perf_counter() - begun, thread_time() - worked
    return {
        "studies": number,
        "first_verdicts_s": round(held, 2),
        "import_s": round(imported, 3),
        "recheck_s": round(whole, 2),
        "recheck_cpu_s": round(worked, 2),
        "verdicts": verdicts,
        "batch_of_256_alone_ms": round(1000 * statistics.median(alone.times), 1),
        "batch_of_256_beside_ms": round(1000 * statistics.median(beside.times), 1),
        "batch_of_256_beside_worst_ms": round(1000 * max(beside.times), 1),
    }


def receiving_beside(folder: Path, number: int, rounds: int) -> dict[str, Any]:
    """What a modality feels of the recheck of so many held studies (:mod:`recheck_load`)."""
    desk = Desk(folder / "var", None)
    with closing(desk.catalog):
        desk.index(list(desk.items(10, number)))
        desk.admit()
    return beside(folder, parts.catalog_path(desk.configuration), (512, 8), rounds)


def checked_files(folder: Path, files: int) -> dict[str, Any]:
    """``check`` on a folder of images of 8 KiB and of 512 KiB, as a command of its own."""
    figures: dict[str, Any] = {}
    configuration = folder / "kuva-gateway.yaml"
    configuration.write_text("environment: test\n")
    for size, number in ((8, files), (512, min(files, 1000))):
        place = folder / f"files-{size}"
        make_files(place, number, size * 1024)
        command = [sys.executable, "-m", "kuva_gateway", "--config", str(configuration), "check", "--json", str(place)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        wall = monotonic() - begun
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        figures[f"{size}_kib"] = {
            "files": number,
            "per_second": round(number / wall),
            "cpu_per_second": round(number / cpu),
        }
    return figures


def make_files(folder: Path, number: int, size: int) -> None:
    """So many CT images of that size, each hundred a study."""
    from pydicom.dataset import Dataset, FileMetaDataset

    folder.mkdir()
    for index in range(number):
        one = header(1000 + index // 100, index % 100)
        made = Dataset()
        made.SOPClassUID, made.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
        made.StudyInstanceUID, made.SeriesInstanceUID = one.study_instance_uid, one.series_instance_uid
        made.StudyDate, made.StudyDescription, made.Modality = one.study_date, one.study_description, one.modality
        made.PatientID, made.PatientName, made.AccessionNumber = one.patient_id, one.patient_name, one.accession_number
        made.PatientBirthDate, made.PatientSex, made.InstanceNumber = one.birth_date, one.sex, one.instance_number
        made.add_new(0x7FE00010, "OW", bytes(size))
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = EXPLICIT
        made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = CT, one.sop_instance_uid
        made.save_as(folder / f"{index:06}.dcm", enforce_file_format=True)


def main() -> int:
    """Measure and print."""
    reading = argparse.ArgumentParser(description=__doc__)
    reading.add_argument("--studies", type=int, default=10_000)
    reading.add_argument("--instances", type=int, default=1000)
    reading.add_argument("--files", type=int, default=2000)
    reading.add_argument("--rounds", type=int, default=5, help="of receiving alone and beside a recheck; 0: none")
    reading.add_argument("--url", help="an empty PostgreSQL database instead of SQLite")
    asked = reading.parse_args()
    configure(form="json")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desk = Desk(folder, asked.url)
        with closing(desk.catalog):
            figures["one study"] = one_large_study(desk, asked.instances)
            figures["held studies"] = held_studies(desk, asked.studies)
        figures["check"] = checked_files(folder, asked.files)
        if asked.rounds and asked.url is None:
            figures["receiving beside a recheck"] = receiving_beside(folder / "gateway", asked.studies, asked.rounds)
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
