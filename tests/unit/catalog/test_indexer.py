"""Arrivals become instances and rows; the same bytes again, other bytes, other studies; studies that had settled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kuva_gateway.catalog import entries, instances, studies
from kuva_gateway.catalog.arrivals import Notice
from kuva_gateway.catalog.session import moment
from kuva_gateway.catalog.states import apply
from kuva_gateway.errors import CatalogUnavailableError
from tests.unit.catalog.making import ARCHIVE, HETU, Hospital, data_set, encode


def observed(hospital: Hospital, study: str = "1.2.1") -> set[tuple[str, str, str, str]]:
    findings = studies.view(hospital.catalog, study).instance_findings
    return {(one.rule, one.severity, one.sop_instance_uid, one.other_uid) for one in findings}


def test_a_study_is_summed_up(hospital: Hospital) -> None:
    sizes = [hospital.receive(instance=number)[0].size for number in (1, 2, 3)]
    hospital.clock.forward(seconds=5)
    sizes.append(hospital.receive(series=2, Modality="SR", peer="ws1")[0].size)
    assert hospital.index() == {"1.2.1"}
    study = studies.find(hospital.catalog, "1.2.1")
    assert study is not None
    assert (study.state, study.revision, study.series, study.instances) == ("receiving", 1, 2, 4)
    assert study.bytes == sum(sizes)
    assert study.modalities == ("CT", "SR")
    assert (study.patient_id, study.accession_number, study.study_date) == (HETU, "A1", "20240105")
    assert (study.procedure_code, study.peer) == ("GD1AD", "ct1")
    assert (study.last_arrival - study.first_arrival).total_seconds() == pytest.approx(5, abs=0.001)


def test_what_is_indexed_is_in_instances_and_nowhere_else(hospital: Hospital) -> None:
    arrival, _ = hospital.receive()
    hospital.index()
    assert list(hospital.spool.arrivals()) == []
    hospital.spool.verify(arrival.digest)
    assert list(instances.digests(hospital.catalog)) == [arrival.digest]


def test_since_when_the_oldest_arrival_waits_is_known(hospital: Hospital) -> None:
    indexer = hospital.indexer()
    assert indexer.waiting_since is None
    first, header = hospital.receive()
    hospital.clock.forward(hours=1)
    for arrival in (first, hospital.receive(instance=2)[0]):
        indexer.notify(arrival, header)
    assert indexer.waiting_since == moment(first.receipt.time_ns // 1000)
    assert indexer.pending == 2


def test_a_study_of_many_instances_has_few_fact_sets(hospital: Hospital) -> None:
    for number in range(30):
        hospital.receive(series=number % 3, instance=number, BodyPartExamined=f"PART{number}")
    hospital.receive(series=9, PatientID="010516B903X")
    hospital.index(batch=7)
    facts = studies.view(hospital.catalog, "1.2.1").facts
    assert [(one.instances, one.header.patient_id, one.peers) for one in facts] == [
        (30, HETU, ("ct1",)),
        (1, "010516B903X", ("ct1",)),
    ]
    assert facts[1].example_sop_instance_uid == "1.2.1.9.1"


def test_code_sources_that_disagree_agree_on_no_code(hospital: Hospital) -> None:
    hospital.receive()
    hospital.receive(instance=2, StudyDescription="GD1AA Thorax rtg")
    hospital.index()
    study = studies.find(hospital.catalog, "1.2.1")
    assert study is not None
    assert study.procedure_code is None


def test_the_same_bytes_again_are_a_receipt_and_nothing_else(hospital: Hospital) -> None:
    hospital.accept()
    before = studies.show(hospital.catalog, "1.2.1"), studies.trace(hospital.catalog, "1.2.1")
    hospital.clock.forward(hours=1)
    hospital.receive(instance=1, peer="pacs")
    assert hospital.index() == frozenset()
    assert (studies.show(hospital.catalog, "1.2.1"), studies.trace(hospital.catalog, "1.2.1")) == before
    assert hospital.column("SELECT peer FROM receipts ORDER BY time_ns") == ["ct1", "ct1", "pacs"]
    assert list(hospital.spool.arrivals()) == []


def test_the_same_bytes_twice_in_one_batch_are_one_instance(hospital: Hospital) -> None:
    hospital.receive()
    hospital.receive()
    hospital.index()
    assert hospital.column("SELECT instances FROM studies") == [1]
    assert hospital.column("SELECT COUNT(*) FROM receipts") == [2]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("policy", "kept"), [("newest", "SECOND"), ("first", "FIRST")])
def test_before_delivery_the_policy_chooses_among_other_bytes(
    hospital: Hospital, policy: str, kept: str, at_once: bool
) -> None:
    hospital.receive(SeriesDescription="FIRST", ImageComments="FIRST")
    if not at_once:
        hospital.index(duplicates=policy)
    hospital.receive(ImageComments="SECOND")
    hospital.index(duplicates=policy)
    current = hospital.column("SELECT digest FROM instances WHERE current = 1")
    assert len(current) == 1
    with hospital.spool.open_instance(bytes(current[0]).hex()) as stream:
        assert kept.encode() in stream.read()
    assert hospital.rows("SELECT instances, series FROM studies") == [{"instances": 1, "series": 1}]
    assert hospital.column("SELECT bytes FROM studies") == hospital.column(
        "SELECT size FROM instances WHERE current = 1"
    )
    assert observed(hospital) == {("DUP-01", "warning", "1.2.1.1.1", "")}
    assert len(list(instances.digests(hospital.catalog))) == 2


def test_an_object_that_gives_way_is_no_longer_pending(hospital: Hospital) -> None:
    hospital.accept(instances=1)
    hospital.receive(ImageComments="BETTER")
    hospital.index()
    hospital.settle()
    hospital.judge()
    entry = hospital.claimed()
    pending = entries.pending_instances(hospital.catalog, entry)
    assert [bytes(d).hex() for d in hospital.column("SELECT digest FROM instances WHERE current = 1")] == [
        one.digest for one in pending
    ]
    assert hospital.column("SELECT COUNT(*) FROM ledger") == [1]


@pytest.mark.parametrize("policy", ["newest", "first"])
def test_after_delivery_other_bytes_are_held_and_never_sent(hospital: Hospital, policy: str) -> None:
    hospital.accept(instances=1)
    hospital.deliver()
    hospital.receive(ImageComments="OTHER")
    hospital.index(duplicates=policy)
    assert observed(hospital) == {("DUP-01", "hold", "1.2.1.1.1", "")}
    assert (hospital.state(), hospital.column("SELECT revision FROM studies")) == ("receiving", [2])
    hospital.settle()
    studies.record_verdict(hospital.catalog, studies.view(hospital.catalog, "1.2.1"), True, (), (ARCHIVE,))
    assert hospital.column("SELECT COUNT(*) FROM ledger") == [1]
    assert hospital.column("SELECT instances FROM studies") == [1]


def test_bytes_that_may_be_on_their_way_at_this_moment_do_not_give_way(hospital: Hospital) -> None:
    hospital.accept(instances=1)
    hospital.claimed()
    hospital.receive(ImageComments="OTHER")
    hospital.index()
    assert observed(hospital) == {("DUP-01", "hold", "1.2.1.1.1", "")}


def test_one_uid_in_two_studies_is_found_on_both(hospital: Hospital) -> None:
    hospital.hold()
    hospital.receive(study="1.2.2", SOPInstanceUID="1.2.1.1.1")
    hospital.index()
    assert observed(hospital) == {("UID-02", "hold", "1.2.1.1.1", "1.2.2")}
    assert observed(hospital, "1.2.2") == {("UID-02", "hold", "1.2.1.1.1", "1.2.1")}
    assert studies.to_judge(hospital.catalog, 10) == ["1.2.1"]
    assert len(list(instances.digests(hospital.catalog))) == 3


def test_one_uid_in_two_series_of_a_study_is_found(hospital: Hospital) -> None:
    hospital.receive()
    hospital.receive(series=2, SOPInstanceUID="1.2.1.1.1")
    hospital.index()
    assert observed(hospital) == {("UID-02", "hold", "1.2.1.1.1", "1.2.1")}


def test_an_instance_opens_a_study_again_and_its_entries_give_way(hospital: Hospital) -> None:
    hospital.accept()
    hospital.receive(instance=3)
    hospital.index()
    assert hospital.rows("SELECT state, revision FROM studies") == [{"state": "receiving", "revision": 2}]
    assert hospital.column("SELECT state FROM entries") == ["superseded"]
    assert hospital.claim() is None
    assert hospital.column("SELECT revision FROM instances ORDER BY id") == [1, 1, 2]


def test_many_instances_at_once_are_one_revision(hospital: Hospital) -> None:
    hospital.accept()
    for number in range(3, 9):
        hospital.receive(instance=number)
    hospital.index(batch=2)
    assert hospital.column("SELECT revision FROM studies") == [2]
    assert hospital.column("SELECT COUNT(*) FROM history WHERE event = 'instance_arrived'") == [1]


def test_an_entry_that_is_being_sent_is_left_alone_and_gives_way_when_it_is_deferred(hospital: Hospital) -> None:
    hospital.accept()
    entry = hospital.claimed()
    assert entries.renew(hospital.catalog, entry.id, "worker", hospital.clock.forward(seconds=30))
    hospital.receive(instance=3)
    hospital.index()
    assert hospital.column("SELECT state FROM entries") == ["sending"]
    assert not entries.renew(hospital.catalog, entry.id, "worker", hospital.clock.forward(seconds=30))
    entries.defer(hospital.catalog, entry.id, hospital.clock(), None)
    assert hospital.column("SELECT state FROM entries") == ["superseded"]


def test_a_withdrawn_study_keeps_what_comes_and_says_so(hospital: Hospital) -> None:
    hospital.send()
    with hospital.catalog.write() as session:
        apply(session, "study", 1, "withdrawn")
    hospital.receive(instance=3)
    hospital.receive(study="1.2.2")
    assert hospital.index() == {"1.2.1", "1.2.2"}
    assert (hospital.state(), hospital.state("1.2.2")) == ("withdrawn", "receiving")
    assert observed(hospital) == {("QUA-02", "warning", "", "")}
    assert hospital.column("SELECT held FROM instances ORDER BY id") == [0, 0, 1, 0]
    assert hospital.column("SELECT instances FROM studies ORDER BY id") == [2, 1]


@pytest.mark.parametrize("data", [b"\xff" * 40, b"\x00" * 40, encode(data_set(SeriesInstanceUID=""))])
def test_a_file_that_cannot_be_understood_goes_aside_and_the_batch_goes_on(hospital: Hospital, data: bytes) -> None:
    hospital.receive(instance=1)
    hospital.receive_bytes(data, header=False)
    hospital.receive(instance=2)
    hospital.index()
    assert hospital.column("SELECT instances FROM studies") == [2]
    assert [rule for rule, _ in hospital.problems] == ["QUA-01"]
    assert len([path for path in hospital.spool.corrupt.iterdir() if path.suffix != ".reason"]) == 1
    assert len(list(hospital.spool.instances())) == 2
    assert list(hospital.spool.arrivals()) == []


def test_rows_that_the_database_will_not_have_stay_in_the_spool_and_the_rest_goes_on(hospital: Hospital) -> None:
    arrival, header = hospital.receive_bytes(encode(data_set(instance=1)))
    hospital.receive(instance=2)
    indexer = hospital.indexer()
    bad = Notice(arrival, replace(header, patient_id="\ud800"))
    rest = [Notice(one, None) for one in hospital.spool.arrivals() if one.receipt != arrival.receipt]
    indexer._index([bad, *rest])
    assert hospital.column("SELECT instances FROM studies") == [1]
    assert [one.receipt for one in hospital.spool.arrivals()] == [arrival.receipt]
    assert hospital.problems[0][0] == "QUA-01"
    assert HETU not in hospital.problems[0][1]


@pytest.mark.parametrize("fault", ["read-only", "no table"])
def test_a_database_that_takes_no_rows_at_all_puts_nothing_aside(hospital: Hospital, fault: str) -> None:
    read_only, writable = "PRAGMA query_only = 1", "PRAGMA query_only = 0"
    if hospital.catalog.postgresql:
        read_only, writable = (f"SET SESSION CHARACTERISTICS AS TRANSACTION READ {what}" for what in ("ONLY", "WRITE"))
    if fault == "no table":
        read_only, writable = "ALTER TABLE receipts RENAME TO away", "ALTER TABLE away RENAME TO receipts"
    for number in (1, 2, 3):
        hospital.receive(instance=number)
    with hospital.catalog.write() as session:
        session.execute(read_only)
    indexer = hospital.indexer()
    with pytest.raises(CatalogUnavailableError):
        indexer.index_batch(hospital.spool.arrivals())
    assert hospital.problems == []
    with hospital.catalog.read() if fault == "read-only" else hospital.catalog.write() as session:
        session.execute(writable)
    assert indexer.index_batch(hospital.spool.arrivals()) == {"1.2.1"}
    assert hospital.column("SELECT instances FROM studies") == [3]


def test_header_and_file_say_the_same(hospital: Hospital) -> None:
    """An arrival is indexed alike whether its header came with the notice or is read from the file."""
    arrival, header = hospital.receive(instance=1)
    hospital.indexer()._index([Notice(arrival, header)])
    hospital.receive(instance=2)
    hospital.index()
    assert hospital.column("SELECT COUNT(*) FROM fact_sets") == [1]
    first, second = hospital.rows(
        "SELECT sop_class, transfer_syntax, series_id, fact_set_id, rows, columns FROM instances ORDER BY id"
    )
    assert first == second
