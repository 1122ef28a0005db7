"""C-FIND over a real association: our own requestor, DCMTK's findscu and pynetdicom ask."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE

from kuva_gateway.catalog import studies
from kuva_gateway.network import NoContext, commands
from kuva_gateway.network.commands import Command
from kuva_gateway.network.negotiation import request_bytes
from tests.support import wait_until
from tests.unit.network.peers import RawPeer, p_data, pdv, propose
from tests.unit.scp.conftest import EXPLICIT, IMPLICIT
from tests.unit.scp.querying import PATIENT_ROOT, STUDY_ROOT, Querying, ask, crowd, identifier, querying

MANY = 3000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Querying]:
    """Two patients: one with two studies and a name in Latin-1, one with a Japanese name."""
    with querying(tmp_path_factory.mktemp("querying")) as found:
        sender = found.hospital
        sender.send("1.2.1", PatientName="Mäkelä^Åke", PatientID="P1", SpecificCharacterSet="ISO_IR 100")
        sender.send(
            "1.2.2", 1, PatientName="Mäkelä^Åke", PatientID="P1", SpecificCharacterSet="ISO_IR 100",
            StudyDate="20240201", Modality="MR", AccessionNumber="A2",
        )  # fmt: skip
        sender.send("1.2.3", 1, PatientName="Yamada^Tarou=山田^太郎", PatientID="P3", SpecificCharacterSet="ISO_IR 192")
        yield found


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_match_has_what_was_asked_for_and_where_it_is(gateway: Querying, syntax: str) -> None:
    found = gateway.find(
        syntax=syntax, PatientName="makela*", StudyDate="20240101-20240131", ModalitiesInStudy="", StudyTime="",
        NumberOfStudyRelatedInstances="", InstanceAvailability="", AccessionNumber="", SOPClassesInStudy="",
        ProcedureCodeSequence=[], PatientBirthDate="",
    )  # fmt: skip
    assert found.statuses == [0xFF00, 0x0000]
    (one,) = found.data_sets
    assert str(one.PatientName) == "Mäkelä^Åke"
    assert (one.StudyInstanceUID, one.AccessionNumber, one.NumberOfStudyRelatedInstances) == ("1.2.1", "A1", 2)
    assert (one.ModalitiesInStudy, one.StudyTime, one.PatientBirthDate) == ("CT", "", "")
    assert (one.RetrieveAETitle, one.InstanceAvailability, one.QueryRetrieveLevel) == ("KUVAGW", "ONLINE", "STUDY")
    assert list(one.keys()) == sorted(one.keys())
    assert "SeriesInstanceUID" not in one


def test_every_level_of_both_roots_answers(gateway: Querying) -> None:
    found = gateway.find(PATIENT_ROOT, QueryRetrieveLevel="PATIENT", PatientID="", NumberOfPatientRelatedStudies="")
    assert [(one.PatientID, one.NumberOfPatientRelatedStudies) for one in found.data_sets] == [("P1", 2), ("P3", 1)]
    found = gateway.find(PATIENT_ROOT, PatientID="P1", StudyInstanceUID="")
    assert found.values("StudyInstanceUID") == ["1.2.1", "1.2.2"]
    found = gateway.find(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2.1", SeriesInstanceUID="", Modality="")
    assert found.values("SeriesInstanceUID") == ["1.2.1.1"]
    found = gateway.find(
        QueryRetrieveLevel="IMAGE", StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.1", SOPInstanceUID="",
        InstanceNumber="", Rows=None,
    )  # fmt: skip
    assert [(one.SOPInstanceUID, one.InstanceNumber) for one in found.data_sets] == [("1.2.1.1.1", 1), ("1.2.1.1.2", 2)]


@pytest.mark.parametrize(
    ("asked", "name", "answered"),
    [
        (None, "P1", "ISO_IR 100"),
        ("ISO_IR 100", "P1", "ISO_IR 100"),
        ("ISO_IR 101", "P1", "ISO_IR 192"),
        ("ISO_IR 109", "P1", "ISO_IR 192"),
        ("ISO_IR 110", "P1", "ISO_IR 110"),
        ("ISO_IR 144", "P1", "ISO_IR 192"),
        ("ISO_IR 192", "P1", "ISO_IR 192"),
        ("ISO_IR 100", "P3", "ISO_IR 192"),
    ],
)
def test_the_answer_is_in_a_set_that_holds_the_name_and_the_asker_reads(
    gateway: Querying, asked: str | None, name: str, answered: str
) -> None:
    found = gateway.find(SpecificCharacterSet=asked, PatientID=name, PatientName="")
    assert {one.SpecificCharacterSet for one in found.data_sets} == {answered}
    wanted = {"P1": "Mäkelä^Åke", "P3": "Yamada^Tarou=山田^太郎"}[name]
    assert set(found.values("PatientName")) == {wanted}


@pytest.mark.parametrize("asked", ["ISO_IR 100", "ISO_IR 110", "ISO_IR 192", "KLINGON"])
def test_the_key_is_read_in_the_set_of_the_request(gateway: Querying, asked: str) -> None:
    raw = identifier(PatientID="P1", PatientName="XX^*")
    terms = asked.encode().ljust(len(asked) + len(asked) % 2)
    codec = {"ISO_IR 110": "iso8859-4", "ISO_IR 192": "utf-8"}.get(asked, "latin-1")
    name = "Mäkelä^*".encode(codec)
    name += b" " * (len(name) % 2)
    head = b"\x08\x00\x05\x00CS" + len(terms).to_bytes(2, "little") + terms
    raw = head + raw.replace(b"PN\x04\x00XX^*", b"PN" + len(name).to_bytes(2, "little") + name)
    with gateway.associate() as association:
        answers = list(association.find(association.contexts[1], raw))
    assert [answer.status for answer in answers] == [0xFF00, 0xFF00, 0x0000]
    # A set that nobody knows: the bytes come back as they are.
    assert "Mäkelä^Åke".encode(codec) in (answers[0].data_set or b"")
    assert asked.encode() in (answers[0].data_set or b"")


def test_of_a_sequence_the_items_that_match_come_with_the_members_that_were_asked_for(tmp_path: Path) -> None:
    """PS3.4 C.2.2.2.6."""

    def request(procedure: str, step: str) -> Dataset:
        made = Dataset()
        made.RequestedProcedureID, made.ScheduledProcedureStepID = procedure, step
        return made

    def items(*asked: Dataset) -> list[dict[str, str]]:
        keys = {"QueryRetrieveLevel": "SERIES", "RequestAttributesSequence": list(asked)}
        [one] = gateway.find(**keys).data_sets
        return [{item.keyword: item.value for item in found} for found in one.RequestAttributesSequence]

    with querying(tmp_path) as gateway:
        gateway.hospital.send("1.2.1", 1, RequestAttributesSequence=[request("R1", "S1"), request("R[2]", "S2")])
        first, second = (
            {"RequestedProcedureID": "R1", "ScheduledProcedureStepID": "S1"},
            {"RequestedProcedureID": "R[2]", "ScheduledProcedureStepID": "S2"},
        )
        assert items() == [first, second]
        assert items(Dataset()) == [first, second]
        assert items(request("", "")) == [first, second]
        assert items(request("R1", "")) == [first]
        assert items(request("R[*", "")) == [second]
        only = request("", "")
        del only.ScheduledProcedureStepID
        assert items(only) == [{"RequestedProcedureID": "R1"}, {"RequestedProcedureID": "R[2]"}]


def test_unsupported_keys_are_told_of_and_left_out(gateway: Querying) -> None:
    found = gateway.find(PatientID="P3", PatientWeight="80", Modality="")
    assert found.statuses == [0xFF01, 0x0000]
    assert "PatientWeight" not in found.data_sets[0]
    assert "Modality" not in found.data_sets[0]


@pytest.mark.parametrize(
    ("root", "keys", "status", "offending"),
    [
        (STUDY_ROOT, {"QueryRetrieveLevel": None}, 0xA900, (0x00080052,)),
        (STUDY_ROOT, {"QueryRetrieveLevel": "PATIENT"}, 0xA900, (0x00080052,)),
        (STUDY_ROOT, {"QueryRetrieveLevel": "FRAME"}, 0xA900, (0x00080052,)),
        (STUDY_ROOT, {"StudyDate": "x"}, 0xA900, (0x00080020,)),
        (STUDY_ROOT, {"StudyInstanceUID": "1" * 64}, 0x0000, ()),
        (STUDY_ROOT, {"StudyInstanceUID": "' OR 1=1"}, 0x0000, ()),
        (STUDY_ROOT, {"PatientID": "%"}, 0x0000, ()),
    ],
)
def test_a_bad_identifier_gets_its_status_and_the_next_query_is_served(
    gateway: Querying, root: str, keys: dict[str, str], status: int, offending: tuple[int, ...]
) -> None:
    with gateway.associate(root) as association:
        found = ask(association, identifier(**keys))
        assert (found.statuses, found.offending) == ([status], offending)
        assert bool(found.comment) == bool(status)
        assert ask(association, b"\x08\x00nonsense").statuses == [0xC000]
        assert ask(association, bytes(10 << 20)).statuses == [0xA700]
        assert len(ask(association, identifier(PatientID="P1")).data_sets) == 2


def test_missing_higher_keys_are_refused_where_the_gateway_is_strict(tmp_path: Path) -> None:
    with querying(tmp_path, lenient=False) as gateway:
        gateway.hospital.send("1.2.1")
        keys = {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": ""}
        found = gateway.find(**keys)
        assert (found.statuses, found.offending) == ([0xA900], (0x0020000D,))
        assert gateway.find(StudyInstanceUID="1.2.1", **keys).statuses == [0xFF00, 0x0000]
        assert gateway.find(extended=b"\1\1\1", **keys).statuses == [0xFF00, 0x0000]


def test_extended_negotiation_is_answered_as_far_as_we_go(gateway: Querying) -> None:
    with gateway.associate(extended=b"\1\1\1\1\1") as association:
        assert association.contexts[1].extended == b"\1\1\0\0\0"
    with gateway.associate() as association:
        assert association.contexts[1].extended == b""


def test_a_query_waits_for_what_was_acknowledged_before_it(gateway: Querying) -> None:
    gateway.waits.clear()
    gateway.indexed = False
    try:
        found = gateway.find()
    finally:
        gateway.indexed = True
    assert found.statuses == [0xA700]
    assert "indexed" in found.comment
    assert len(gateway.waits) == 1


def test_held_and_rejected_studies_are_shown_unless_told_otherwise(tmp_path: Path) -> None:
    for more, seen in (({}, 2), ({"show_held": False}, 1), ({"show_rejected": False, "show_held": False}, 0)):
        with querying(tmp_path / str(seen), **more) as gateway:
            gateway.hospital.hold("1.2.1")
            gateway.hospital.hold("1.2.2")
            studies.reject(gateway.hospital.catalog, "1.2.2", by="nurse", reason="test")
            assert len(gateway.find(InstanceAvailability="ONLINE").data_sets) == seen


def test_a_peer_that_may_not_ask_has_no_context(gateway: Querying) -> None:
    with gateway.associate("1.2.840.10008.5.1.4.1.2.2.2") as association, pytest.raises(NoContext):
        association.context_for("1.2.840.10008.5.1.4.1.2.2.2")


# -- many answers ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Querying]:
    """Thousands of studies, rows only; at most 2,000 answers."""
    with querying(tmp_path_factory.mktemp("crowded"), limit=2000) as found:
        crowd(found.hospital, MANY)
        yield found


def test_too_many_matches_are_cut_and_told_of(crowded: Querying) -> None:
    found = crowded.find()
    assert found.statuses == [0xFF00] * 2000 + [0xA700]
    assert found.comment == "more than 2000 matches: narrow the query"
    assert len(set(found.values("StudyInstanceUID"))) == 2000


def test_a_query_that_is_cancelled_ends_soon_and_the_next_is_served(crowded: Querying) -> None:
    with crowded.associate() as association:
        answers = association.find(association.contexts[1], identifier())
        for _ in range(3):
            assert next(answers).status == 0xFF00
        answers.close()  # type: ignore[attr-defined]
        assert ask(association, identifier(PatientID="nobody")).statuses == [0x0000]


def test_a_cancelled_query_ends_with_fe00(crowded: Querying) -> None:
    contexts = propose((STUDY_ROOT, EXPLICIT))
    with RawPeer(crowded.port) as peer:
        peer.send(request_bytes(called_ae="KUVAGW", calling_ae="PACS", contexts=contexts, roles={}, length=16384))
        assert peer.pdu()[0] == 2
        request = Command(
            field=commands.C_FIND_RQ, message_id=7, affected_class=STUDY_ROOT, priority=0, has_data_set=True
        )
        cancel = Command(field=commands.C_CANCEL_RQ, responded_to=7)
        peer.send(
            p_data(pdv(1, 3, commands.encode(request)))
            + p_data(pdv(1, 2, identifier()))
            + p_data(pdv(1, 3, commands.encode(cancel)))
        )
        statuses = []
        while not statuses or statuses[-1] == 0xFF00:
            _, body = peer.pdu()
            if body[5] & 1:
                statuses.append(commands.decode(body[6:]).status)
        assert statuses[-1] == 0xFE00
        assert len(statuses) < 2000


def test_an_asker_that_goes_in_the_middle_leaves_nothing_behind(crowded: Querying) -> None:
    threads = threading.active_count()
    before = len(crowded.log.of("association"))
    contexts = propose((STUDY_ROOT, EXPLICIT))
    with RawPeer(crowded.port) as peer:
        peer.send(request_bytes(called_ae="KUVAGW", calling_ae="PACS", contexts=contexts, roles={}, length=16384))
        assert peer.pdu()[0] == 2
        request = Command(
            field=commands.C_FIND_RQ, message_id=1, affected_class=STUDY_ROOT, priority=0, has_data_set=True
        )
        peer.send(p_data(pdv(1, 3, commands.encode(request))) + p_data(pdv(1, 2, identifier())))
        peer.pdu()
    wait_until(lambda: len(crowded.log.of("association")) > before)
    wait_until(lambda: threading.active_count() <= threads)
    assert crowded.find(PatientID="nobody").statuses == [0x0000]


# -- peers -------------------------------------------------------------------------------------------------------------


def test_findscu_reads_our_answers(gateway: Querying, tmp_path: Path) -> None:
    found = gateway.findscu(
        "QueryRetrieveLevel=STUDY", "PatientName=MAKELA*", "StudyInstanceUID", "ModalitiesInStudy=MR", folder=tmp_path
    )
    (one,) = found
    assert (str(one.PatientName), one.StudyInstanceUID, one.ModalitiesInStudy) == ("Mäkelä^Åke", "1.2.2", "MR")
    assert one.SpecificCharacterSet == "ISO_IR 100"


def test_pynetdicoms_findscu_reads_our_answers(gateway: Querying) -> None:
    ae = AE(ae_title="PACS")
    ae.add_requested_context(PATIENT_ROOT, EXPLICIT)
    association = ae.associate("127.0.0.1", gateway.port, ae_title="KUVAGW")
    try:
        query = Dataset()
        query.QueryRetrieveLevel = "SERIES"
        query.PatientID, query.StudyInstanceUID, query.SeriesInstanceUID, query.Modality = "P1", "1.2.2", "", ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = [(status.Status, found) for status, found in association.send_c_find(query, PATIENT_ROOT)]
    finally:
        association.release()
    assert [status for status, _ in answers] == [0xFF00, 0x0000]
    assert answers[0][1].Modality == "MR"
    assert answers[0][1].SeriesInstanceUID == "1.2.2.1"
