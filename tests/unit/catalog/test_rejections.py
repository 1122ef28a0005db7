"""Rejection notes (IOC-01): whose count, what they hide, what later copies get, and where notes go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from kuva_gateway.catalog import commitments, doubts, entries, rejections, removal, studies, withdrawal
from kuva_gateway.catalog.records import FindingRecord
from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.key_objects import KEY_OBJECT_SELECTION, Reference, write_note
from kuva_gateway.dicom.scanner import scan
from kuva_gateway.errors import NotFoundError, StateError
from kuva_gateway.queue.notes import Notes
from tests.unit.catalog.making import ARCHIVE, CT, EXPLICIT, HETU, Hospital, data_set, encode

REJECTERS = {"pacs": False, "ris": True}
NOTE = "1.2.9.1"
HELD = FindingRecord(rule="IOC-01", severity="hold", where="study", message="m", remedy="r")
AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
HIDDEN = f"SELECT i.uid FROM instances i WHERE {rejections.HIDDEN} ORDER BY i.uid"


def note_bytes(code: str, *instances: str, study: str = "1.2.1", uid: str = NOTE) -> bytes:
    references = [
        Reference(study=study, series=f"{study}.1", sop_class=CT, sop_instance=instance)
        for instance in instances or ("1.2.1.1.1",)
    ]
    header = Header(study_instance_uid=study, patient_id=HETU, patient_name="Test^Anna", accession_number="A1")
    return write_note(header, references, code=code, uid=uid, series_uid="1.2.9", at=AT, device={})


def index(hospital: Hospital) -> None:
    hospital.index(rejecters=REJECTERS)


def receive_note(hospital: Hospital, code: str, *instances: str, peer: str = "pacs", **more: Any) -> None:
    data = note_bytes(code, *instances, **more)
    found = scan(data, EXPLICIT, whole=True)
    incoming = hospital.spool.begin(KEY_OBJECT_SELECTION, found.sop_instance_uid, EXPLICIT)
    incoming.write(memoryview(data))
    hospital._number += 1
    incoming.commit(peer, 1, hospital._number)
    index(hospital)


def held_by(hospital: Hospital, uid: str = "1.2.1") -> tuple[int, int]:
    """Instances and bytes of a study as it counts them."""
    (row,) = hospital.rows("SELECT instances, bytes FROM studies WHERE uid = ?", uid)
    return row["instances"], row["bytes"]


def observed(hospital: Hospital, uid: str = NOTE) -> list[tuple[str, str]]:
    rows = hospital.rows(
        "SELECT severity, place FROM observed_findings WHERE sop_instance_uid = ? AND rule = 'IOC-01'", uid
    )
    return [(row["severity"], row["place"]) for row in rows]


def pending(hospital: Hospital) -> list[str]:
    return hospital.column(
        "SELECT i.uid FROM ledger l JOIN instances i ON i.id = l.instance_id WHERE l.state = 'pending' ORDER BY i.uid"
    )


def archived(hospital: Hospital) -> None:
    hospital.accept()
    hospital.deliver()
    with hospital.catalog.write() as session:
        session.execute("UPDATE ledger SET state = 'committed'")
        rejections.recount(session, 1, "archive")
    assert hospital.state() == "archived"


@pytest.mark.parametrize("code", ["113001", "113037", "113038"])
def test_what_is_rejected_before_delivery_is_hidden_and_never_goes(hospital: Hospital, code: str) -> None:
    hospital.accept()
    receive_note(hospital, code)
    assert hospital.column(HIDDEN) == ["1.2.1.1.1"]
    assert pending(hospital) == ["1.2.1.1.2"]
    assert observed(hospital) == [("info", "kept")]
    assert hospital.state() == "accepted"  # the note stays here and wakes nobody
    record = studies.find(hospital.catalog, "1.2.1")
    assert record is not None
    assert (record.instances, record.revision) == (1, 1)
    entry = hospital.deliver()
    assert [one.sop_instance for one in entries.unconfirmed_instances(hospital.catalog, entry)] == ["1.2.1.1.2"]
    events = [line["event"] for line in studies.trace(hospital.catalog, "1.2.1")]
    assert "rejection_note" in events


def test_a_note_from_a_peer_that_may_not_reject_hides_nothing_until_a_person_releases_it(hospital: Hospital) -> None:
    archived(hospital)
    receive_note(hospital, "113037", peer="ct1")
    assert hospital.column(HIDDEN) == []
    assert rejections.refused(hospital.catalog) == frozenset()
    assert observed(hospital) == [("hold", "foreign")]
    assert hospital.state() == "receiving"
    hospital.settle()
    finding = studies.view(hospital.catalog, "1.2.1").instance_findings[0]
    assert (finding.rule, finding.severity) == ("IOC-01", "hold")
    hospital.judge("1.2.1", HELD)
    studies.release(hospital.catalog, "1.2.1", by="anna", reason="called", destinations=[ARCHIVE])
    assert hospital.column(HIDDEN) == ["1.2.1.1.1"]
    assert pending(hospital) == [NOTE]
    assert observed(hospital) == [("info", "foreign")]
    assert rejections.refused(hospital.catalog) == {"1.2.1.1.1"}


def test_a_note_on_what_was_delivered_waits_for_release_and_then_goes(hospital: Hospital) -> None:
    archived(hospital)
    receive_note(hospital, "113001")
    assert hospital.column(HIDDEN) == ["1.2.1.1.1"]
    assert observed(hospital) == [("hold", "release")]
    hospital.settle()
    hospital.judge("1.2.1", HELD)
    assert pending(hospital) == []
    studies.release(hospital.catalog, "1.2.1", by="anna", reason="right", destinations=[ARCHIVE])
    assert pending(hospital) == [NOTE]
    hospital.deliver()


@pytest.mark.parametrize(("peer", "hidden"), [("pacs", ["1.2.1.1.1"]), ("ct1", [])])
def test_a_note_that_a_person_dismisses_goes_nowhere_and_holds_nothing(
    hospital: Hospital, peer: str, hidden: list[str]
) -> None:
    archived(hospital)
    receive_note(hospital, "113001", peer=peer)
    hospital.settle()
    hospital.judge("1.2.1", HELD)
    assert rejections.dismiss(hospital.catalog, "1.2.1", by="anna", reason="a mistake") == 1
    assert hospital.column(HIDDEN) == hidden
    assert observed(hospital) == [("info", "dismissed")]
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    assert hospital.judge()
    assert (hospital.state(), pending(hospital)) == ("archived", [])
    told = next(line for line in studies.trace(hospital.catalog, "1.2.1") if line["event"] == "notes_dismissed")
    assert (told["by"], told["detail"]["reason"]) == ("anna", "a mistake")
    with pytest.raises(StateError):
        rejections.dismiss(hospital.catalog, "1.2.1", by="anna", reason="again")
    with pytest.raises(NotFoundError):
        rejections.dismiss(hospital.catalog, "9.9", by="anna", reason="again")


def test_a_peer_whose_notes_are_forwarded_needs_no_person(hospital: Hospital) -> None:
    archived(hospital)
    receive_note(hospital, "113038", peer="ris")
    assert observed(hospital) == [("info", "forwarded")]
    hospital.settle()
    assert hospital.judge()
    assert pending(hospital) == [NOTE]


def test_a_note_that_the_time_is_over_hides_and_never_goes(hospital: Hospital) -> None:
    archived(hospital)
    receive_note(hospital, "113039", peer="ris")
    assert hospital.column(HIDDEN) == ["1.2.1.1.1"]
    assert (observed(hospital), hospital.state()) == ([("info", "retention")], "archived")
    assert rejections.refused(hospital.catalog) == frozenset()
    assert hospital.column("SELECT held FROM instances WHERE uid = ?", NOTE) == [1]


@pytest.mark.parametrize("second", ["113039", "113001", "113038"])
def test_what_two_notes_hide_is_taken_off_the_study_once(hospital: Hospital, second: str) -> None:
    archived(hospital)
    before = held_by(hospital)
    receive_note(hospital, "113039")
    assert held_by(hospital) == (before[0] - 1, before[1] // 2)
    receive_note(hospital, second, uid="1.2.9.2")
    assert held_by(hospital) == (before[0] - 1, before[1] // 2)
    assert hospital.column(HIDDEN) == ["1.2.1.1.1"]


def test_what_is_not_delivered_when_its_time_is_over_still_goes(hospital: Hospital) -> None:
    hospital.accept()
    receive_note(hospital, "113039")
    assert pending(hospital) == ["1.2.1.1.1", "1.2.1.1.2"]


@pytest.mark.parametrize(("code", "refused"), [("113001", False), ("113037", True), ("113038", True)])
def test_later_copies_are_refused_or_kept_out_of_sight(hospital: Hospital, code: str, refused: bool) -> None:
    hospital.accept()
    receive_note(hospital, code)
    assert (rejections.refused(hospital.catalog) == {"1.2.1.1.1"}) is refused
    before = hospital.state()
    hospital.receive("1.2.1", instance=1, Rows=8)  # other bytes; the process that took it did not know yet
    hospital.receive("1.2.1", instance=1)  # the same bytes
    index(hospital)
    assert hospital.state() == before
    rows = hospital.rows("SELECT current, held FROM instances WHERE uid = '1.2.1.1.1'")
    assert rows == [{"current": 0, "held": 1}] * 2
    assert observed(hospital, "1.2.1.1.1") == [("info", "copy")]
    assert pending(hospital) == ["1.2.1.1.2"]


def test_an_image_that_comes_after_its_note_is_kept_out_of_sight(hospital: Hospital) -> None:
    receive_note(hospital, "113037", "1.2.1.1.1", "1.2.1.1.2")
    hospital.receive("1.2.1", instance=1)
    hospital.receive("1.2.1", instance=3)
    index(hospital)
    assert hospital.column(HIDDEN) == ["1.2.1.1.1"]
    record = studies.find(hospital.catalog, "1.2.1")
    assert record is not None
    assert record.instances == 1


def test_a_note_hides_only_in_the_study_that_it_names(hospital: Hospital) -> None:
    hospital.accept()
    receive_note(hospital, "113037", study="1.2.7")
    assert hospital.column(HIDDEN) == []
    assert pending(hospital) == ["1.2.1.1.1", "1.2.1.1.2"]


def test_the_same_note_twice_and_a_batch_that_is_indexed_again_are_one(hospital: Hospital) -> None:
    hospital.accept()
    receive_note(hospital, "113001")
    receive_note(hospital, "113001")
    assert hospital.column("SELECT COUNT(*) FROM rejection_notes") == [1]
    assert len(hospital.column(HIDDEN)) == 1


def test_a_note_whose_references_cannot_be_read_is_held(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    hospital.accept()
    monkeypatch.setattr("kuva_gateway.dicom.key_objects.LARGEST", 10)
    receive_note(hospital, "113001")
    assert observed(hospital) == [("hold", "unreadable")]


def test_key_objects_that_are_no_rejection_notes_are_images_like_others(hospital: Hospital) -> None:
    made = data_set(SOPClassUID=KEY_OBJECT_SELECTION, SOPInstanceUID=NOTE, Modality="KO")
    hospital.receive_bytes(encode(made), peer="pacs")
    index(hospital)
    assert hospital.column("SELECT held FROM instances") == [0]
    assert hospital.column("SELECT COUNT(*) FROM rejection_notes") == [0]


# -- withdrawal -----------------------------------------------------------------------------------------------------


def withdraw(hospital: Hospital, code: str = "113037", uid: str = "1.2.1") -> withdrawal.Withdrawn:
    def make(header: Header, references: Sequence[Reference]) -> bytes:
        return write_note(header, references, code=code, uid=NOTE, series_uid="1.2.9", at=AT, device={})

    return withdrawal.withdraw(
        hospital.catalog, uid, code=code, by="anna", reason="wrong patient", note_uid=NOTE, make_note=make
    )


def write_notes(hospital: Hospital) -> int:
    done = Notes().write(hospital.catalog, hospital.spool, lambda arrival, header: None)
    index(hospital)
    return done


def test_withdrawing_sends_the_note_to_those_who_have_the_study_and_to_nobody_else(hospital: Hospital) -> None:
    archived(hospital)
    done = withdraw(hospital)
    assert (done.instances, done.destinations) == (2, ("archive",))
    assert hospital.state() == "withdrawn"
    assert write_notes(hospital) == 1
    assert hospital.state() == "withdrawn"
    entry = hospital.claimed()
    assert [one.sop_instance for one in entries.pending_instances(hospital.catalog, entry)] == [NOTE]
    assert withdrawal.unwritten(hospital.catalog) == []
    assert write_notes(hospital) == 0
    assert hospital.column(HIDDEN) == ["1.2.1.1.1", "1.2.1.1.2"]
    assert rejections.refused(hospital.catalog) == {"1.2.1.1.1", "1.2.1.1.2"}
    told = next(line for line in studies.trace(hospital.catalog, "1.2.1") if line["event"] == "withdrawn")
    assert (told["by"], told["detail"]["reason"], told["detail"]["code"]) == ("anna", "wrong patient", "113037")


def test_a_crash_before_or_after_the_note_is_in_the_spool_sends_it_once(hospital: Hospital) -> None:
    archived(hospital)
    withdraw(hospital)
    for _ in range(2):  # two daemons in a row, each killed before the indexer came to it
        Notes().write(hospital.catalog, hospital.spool, lambda arrival, header: None)
    index(hospital)
    assert write_notes(hospital) == 0
    assert hospital.column("SELECT COUNT(*) FROM entries WHERE revision = 2") == [1]
    assert pending(hospital) == [NOTE]


def test_a_study_that_went_nowhere_is_withdrawn_without_a_note(hospital: Hospital) -> None:
    hospital.accept()
    assert withdraw(hospital).destinations == ()
    assert write_notes(hospital) == 0
    assert hospital.claim() is None
    assert pending(hospital) == []


def test_a_delivery_under_way_gets_the_note_as_well(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    assert withdraw(hospital).destinations == ("archive",)
    assert not entries.renew(hospital.catalog, entry.id, "worker", hospital.clock.forward(seconds=5))
    entries.defer(hospital.catalog, entry.id, hospital.clock(), None)
    write_notes(hospital)
    later = hospital.claimed()
    assert [one.sop_instance for one in entries.pending_instances(hospital.catalog, later)] == [NOTE]


def test_a_destination_that_never_answered_may_have_the_study_and_gets_the_note(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    instance = entries.pending_instances(hospital.catalog, entry)[0].instance_id
    doubts.doubt(hospital.catalog, entry, instance)
    entries.defer(hospital.catalog, entry.id, hospital.clock.forward(minutes=1), None)
    assert withdraw(hospital).destinations == ("archive",)
    write_notes(hospital)
    assert pending(hospital) == [NOTE]


@pytest.mark.parametrize(("reason", "told"), [(0x0110, ("archive",)), (0x0112, ())])
def test_what_was_taken_once_may_be_there_until_the_destination_denies_it(
    hospital: Hospital, reason: int, told: tuple[str, ...]
) -> None:
    hospital.accept()
    entry = hospital.deliver()
    ids = hospital.column("SELECT instance_id FROM ledger")
    commitments.ask(hospital.catalog, entry.id, "2.25.1", ids, hospital.clock.forward(hours=1))
    failed = [(CT, f"1.2.1.1.{number}", reason) for number in (1, 2)]
    commitments.record_result(hospital.catalog, "2.25.1", "archive", [], failed, hospital.clock())
    entries.mark_failed(hospital.catalog, entry.id, dict.fromkeys(ids, "no"), hospital.clock())
    assert withdraw(hospital).destinations == told


def test_a_note_on_what_a_destination_may_have_without_an_answer_waits_for_release(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    for one in entries.pending_instances(hospital.catalog, entry):
        doubts.doubt(hospital.catalog, entry, one.instance_id)
    entries.defer(hospital.catalog, entry.id, hospital.clock.forward(minutes=1), None)
    receive_note(hospital, "113001")
    assert observed(hospital) == [("hold", "release")]


def test_what_arrives_after_a_withdrawal_is_kept_and_never_sent(hospital: Hospital) -> None:
    archived(hospital)
    withdraw(hospital, "113001")
    write_notes(hospital)
    hospital.receive("1.2.1", instance=3)
    index(hospital)
    assert hospital.state() == "withdrawn"
    assert pending(hospital) == [NOTE]


def test_a_study_is_withdrawn_once_and_must_be_there(hospital: Hospital) -> None:
    archived(hospital)
    withdraw(hospital)
    with pytest.raises(StateError):
        withdraw(hospital)
    with pytest.raises(NotFoundError):
        withdraw(hospital, uid="9.9")


def test_the_files_of_a_withdrawn_study_are_not_removed_before_those_who_have_it_are_told(hospital: Hospital) -> None:
    archived(hospital)
    withdraw(hospital)
    for step in ("decided", "in the spool", "sent"):
        if step == "in the spool":
            write_notes(hospital)
        elif step == "sent":
            hospital.deliver()
        with pytest.raises(StateError, match="on its way"):
            removal.remove_study(hospital.catalog, "1.2.1", by="anna", reason="space")
    with hospital.catalog.write() as session:
        session.execute("UPDATE ledger SET state = 'committed'")
    assert removal.remove_study(hospital.catalog, "1.2.1", by="anna", reason="space") == 3
