"""What is sent of an instance: its file, or its file with amendments, never more of it in memory than changes."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tracemalloc
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from kuva_gateway.dicom import part10
from kuva_gateway.dicom.amending import AmendingError
from kuva_gateway.dicom.amendments import Amendment, issuer_items
from kuva_gateway.dicom.syntaxes import DEFLATED, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from kuva_gateway.forward.outgoing import open_outgoing
from kuva_gateway.network.sending import FileSlice, Part, length_of, send_parts
from tests.support import dcmtk, dcmtk_environment
from tests.unit.forward.archive import Script, running
from tests.unit.forward.instances import CT, Shelf, Stored
from tests.unit.forward.test_deliver import send

AT = datetime(2026, 11, 23, tzinfo=UTC)
LINK = Amendment(
    changes={
        "PatientID": "010594Y9032",
        "IssuerOfPatientID": "1.2.246.21",
        "IssuerOfPatientIDQualifiersSequence": issuer_items("1.2.246.21"),
    },
    origin="link",
    by="anna",
    at=AT,
    patient="TEST",
)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def joined(parts: Sequence[Part]) -> bytes:
    return b"".join(
        os.pread(part.descriptor, part.length, part.offset) if isinstance(part, FileSlice) else part for part in parts
    )


def amended(instance: Stored, *amendments: Amendment) -> Stored:
    return replace(instance, amendments=amendments or (LINK,))


def test_an_instance_without_amendments_is_one_slice_of_its_file(shelf: Shelf) -> None:
    instance = shelf.put(1)
    with open_outgoing(shelf.open, instance) as parts:
        assert len(parts) == 1
        assert isinstance(parts[0], FileSlice)
        assert hashlib.sha256(joined(parts)).hexdigest() == instance.data_set_digest


def test_amendments_that_do_not_apply_change_nothing(shelf: Shelf) -> None:
    instance = amended(shelf.put(1), replace(LINK, patient="SOMEBODYELSE"))
    with open_outgoing(shelf.open, instance) as parts:
        assert hashlib.sha256(joined(parts)).hexdigest() == instance.data_set_digest


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_an_amended_instance_arrives_at_an_archive_with_its_pixels_and_the_file_stays(
    shelf: Shelf, syntax: str
) -> None:
    instance = amended(shelf.put(7, syntax=syntax, size=700_000))
    before = shelf.path(instance.digest).read_bytes()
    with running(Script()) as archive:
        delivery, _notes = send(archive.port, shelf, [instance])
    assert delivery.complete
    assert shelf.path(instance.digest).read_bytes() == before
    ((_uid, data),) = archive.data.items()
    made = read_dataset(io.BytesIO(data), syntax == IMPLICIT_LITTLE, True)
    assert made.PatientID == "010594Y9032"
    assert made.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientID == "TEST"
    assert made.PixelData == bytes([7]) * 700_000


def test_of_an_object_of_2_gib_only_what_changes_is_in_memory(shelf: Shelf) -> None:
    small = shelf.put(1, syntax=IMPLICIT_LITTLE, size=2)
    path, length = shelf.path(small.digest), 2 << 30
    whole = path.read_bytes()
    path.write_bytes(whole[:-6] + length.to_bytes(4, "little"))
    os.truncate(path, len(whole) - 2 + length)
    tracemalloc.start()
    try:
        with open_outgoing(shelf.open, amended(small)) as parts:
            assert length_of(parts) > length
            assert isinstance(parts[-1], FileSlice)
            assert parts[-1].length > length
            assert sum(len(part) for part in parts if isinstance(part, bytes)) < 2048
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
        path.unlink()


def test_an_instance_that_cannot_be_amended_waits_for_a_person_and_does_not_go(shelf: Shelf) -> None:
    bad = amended(shelf.put(1), replace(LINK, changes={"PatientName": "\u65e5\u672c"}))
    good = shelf.put(2)
    with running(Script()) as archive:
        delivery, notes = send(archive.port, shelf, [bad, good])
    assert notes.stored == [2]
    ((failed, found),) = delivery.failures
    assert (failed.instance_id, found.code) == (1, "amendment")
    assert "PatientName" in found.comment
    assert delivery.person is found


def deflated(shelf: Shelf, packed: bytes) -> Stored:
    whole = part10.preamble_and_meta(CT, "1.2.3", DEFLATED) + packed
    digest = hashlib.sha256(whole).hexdigest()
    shelf.path(digest).write_bytes(whole)
    return Stored(
        instance_id=1,
        sop_class=CT,
        sop_instance="1.2.3",
        transfer_syntax=DEFLATED,
        digest=digest,
        size=len(whole),
        data_set_digest="",
        amendments=(LINK,),
    )


def packed_image(pixels: bytes) -> bytes:
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID, data_set.PatientID = CT, "1.2.3", "TEST"
    data_set.add_new(0x7FE00010, "OW", pixels)
    from tests.unit.dicom.reference import encoded

    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(encoded(data_set)) + deflater.flush()


def test_a_deflated_instance_is_amended_and_leaves_no_file_behind(shelf: Shelf) -> None:
    pixels = bytes(range(256)) * 4000
    instance = deflated(shelf, packed_image(pixels))
    with open_outgoing(shelf.open, instance) as parts:
        data = zlib.decompressobj(-15).decompress(joined(parts))
    made = read_dataset(io.BytesIO(data), False, True)
    assert (made.PatientID, made.PixelData) == ("010594Y9032", pixels)
    assert [path.name for path in shelf.folder.iterdir()] == [instance.digest]


def test_a_damaged_deflated_instance_is_refused(shelf: Shelf) -> None:
    packed = packed_image(os.urandom(200_000))
    instance = deflated(shelf, packed[: len(packed) // 2])
    with pytest.raises((AmendingError, Exception), match="cut off|damaged"), open_outgoing(shelf.open, instance):
        pass


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.tuples(st.booleans(), st.integers(0, 40_000)), max_size=6),
    room=st.sampled_from([4090, 16378, 262_138]),
)
def test_parts_come_out_as_they_are_in_fragments_of_any_size(sizes: list[tuple[bool, int]], room: int) -> None:
    content = os.urandom(sum(size for _, size in sizes) + 1)
    read, write = os.memfd_create("parts"), bytearray()
    os.write(read, content)
    parts: list[Part] = []
    at = 0
    for in_file, size in sizes:
        slice_ = FileSlice(descriptor=read, offset=at, length=size)
        parts.append(slice_ if in_file else content[at : at + size])
        at += size
    send_parts(write.extend, b"", 1, room, parts)
    os.close(read)
    got, last = b"", 0
    while write:
        length = int.from_bytes(write[2:6], "big")
        got += bytes(write[12 : 6 + length])
        last = write[11]
        assert length <= room + 6
        del write[: 6 + length]
    assert got == content[:at]
    assert length_of(parts) == at
    assert last == 2


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED])
def test_dcmtk_reads_an_amended_instance_without_a_word_of_complaint(
    shelf: Shelf, tmp_path_factory: pytest.TempPathFactory, syntax: str
) -> None:
    stored = deflated(shelf, packed_image(b"ab" * 500)) if syntax == DEFLATED else shelf.put(1, syntax=syntax)
    path = tmp_path_factory.mktemp("amended") / "amended.dcm"
    with open_outgoing(shelf.open, amended(stored)) as parts:
        path.write_bytes(part10.preamble_and_meta(CT, stored.sop_instance, syntax) + joined(parts))
    command = [dcmtk("dcmdump"), "+P", "0010,0020", "+P", "0400,0561", str(path)]
    done = subprocess.run(command, env=dcmtk_environment(), capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    assert "[010594Y9032]" in done.stdout
    assert "[TEST]" in done.stdout
    assert "[CORRECT]" in done.stdout


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_an_instance_goes_in_the_other_uncompressed_syntax_with_its_amendments_and_without_a_copy_of_its_pixels(
    shelf: Shelf, syntax: str
) -> None:
    other = EXPLICIT_LITTLE if syntax == IMPLICIT_LITTLE else IMPLICIT_LITTLE
    instance = amended(shelf.put(7, syntax=syntax, size=700_000))
    with open_outgoing(shelf.open, instance, other) as parts:
        assert [part.length for part in parts if isinstance(part, FileSlice)] == [700_000]
        made = read_dataset(io.BytesIO(joined(parts)), other == IMPLICIT_LITTLE, True)
    assert made.PatientID == "010594Y9032"
    assert made.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientID == "TEST"
    assert made.PixelData == bytes([7]) * 700_000


@pytest.mark.parametrize("into", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
@pytest.mark.parametrize("amendments", [(), (LINK,)])
def test_a_deflated_instance_goes_inflated(shelf: Shelf, into: str, amendments: tuple[Amendment, ...]) -> None:
    pixels = os.urandom(200_000)
    instance = replace(deflated(shelf, packed_image(pixels)), amendments=amendments)
    with open_outgoing(shelf.open, instance, into) as parts:
        made = read_dataset(io.BytesIO(joined(parts)), into == IMPLICIT_LITTLE, True)
    assert made.PatientID == ("010594Y9032" if amendments else "TEST")
    assert made.PixelData == pixels
    assert len(os.listdir(shelf.folder)) == 1


def test_what_is_written_anew_of_a_long_header_is_not_kept_in_memory(shelf: Shelf) -> None:
    instance = shelf.put(1, syntax=IMPLICIT_LITTLE, size=2)
    path = shelf.path(instance.digest)
    whole = path.read_bytes()[:-10]
    item = b"\x09\0\x01\x10\x20\x4e\0\0" + b"x" * 20_000
    sequence = b"".join(b"\xfe\xff\0\xe0" + len(item).to_bytes(4, "little") + item for _ in range(1000))
    path.write_bytes(whole + b"\0\x60\0\x50" + len(sequence).to_bytes(4, "little") + sequence)
    with open_outgoing(shelf.open, instance, EXPLICIT_LITTLE) as parts:
        assert length_of(parts) > 20_000_000
        assert sum(len(part) for part in parts if isinstance(part, bytes)) < 2 << 20
        assert b"".join(joined([part]) for part in parts) == joined(parts)
