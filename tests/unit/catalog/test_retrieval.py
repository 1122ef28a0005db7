"""The instances of a C-MOVE or C-GET, page by page, on both databases."""

from __future__ import annotations

from kuva_gateway.catalog.retrieval import Chosen, choose, pages
from kuva_gateway.catalog.visibility import EVERYTHING, selection
from kuva_gateway.dicom.information_model import Level
from tests.unit.catalog.making import Hospital


def given(hospital: Hospital, chosen: Chosen, size: int) -> list[list[str]]:
    return [[one.sop_instance for one in page] for page in pages(hospital.catalog, chosen, size=size)]


def test_pages_hand_out_everything_once_series_by_series_whatever_their_size(hospital: Hospital) -> None:
    for series, instance in ((1, 1), (2, 1), (1, 2), (2, 2), (1, 3)):
        hospital.receive("1.2.1", series, instance)
    hospital.receive("1.2.2", 1, 1)
    hospital.index()
    chosen = choose(hospital.catalog, selection({Level.STUDY: ("1.2.1", "1.2.2")}, EVERYTHING))
    assert chosen.total == 6
    wanted = ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3", "1.2.1.2.1", "1.2.1.2.2", "1.2.2.1.1"]
    for size in (1, 2, 3, 4, 100):
        found = given(hospital, chosen, size)
        assert [uid for page in found for uid in page] == wanted
        assert max(map(len, found)) <= size


def test_what_arrives_after_the_count_is_not_handed_out(hospital: Hospital) -> None:
    hospital.send("1.2.1", 2)
    chosen = choose(hospital.catalog, selection({Level.STUDY: ("1.2.1",)}, EVERYTHING))
    hospital.receive("1.2.1", 1, 3)
    hospital.index()
    assert given(hospital, chosen, 10) == [["1.2.1.1.1", "1.2.1.1.2"]]


def test_a_patient_has_all_studies_and_nobody_nothing(hospital: Hospital) -> None:
    hospital.send("1.2.1", 1, PatientID="P1")
    hospital.send("1.2.2", 1, PatientID="P1")
    hospital.send("1.2.3", 1, PatientID="P2")
    chosen = choose(hospital.catalog, selection({Level.PATIENT: ("P1",)}, EVERYTHING))
    assert given(hospital, chosen, 10) == [["1.2.1.1.1"], ["1.2.2.1.1"]]
    assert choose(hospital.catalog, selection({Level.PATIENT: ("P9",)}, EVERYTHING)).total == 0
