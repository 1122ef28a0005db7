"""Studies made for demonstrations and tests are what the archive's rules expect, and real where it matters."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from stdnum.fi import hetu as stdnum_hetu

from tests.studies import HETUS, load_files, make_study
from tests.support import ROOT


@pytest.mark.parametrize("kind", ["ct", "mr", "ecg"])
def test_identity_and_code_stand_where_the_archive_looks(kind: str, tmp_path: Path) -> None:
    study = make_study(kind=kind, hetu="020516C903K", accession="A0042", series=2, instances=3)
    paths = study.write(tmp_path)
    assert len(paths) == 6
    written = [dcmread(path) for path in paths]
    first = written[0]
    assert first.PatientID == "020516C903K"
    assert first.IssuerOfPatientID == "1.2.246.21"
    assert (first.PatientBirthDate, first.PatientSex) == ("20160502", "M")
    assert first.AccessionNumber == "A0042"
    assert first.StudyDescription[:5] == first.ProcedureCodeSequence[0].CodeValue
    assert {data_set.StudyInstanceUID for data_set in written} == {study.uid}
    assert len({data_set.SeriesInstanceUID for data_set in written}) == 2
    assert len({data_set.SOPInstanceUID for data_set in written}) == 6


def test_pixels_and_waveforms_stay_those_of_the_real_devices() -> None:
    for kind, name in (("ct", "CT_small.dcm"), ("mr", "MR_small.dcm")):
        real = dcmread(str(get_testdata_file(name, download=False)))
        assert make_study(kind=kind).data_sets[0].PixelData == real.PixelData
    ecg = dcmread(str(get_testdata_file("waveform_ecg.dcm", download=False)))
    made = make_study(kind="ecg").data_sets[0]
    assert made.WaveformSequence[0].WaveformData == ecg.WaveformSequence[0].WaveformData


@pytest.mark.parametrize("hetu", HETUS)
def test_every_patient_is_fictional_and_has_a_right_check_character(hetu: str) -> None:
    assert stdnum_hetu.is_valid(hetu, allow_temporary=True)
    assert not stdnum_hetu.is_valid(hetu)
    assert hetu[7] == "9"


def test_a_study_date_and_a_code_can_be_asked_for() -> None:
    made = make_study(kind="ct", code="AA1BD", study_date=date(2023, 5, 6)).data_sets[0]
    assert made.StudyDate == "20230506"
    assert made.StudyDescription.startswith("AA1BD")


def test_load_files_are_different_instances_of_the_size_that_was_asked_for(tmp_path: Path) -> None:
    load_files(tmp_path, count=10, pixel_bytes=8192, studies=2)
    read = [dcmread(path) for path in sorted(tmp_path.iterdir())]
    assert {len(data_set.PixelData) for data_set in read} == {8192}
    assert len({data_set.SOPInstanceUID for data_set in read}) == 10
    assert len({data_set.StudyInstanceUID for data_set in read}) == 2
    assert all(data_set.file_meta.MediaStorageSOPInstanceUID == data_set.SOPInstanceUID for data_set in read)


def test_the_command_writes_the_files_it_names(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/make_study.py"), "mr", str(tmp_path / "out"), "--instances", "2"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    files = json.loads(done.stdout)["files"]
    assert len(files) == 2
    assert len({hashlib.sha256(Path(file).read_bytes()).digest() for file in files}) == 2
