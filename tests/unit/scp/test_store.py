"""C-STORE: what is taken is kept as it came, each bad input has its own answer, and nothing is left of it."""

from __future__ import annotations

import errno
import os
import threading
import zlib
from dataclasses import dataclass

import pytest

from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.part10 import read_meta
from kuva_gateway.network import StoreAnswer
from kuva_gateway.spool.incoming import HEAD
from tests.unit.network.peers import p_data, pdv
from tests.unit.scp.conftest import (
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    MR,
    PRIVATE,
    VERIFICATION,
    Gate,
    Gateway,
    encode,
    image,
    read_file,
    store,
    store_command,
)


@dataclass(frozen=True)
class Refusal:
    status: int
    comment: str
    rule: str = "PID-03"


def assert_refused(gateway: Gateway, answer: StoreAnswer, status: int, comment: str, *offending: int) -> None:
    assert f"{answer.status:04X}" == f"{status:04X}"
    assert answer.comment == comment
    assert answer.offending == offending
    assert len(answer.comment) <= 64
    assert gateway.kept() == {}
    assert gateway.receipts == []


# -- what is taken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("pixels", [0, 512, HEAD, 1 << 20])
def test_an_image_is_kept_byte_by_byte_and_told_of_with_its_header(gateway: Gateway, syntax: str, pixels: int) -> None:
    data = encode(image(pixels=pixels), syntax)
    answer = gateway.store(data, syntax=syntax)
    assert (answer.status, answer.comment) == (0x0000, "")
    ((arrival, header),) = gateway.receipts
    stored = read_file(arrival.path)
    meta = read_meta(stored)
    assert (meta.sop_class, meta.sop_instance, meta.transfer_syntax) == (CT, "1.2.3.4", syntax)
    assert stored.getvalue()[meta.dataset_offset :] == data
    assert (arrival.peer, header.study_instance_uid, header.patient_id) == ("ct1", "1.2.3", "010101-999R")
    assert gateway.kept() == {"arrived": [arrival.path.name]}


def test_a_header_that_goes_on_beyond_the_head_is_read_from_the_file(gateway: Gateway) -> None:
    """A long element before Study Instance UID, as waveforms and enhanced multi-frame objects have."""
    data_set = image()
    data_set.add_new(0x00091010, "OB", os.urandom(2 * HEAD))
    data_set.add_new(0x00090010, "LO", "KUVA TEST")
    assert gateway.store(encode(data_set)).status == 0x0000
    ((_, header),) = gateway.receipts
    assert header.study_instance_uid == "1.2.3"


@pytest.mark.parametrize("pixels", [512, 4 << 20])
def test_a_deflated_data_set_is_understood_and_kept_deflated(gateway: Gateway, pixels: int) -> None:
    data_set = image()
    data_set[0x7FE00010].value = os.urandom(pixels)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflater.compress(encode(data_set)) + deflater.flush()
    data += b"\0" * (len(data) % 2)
    assert gateway.store(data, syntax=DEFLATED).status == 0x0000
    ((arrival, header),) = gateway.receipts
    assert header.study_instance_uid == "1.2.3"
    assert read_file(arrival.path).getvalue().endswith(data)


def test_configured_private_classes_are_stored(gateway: Gateway) -> None:
    with gateway.associate((PRIVATE, EXPLICIT)) as association:
        assert store(association, encode(image(SOPClassUID=PRIVATE)), sop_class=PRIVATE).status == 0x0000
    assert gateway.receipts[0][1].sop_class_uid == PRIVATE


def test_receipts_of_one_association_are_numbered_and_belong_to_it(gateway: Gateway) -> None:
    with gateway.associate() as association:
        for _ in range(3):
            assert store(association, encode(image())).status == 0x0000
    receipts = [arrival.receipt for arrival, _ in gateway.receipts]
    assert [receipt.number for receipt in receipts] == [1, 2, 3]
    assert len({receipt.association for receipt in receipts}) == 1
    assert receipts == sorted(receipts)


def test_what_a_person_could_fix_is_accepted(gateway: Gateway) -> None:
    """No patient, no accession number, no modality: validation will hold it, the modality is not bothered."""
    data = encode(image(PatientID=None, PatientName=None, Modality=None))
    assert gateway.store(data).status == 0x0000


def test_the_receipt_is_told_after_the_fsync_and_before_the_answer(gateway: Gateway) -> None:
    gate = Gate()
    gateway.on_receipt = gate
    answers: list[StoreAnswer] = []
    sender = threading.Thread(target=lambda: answers.append(gateway.store(encode(image()))))
    sender.start()
    try:
        assert gate.reached.wait(10)
        assert gateway.files.calls["fsync"] == 1
        assert answers == []
    finally:
        gate.open.set()
        sender.join(20)
    assert [answer.status for answer in answers] == [0x0000]


# -- each bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", ["", "1.2.03", "1..2", "1.2.", "abc", "../../x", "1." + "2" * 63])
def test_0117_a_bad_instance_uid_in_the_command(gateway: Gateway, uid: str) -> None:
    answer = gateway.store(encode(image()), sop_instance=uid)
    assert_refused(gateway, answer, 0x0117, "Affected SOP Instance UID is missing or malformed", 0x00001000)


