"""Amendments beside what was received: who may, what follows, and what is shown and judged from then on."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from kuva_gateway.catalog import entries, studies
from kuva_gateway.catalog.documents import show as show_document
from kuva_gateway.catalog.states import apply
from kuva_gateway.dicom.amendments import Amendment, issuer_items
from kuva_gateway.errors import NotFoundError, RefusedError, StateError
from tests.unit.catalog.making import HETU, Hospital

NEW = "020594X903P"
GIVEN: dict[str, Any] = {"PatientID": NEW, "IssuerOfPatientIDQualifiersSequence": issuer_items("1.2.246.21")}


def amend(hospital: Hospital, uid: str = "1.2.1", **changes: Any) -> None:
    studies.amend(hospital.catalog, uid, changes, by="anna", reason="wrong label")


def automatic(at: datetime, **values: Any) -> Amendment:
    given: dict[str, Any] = {"changes": {"StudyDescription": "GD1AA"}, "origin": "mapping", "by": "gateway", **values}
    return Amendment(at=at, reason="ct1.csv: 12 -> GD1AA", **given)


def test_amended_values_are_shown_and_judged_and_what_came_is_kept(hospital: Hospital) -> None:
    hospital.hold("1.2.1")
    code = ({"CodeValue": "GD1AA", "CodingSchemeUID": "1.2.246.537.6.2"},)
    amend(hospital, **GIVEN, AccessionNumber="B7", StudyDescription="GD1AA", ProcedureCodeSequence=code)
    shown = studies.show(hospital.catalog, "1.2.1")
    assert (shown["patient_id"], shown["accession_number"], shown["procedure_code"]) == (NEW, "B7", "GD1AA")
    view = studies.view(hospital.catalog, "1.2.1")
    assert {one.header.patient_id for one in view.facts} == {NEW}
    assert {one.header.issuer_universal_id for one in view.facts} == {"1.2.246.21"}
    assert {one.header.patient_id for one in view.received} == {HETU}
    assert [row["study_instance_uid"] for row in studies.listing(hospital.catalog, accession="B7")] == ["1.2.1"]


def test_an_amendment_opens_the_question_at_once_and_tells_who_and_why_without_values(hospital: Hospital) -> None:
    hospital.hold("1.2.1")
    amend(hospital, **GIVEN)
    assert hospital.state() == "settled"
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    (told,) = [step for step in studies.trace(hospital.catalog, "1.2.1") if step["event"] == "amended"]
    assert (told["by"], told["detail"]["reason"]) == ("anna", "wrong label")
    assert told["detail"]["attributes"] == ["IssuerOfPatientIDQualifiersSequence", "PatientID"]
    assert NEW not in json.dumps(studies.trace(hospital.catalog, "1.2.1"))
    (kept,) = studies.show(hospital.catalog, "1.2.1")["amendments"]
    assert (kept["by"], kept["origin"], kept["revision"]) == ("anna", "person", 1)
    assert NEW not in json.dumps(kept)


def test_a_verdict_that_was_being_formed_on_the_old_values_is_discarded(hospital: Hospital) -> None:
    hospital.hold("1.2.1")
    view = studies.view(hospital.catalog, "1.2.1")
    amend(hospital, **GIVEN)
    assert not studies.record_verdict(hospital.catalog, view, True, (), ())


def test_an_accepted_study_waits_for_a_new_verdict_and_then_goes_amended(hospital: Hospital) -> None:
    hospital.accept("1.2.1")
    amend(hospital, **GIVEN)
    assert hospital.claim() is None
    assert hospital.judge("1.2.1")
    entry = hospital.claimed()
    pending = entries.pending_instances(hospital.catalog, entry)
    assert [len(one.amendments) for one in pending] == [1, 1]
    assert pending[0].amendments[0].changes == GIVEN


def test_a_study_without_amendments_is_sent_as_it_came(hospital: Hospital) -> None:
    hospital.accept("1.2.1")
    assert [one.amendments for one in entries.pending_instances(hospital.catalog, hospital.claimed())] == [(), ()]


def test_what_is_being_sent_or_was_delivered_is_not_amended(hospital: Hospital) -> None:
    hospital.accept("1.2.1")
    entry = hospital.claimed()
    with pytest.raises(StateError, match="withdraw it first"):
        amend(hospital, **GIVEN)
    pending = entries.pending_instances(hospital.catalog, entry)
    entries.mark_sent(hospital.catalog, entry.id, [pending[0].instance_id], hospital.clock())
    entries.defer(hospital.catalog, entry.id, hospital.clock(), None)
    with pytest.raises(StateError, match="withdraw it first"):
        amend(hospital, **GIVEN)
    assert hospital.rows("SELECT * FROM amendments") == []
    assert studies.show(hospital.catalog, "1.2.1")["patient_id"] == HETU


def test_an_entry_that_the_archive_refused_is_tried_again_with_the_amended_values(hospital: Hospital) -> None:
    hospital.accept("1.2.1")
    entry = hospital.claimed()
    pending = entries.pending_instances(hospital.catalog, entry)
    entries.mark_failed(hospital.catalog, entry.id, {pending[0].instance_id: "A778"}, hospital.clock())
    entries.fail(hospital.catalog, entry.id, hospital.attempt("failed", code="A778"))
    amend(hospital, **GIVEN)
    assert hospital.judge("1.2.1")
    again = hospital.claimed()
    assert again.id == entry.id
    assert all(one.amendments for one in entries.pending_instances(hospital.catalog, again))


def test_a_release_does_not_outlive_the_values_that_it_was_given_for(hospital: Hospital) -> None:
    hospital.hold("1.2.1")
    studies.release(hospital.catalog, "1.2.1", by="anna", reason="seen", destinations=())
    amend(hospital, **GIVEN)
    assert hospital.state() == "settled"


def test_instances_that_come_later_are_amended_too(hospital: Hospital) -> None:
    hospital.hold("1.2.1")
    amend(hospital, **GIVEN, AccessionNumber="B7", StudyDescription="GD1AA")
    hospital.receive("1.2.1", instance=3, Modality="SR")
    hospital.index()
    shown = studies.show(hospital.catalog, "1.2.1")
    assert (shown["patient_id"], shown["accession_number"], shown["procedure_code"]) == (NEW, "B7", "GD1AA")
    hospital.settle()
    assert hospital.judge("1.2.1")
    assert len(entries.pending_instances(hospital.catalog, hospital.claimed())) == 3


def test_documents_follow_an_amended_accession_number(hospital: Hospital) -> None:
    hospital.hold("1.2.1")
    hospital.add_document("1.9.1")
    hospital.add_document("1.9.2", accessions=(("1.2", "B7"),))
    amend(hospital, AccessionNumber="B7")
    linked = [one["id"] for one in studies.show(hospital.catalog, "1.2.1")["documents"]]
    assert linked == ["1.9.2"]
    assert show_document(hospital.catalog, "1.9.1")["studies"] == []


def test_a_value_that_an_instances_character_set_cannot_hold_is_refused_at_once(hospital: Hospital) -> None:
    hospital.send("1.2.1", SpecificCharacterSet="ISO_IR 144")
    with pytest.raises(RefusedError, match="character set of the study cannot hold the value for PatientName"):
        amend(hospital, PatientName="Mäkelä^Åke")
    assert hospital.rows("SELECT * FROM amendments") == []


def test_a_study_that_is_not_here_is_not_found(hospital: Hospital) -> None:
    with pytest.raises(NotFoundError):
        amend(hospital, "9.9", **GIVEN)


def test_what_follows_from_the_configuration_is_exchanged_as_a_whole(hospital: Hospital) -> None:
    hospital.hold("1.2.1")
    amend(hospital, AccessionNumber="B7")
    first = automatic(hospital.clock())
    assert studies.replace_following(hospital.catalog, studies.view(hospital.catalog, "1.2.1"), [first])
    assert studies.show(hospital.catalog, "1.2.1")["procedure_code"] == "GD1AA"
    assert not studies.replace_following(hospital.catalog, studies.view(hospital.catalog, "1.2.1"), [first])
    assert studies.replace_following(hospital.catalog, studies.view(hospital.catalog, "1.2.1"), [])
    shown = studies.show(hospital.catalog, "1.2.1")
    assert (shown["procedure_code"], shown["accession_number"]) == ("GD1AD", "B7")
    events = [step["event"] for step in studies.trace(hospital.catalog, "1.2.1")]
    assert events.count("amended") == 2
    assert events.count("amendment_dropped") == 1


def test_it_is_not_exchanged_for_a_view_that_is_no_longer_true_nor_after_delivery(hospital: Hospital) -> None:
    hospital.accept("1.2.1")
    view = studies.view(hospital.catalog, "1.2.1")
    amend(hospital, AccessionNumber="B7")
    assert not studies.replace_following(hospital.catalog, view, [automatic(hospital.clock())])
    assert hospital.judge("1.2.1")
    hospital.deliver()
    view = studies.view(hospital.catalog, "1.2.1")
    assert not studies.replace_following(hospital.catalog, view, [automatic(hospital.clock())])


def test_what_is_left_to_go_of_a_withdrawn_study_has_the_values_that_the_archive_has(hospital: Hospital) -> None:
    hospital.send("1.2.1")
    amend(hospital, AccessionNumber="B7")
    hospital.settle()
    assert hospital.judge("1.2.1")
    hospital.clock.forward(minutes=1)
    entry = hospital.claimed()
    with hospital.catalog.write() as session:
        study = session.value("SELECT id FROM studies")
        apply(session, "study", study, "withdrawn", by="anna")
    hospital.clock.forward(minutes=1)
    amend(hospital, **GIVEN)
    for one in entries.pending_instances(hospital.catalog, entry):
        assert [amendment.changes for amendment in one.amendments] == [{"AccessionNumber": "B7"}]


def test_a_removed_study_is_not_amended(hospital: Hospital) -> None:
    hospital.hold("1.2.1")
    studies.reject(hospital.catalog, "1.2.1", by="anna", reason="phantom")
    with hospital.catalog.write() as session:
        apply(session, "study", session.value("SELECT id FROM studies"), "removed", by="anna")
    with pytest.raises(StateError, match="removed"):
        amend(hospital, **GIVEN)


@pytest.mark.parametrize(
    ("other", "found"), [("010594A9032", True), ("010594Y9032", False), ("010594A9033", False), ("T1", False)]
)
def test_what_differs_in_the_separator_alone_is_a_neighbour_by_accession_number(
    hospital: Hospital, other: str, found: bool
) -> None:
    hospital.send("1.2.1")
    hospital.send("1.2.2", PatientID=other)
    hospital.send("1.2.3", PatientID=other, AccessionNumber="B7")
    hospital.add_document("1.9.1", patient_id=other)
    view = studies.view(hospital.catalog, "1.2.1")
    told = [(one.what, one.uid) for one in view.neighbours]
    assert told == [("study", "1.2.2"), ("document", "1.9.1")] * found


def test_what_comes_after_delivery_may_get_what_changes_none_of_what_was_delivered(hospital: Hospital) -> None:
    hospital.send("1.2.1", instances=1, IssuerOfPatientID="1.2.246.21")
    hospital.settle()
    assert hospital.judge("1.2.1")
    hospital.deliver()
    hospital.receive("1.2.1", instance=2)
    hospital.index()
    hospital.settle()
    issuer = automatic(
        hospital.clock(), origin="issuer", changes={"IssuerOfPatientID": "1.2.246.21"}, where_absent="IssuerOfPatientID"
    )
    other = automatic(hospital.clock())
    assert not studies.replace_following(hospital.catalog, studies.view(hospital.catalog, "1.2.1"), [issuer, other])
    assert studies.replace_following(hospital.catalog, studies.view(hospital.catalog, "1.2.1"), [issuer])
    view = studies.view(hospital.catalog, "1.2.1")
    assert {one.header.issuer_of_patient_id for one in view.facts} == {"1.2.246.21"}
    assert hospital.judge("1.2.1")
    assert [len(one.amendments) for one in entries.pending_instances(hospital.catalog, hospital.claimed())] == [1]
    assert not studies.replace_following(hospital.catalog, studies.view(hospital.catalog, "1.2.1"), [])
