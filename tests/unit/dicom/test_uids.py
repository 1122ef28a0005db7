"""The form of UIDs, and which SOP classes count as storage."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import sop_class

from kuva_gateway.dicom import sop_classes, uids


@pytest.mark.parametrize("value", ["1", "0", "1.2.840.10008.1.1", "2.25.0", "1.0.3", "1." + "2" * 62])
def test_a_well_formed_uid_is_valid(value: str) -> None:
    assert uids.is_valid_uid(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "1.",
        ".1",
        "1..2",
        "1.02",
        "00",
        "1.2a",
        "1 ",
        " 1",
        "1.2\n",
        "1.2\0",
        "١.٢",
        "../../x",
        "1." + "2" * 63,
    ],
)
def test_a_malformed_uid_is_not_valid(value: str) -> None:
    assert not uids.is_valid_uid(value)


@given(st.lists(st.integers(min_value=0, max_value=10**6), min_size=1, max_size=9))
def test_any_short_list_of_numbers_makes_a_valid_uid(arcs: list[int]) -> None:
    assert uids.is_valid_uid(".".join(map(str, arcs))) == (len(".".join(map(str, arcs))) <= 64)


def test_new_uids_are_valid_and_differ() -> None:
    made = {uids.new_uid() for _ in range(50)}
    assert len(made) == 50
    assert all(uids.is_valid_uid(uid) for uid in made)


def test_the_implementation_class_uid_comes_from_a_uuid() -> None:
    assert uids.is_valid_uid(uids.IMPLEMENTATION_CLASS_UID)
    number = uids.IMPLEMENTATION_CLASS_UID.removeprefix("2.25.")
    assert uuid.UUID(int=int(number)).version == 4
    assert len(uids.IMPLEMENTATION_VERSION_NAME) <= 16


@pytest.mark.parametrize(
    "uid",
    [
        sop_class.CTImageStorage,
        sop_class.TwelveLeadECGWaveformStorage,
        sop_class.EncapsulatedPDFStorage,
        sop_class.KeyObjectSelectionDocumentStorage,
        "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame, retired
        "1.2.840.10008.5.1.4.1.1.5",  # Nuclear Medicine, retired
        "1.2.840.10008.5.1.4.1.1.12.3",  # X-Ray Angiographic Bi-Plane, retired
        "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol
    ],
)
def test_storage_classes_hold_old_and_new_ones(uid: str) -> None:
    assert uid in sop_classes.STORAGE_CLASSES
    assert uids.is_valid_uid(uid)


@pytest.mark.parametrize(
    "uid", [uids.VERIFICATION, uids.STORAGE_COMMITMENT_PUSH_MODEL, "1.2.840.10008.1.20.2", uids.MEDIA_STORAGE_DIRECTORY]
)
def test_other_services_are_no_storage_classes(uid: str) -> None:
    assert uid not in sop_classes.STORAGE_CLASSES


def test_every_storage_class_of_pynetdicom_is_there() -> None:
    assert {str(uid) for uid in sop_class._STORAGE_CLASSES.values()} <= sop_classes.STORAGE_CLASSES
    assert sop_classes.NON_PATIENT_CLASSES <= sop_classes.STORAGE_CLASSES


def test_a_class_is_named_and_an_unknown_one_names_itself() -> None:
    assert sop_classes.class_name("1.2.840.10008.5.1.4.1.1.2") == "CT Image Storage"
    assert sop_classes.class_name("1.2.3.4") == "1.2.3.4"
    assert sop_classes.class_name("no uid") == "no uid"