def test_0122_a_class_that_is_not_stored_here(gateway: Gateway) -> None:
    other = PRIVATE + ".9"
    answer = gateway.store(encode(image(SOPClassUID=other)), sop_class=other)
    assert_refused(gateway, answer, 0x0122, "this SOP class is not stored here", 0x00000002)


def test_0122_a_class_that_is_not_that_of_the_context(gateway: Gateway) -> None:
    answer = gateway.store(encode(image(SOPClassUID=MR)), sop_class=MR)
    comment = "the SOP class is not the one of the presentation context"
    assert_refused(gateway, answer, 0x0122, comment, 0x00000002)


def test_0122_a_command_without_a_class(gateway: Gateway) -> None:
    answer = gateway.store(encode(image()), sop_class="")
    assert_refused(gateway, answer, 0x0122, "this SOP class is not stored here", 0x00000002)


def test_0124_c_store_on_a_context_that_is_not_for_storage(gateway: Gateway) -> None:
    with gateway.associate((VERIFICATION, IMPLICIT), calling="MONITOR") as association:
        answer = store(association, encode(image(), IMPLICIT))
    assert_refused(gateway, answer, 0x0124, "C-STORE is not allowed on this presentation context")


def test_0124_an_immediate_rule_and_it_knows_header_and_peer(gateway: Gateway) -> None:
    seen: list[tuple[str, str]] = []

    def immediate(header: Header, peer: str) -> Refusal:
        seen.append((header.patient_id, peer))
        return Refusal(0x0124, "PID-03: a real personal identity code in the test environment")

    gateway.immediate = immediate
    answer = gateway.store(encode(image(PatientID="131052-308T")))
    assert_refused(gateway, answer, 0x0124, "PID-03: a real personal identity code in the test environment")
    assert seen == [("131052-308T", "ct1")]
    assert "131052" not in repr(gateway.log.lines)


def test_an_immediate_rules_long_comment_is_cut_to_what_dicom_allows(gateway: Gateway) -> None:
    gateway.immediate = lambda header, peer: Refusal(0x0124, "ä\\" * 60)
    answer = gateway.store(encode(image()))
    assert answer.status == 0x0124
    assert len(answer.comment) == 64
    assert answer.comment.startswith("a/a/")


def test_a900_the_instance_of_data_set_and_command_differ(gateway: Gateway) -> None:
    answer = gateway.store(encode(image()), sop_instance="1.2.3.5")
    assert_refused(gateway, answer, 0xA900, "SOP Instance UID of data set and command differ", 0x00080018)


def test_a900_the_class_of_data_set_and_command_differ(gateway: Gateway) -> None:
    answer = gateway.store(encode(image(SOPClassUID=MR)))
    assert_refused(gateway, answer, 0xA900, "SOP Class UID of data set and command differ", 0x00080016)


@pytest.mark.parametrize(
    ("keyword", "name", "tag"),
    [("SOPClassUID", "SOP Class UID", 0x00080016), ("SOPInstanceUID", "SOP Instance UID", 0x00080018)],
)
def test_a900_a_data_set_that_does_not_say_what_it_is(gateway: Gateway, keyword: str, name: str, tag: int) -> None:
    answer = gateway.store(encode(image(**{keyword: None})))
    assert_refused(gateway, answer, 0xA900, f"{name} of data set and command differ", tag)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
@pytest.mark.parametrize("uid", ["1.2.03", "1..2", "../../etc/passwd", "1." + "2" * 70, "abc"])
@pytest.mark.parametrize(
    ("keyword", "name", "tag"),
    [
        ("StudyInstanceUID", "Study Instance UID", 0x0020000D),
        ("SeriesInstanceUID", "Series Instance UID", 0x0020000E),
    ],
)
def test_a900_a_malformed_uid_in_the_data_set(gateway: Gateway, keyword: str, name: str, tag: int, uid: str) -> None:
    answer = gateway.store(encode(image(**{keyword: uid})))
    assert_refused(gateway, answer, 0xA900, f"{name} is malformed", tag)


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize(
    ("keyword", "name", "tag"),
    [
        ("StudyInstanceUID", "Study Instance UID", 0x0020000D),
        ("SeriesInstanceUID", "Series Instance UID", 0x0020000E),
    ],
)
def test_a900_a_missing_uid_in_the_data_set(
    gateway: Gateway, keyword: str, name: str, tag: int, value: str | None
) -> None:
    answer = gateway.store(encode(image(**{keyword: value})))
    assert_refused(gateway, answer, 0xA900, f"{name} is missing", tag)


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe\xfd no data set at all" * 20, b"\x08\x00\x16\x00UI\x1a\x00" + b"1.2.840", b"\x08\x00", b"rubbish"],
    ids=["rubbish", "cut off in a value", "cut off in a header", "short rubbish"],
)
def test_c000_bytes_that_are_no_data_set(gateway: Gateway, data: bytes) -> None:
    answer = gateway.store(data)
    assert f"{answer.status:04X}" == "C000"
    assert answer.comment.startswith("cannot be parsed: ")
    assert gateway.kept() == {}
    assert gateway.receipts == []


