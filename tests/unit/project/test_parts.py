"""What parts makes of a configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kuva_gateway.config import Configuration
from kuva_gateway.dicom.header import Header
from kuva_gateway.parts import make_immediate

GOOD = Header(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    sop_instance_uid="1.2.3.1",
    study_instance_uid="1.2",
    series_instance_uid="1.2.3",
    patient_id="010101-999R",
)


def test_what_is_remembered_of_a_good_instance_lets_no_bad_one_in(tmp_path: Path):
    configuration = Configuration.model_validate(
        {
            "environment": "test",
            "state_directory": tmp_path,
            "peers": [
                {"name": "ct1", "ae_title": "CT1", "allow": ["store"]},
                {"name": "ct2", "ae_title": "CT2", "allow": ["store"], "rules": {"ACC-01": "refuse"}},
            ],
        }
    )
    immediate = make_immediate(configuration)
    assert immediate(GOOD, "ct1") is None
    assert immediate(replace(GOOD, sop_instance_uid="1.2.3.2", instance_number="2"), "ct1") is None
    for changes in (
        {"sop_instance_uid": "1.02"},
        {"sop_instance_uid": ""},
        {"series_instance_uid": "x"},
        {"study_instance_uid": "1..2"},
        {"sop_class_uid": "1.2.3.4"},
        {"patient_id": "131052-308T"},  # a personal identity code of the kind that real people have
    ):
        assert immediate(replace(GOOD, **changes), "ct1") is not None, changes
        assert immediate(replace(GOOD, **changes), "ct1") is not None, changes
        assert immediate(GOOD, "ct1") is None
    assert (immediate(GOOD, "ct2") is None) == (make_immediate(configuration)(GOOD, "ct2") is None)