@pytest.mark.parametrize("missing", [1, 300])
@pytest.mark.parametrize("pixels", [512, 2 * HEAD])
def test_c000_an_image_whose_pixels_are_cut_off(gateway: Gateway, missing: int, pixels: int) -> None:
    answer = gateway.store(encode(image(pixels=pixels))[:-missing])
    assert f"{answer.status:04X}" == "C000"
    assert answer.comment
    assert gateway.kept() == {}


def test_c000_a_deflated_stream_that_is_damaged(gateway: Gateway) -> None:
    answer = gateway.store(b"\xff" * 1000, syntax=DEFLATED)
    assert f"{answer.status:04X}" == "C000"
    assert gateway.kept() == {}


def test_a900_a_data_set_without_anything_in_it(gateway: Gateway) -> None:
    with gateway.raw() as peer:
        peer.send(store_command(), p_data(pdv(1, 2, b"")))
        answer = peer.response()
    assert f"{answer.status:04X}" == "A900"
    assert gateway.kept() == {}


def test_a700_no_space_before_anything_was_written(gateway: Gateway) -> None:
    gateway.files.fail("open_new", errno.ENOSPC)
    answer = gateway.store(encode(image()))
    assert_refused(gateway, answer, 0xA700, "the gateway's disk is full: send again later")


def test_a700_less_than_the_minimum_is_left(gateway: Gateway) -> None:
    gateway.spool.space.minimum_free = 1 << 62
    answer = gateway.store(encode(image()))
    assert_refused(gateway, answer, 0xA700, "the gateway's disk is full: send again later")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("nth", [1, 3])
def test_a700_space_runs_out_in_the_middle(gateway: Gateway, number: int, nth: int) -> None:
    gateway.files.fail("write", number, nth=nth)
    answer = gateway.store(encode(image(pixels=2 << 20)))
    assert_refused(gateway, answer, 0xA700, "the gateway's disk is full: send again later")


@pytest.mark.parametrize("operation", ["open_new", "write", "rename_new"])
def test_0110_a_fault_of_the_disk(gateway: Gateway, operation: str) -> None:
    gateway.files.fail(operation, errno.EIO)
    answer = gateway.store(encode(image(pixels=2 << 20)))
    assert_refused(gateway, answer, 0x0110, "the gateway could not store it safely: send again")
    (line,) = gateway.log.of("not stored")
    assert line["code"] == "EIO"


def test_0110_a_failed_fsync_and_the_file_goes_to_corrupt(gateway: Gateway) -> None:
    gateway.files.fail("fsync", errno.EIO)
    answer = gateway.store(encode(image()))
    assert (answer.status, answer.comment) == (0x0110, "the gateway could not store it safely: send again")
    assert gateway.kept().keys() == {"corrupt"}
    assert gateway.receipts == []
    assert gateway.files.calls["fsync"] == 1


def test_0110_a_fault_in_a_rule_and_its_text_stays_out_of_answer_and_log(gateway: Gateway) -> None:
    def immediate(header: Header, peer: str) -> None:
        raise ValueError(f"secret {header.patient_id}")

    gateway.immediate = immediate
    answer = gateway.store(encode(image()))
    assert_refused(gateway, answer, 0x0110, "a fault of the gateway: send again later")
    (line,) = gateway.log.of("not stored")
    assert line["why"] == "ValueError"
    assert "999" not in repr(gateway.log.lines)


def test_a_full_disk_has_one_line_per_association_and_not_one_per_image(gateway: Gateway) -> None:
    gateway.files.fail("open_new", errno.ENOSPC, always=True)
    with gateway.associate() as association:
        for _ in range(5):
            assert store(association, encode(image())).status == 0xA700
    assert len(gateway.log.of("not stored")) == 1
    assert gateway.closed()[0]["refused"] == {"A700": 5}


def test_good_images_go_on_after_bad_ones_on_the_same_association(gateway: Gateway) -> None:
    with gateway.associate() as association:
        gateway.files.fail("write", errno.EIO)
        assert store(association, encode(image(pixels=3 << 20))).status == 0x0110
        assert store(association, b"rubbish").status == 0xC000
        assert store(association, encode(image()), sop_instance="1.02").status == 0x0117
        assert store(association, encode(image())).status == 0x0000
    assert len(gateway.receipts) == 1


def test_an_instance_that_a_rejection_note_keeps_out_is_a771_and_leaves_nothing(gateway: Gateway) -> None:
    gateway.dispatcher.keep_out(frozenset({"1.2.3.4"}))
    answer = gateway.store(encode(image()))
    assert (answer.status, answer.comment) == (0xA771, "IOC-01: a rejection note keeps this instance out")
    assert gateway.kept() == {}
    assert gateway.store(encode(image(SOPInstanceUID="1.2.3.5")), sop_instance="1.2.3.5").status == 0x0000
    gateway.dispatcher.keep_out(frozenset())
    assert gateway.store(encode(image())).status == 0x0000
