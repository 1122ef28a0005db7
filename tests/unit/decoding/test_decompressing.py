"""Compressed images at an archive that takes uncompressed ones only: real encoders, real decoders, a real archive."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from kuva_gateway.decoding.image import DecodingError, Image
from kuva_gateway.decoding.process import Bounds, Decoder
from kuva_gateway.dicom import part10
from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from kuva_gateway.errors import DeferredError, NoSpaceError
from kuva_gateway.forward.deliver import deliver
from kuva_gateway.forward.outcome import Outcome
from kuva_gateway.forward.outgoing import Sendable
from tests.support import dcmtk, free_port, module, wait_until
from tests.unit.dicom.reference import shipped_files
from tests.unit.forward.archive import Script, running
from tests.unit.forward.instances import Shelf, Stored
from tests.unit.forward.test_deliver import call_to
from tests.unit.forward.test_outgoing import LINK, joined, open_outgoing

numpy = module("numpy")
SC = "1.2.840.10008.5.1.4.1.1.7"
ENCODERS = {
    "JPEG lossless": ["dcmcjpeg", "+e1"],
    "JPEG lossless, process 14": ["dcmcjpeg", "+el"],
    "JPEG baseline": ["dcmcjpeg", "+eb"],
    "JPEG extended": ["dcmcjpeg", "+ee"],
    "JPEG-LS": ["dcmcjpls", "+el"],
    "JPEG-LS near lossless": ["dcmcjpls", "+en"],
    "RLE": ["dcmcrle"],
}
RARE = {"JPEG lossless, process 14", "JPEG extended", "JPEG-LS near lossless"}
DECODERS = {"dcmcjpeg": "dcmdjpeg", "dcmcjpls": "dcmdjpls", "dcmcrle": "dcmdrle"}


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(Bounds())
    yield made
    made.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (folder := tmp_path / "shelf").mkdir()
    return Shelf(folder)


def picture(*, samples: int = 1, bits: int = 8, frames: int = 1, size: int = 40) -> Dataset:
    """A smooth picture with some noise."""
    rng = numpy.random.default_rng(samples + bits)
    shape = (frames, size, size, samples)
    base = numpy.linspace(0, (1 << bits) - 20, size)[None, None, :, None]
    pixels = (base + rng.integers(0, 16, shape)).astype("<u1" if bits <= 8 else "<u2")
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = EXPLICIT_LITTLE
    made.SOPClassUID, made.SOPInstanceUID = SC, pydicom.uid.generate_uid(None)
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = SC, made.SOPInstanceUID
    made.PatientID, made.StudyInstanceUID, made.SeriesInstanceUID = "TEST", "1.2.3", "1.2.3.4"
    made.SamplesPerPixel, made.Rows, made.Columns, made.NumberOfFrames = samples, size, size, frames
    made.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
    if samples > 1:
        made.PlanarConfiguration = 0
    made.BitsAllocated = 8 if bits <= 8 else 16
    made.BitsStored, made.HighBit, made.PixelRepresentation = bits, bits - 1, 0
    made.PixelData = pixels.tobytes()
    return made


def put(shelf: Shelf, path: Path) -> Stored:
    with path.open("rb") as file:
        meta = part10.read_meta(file)
        file.seek(meta.dataset_offset)
        body = file.read()
    whole = part10.preamble_and_meta(meta.sop_class, meta.sop_instance, meta.transfer_syntax) + body
    digest = hashlib.sha256(whole).hexdigest()
    shelf.path(digest).write_bytes(whole)
    return Stored(
        instance_id=len(os.listdir(shelf.folder)),
        sop_class=meta.sop_class,
        sop_instance=meta.sop_instance,
        transfer_syntax=meta.transfer_syntax,
        digest=digest,
        size=len(whole),
        data_set_digest="",
    )


def compressed(folder: Path, made: Dataset, encoder: list[str]) -> tuple[Path, Path]:
    """The picture as DCMTK compresses it, and what DCMTK makes of that again, colours as they are."""
    plain, packed, unpacked = folder / "plain.dcm", folder / "packed.dcm", folder / "unpacked.dcm"
    made.save_as(plain, enforce_file_format=True)
    subprocess.run([dcmtk(encoder[0]), *encoder[1:], plain, packed], check=True, capture_output=True)
    tool = DECODERS[encoder[0]]
    colours = ["--conv-never"] if tool == "dcmdjpeg" else []
    subprocess.run([dcmtk(tool), *colours, packed, unpacked], check=True, capture_output=True)
    return packed, unpacked


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def outgoing(shelf: Shelf, instance: Stored, into: str, decoder: Decoder) -> Dataset:
    with open_outgoing(shelf.open, instance, into, decoder=decoder) as parts:
        data = joined(parts)
    return pydicom.filereader.read_dataset(pydicom.filebase.DicomBytesIO(data), into == IMPLICIT_LITTLE, True)


@pytest.mark.parametrize("name", [pytest.param(one, marks=pytest.mark.slow if one in RARE else ()) for one in ENCODERS])
@pytest.mark.parametrize(("samples", "bits", "frames"), [(1, 12, 2), (1, 8, 3), (3, 8, 2)])
def test_the_pixels_are_those_that_dcmtk_decodes(
    tmp_path: Path, shelf: Shelf, decoder: Decoder, name: str, samples: int, bits: int, frames: int
) -> None:
    if (name == "JPEG baseline" and bits > 8) or (name == "JPEG extended" and bits == 8):
        return
    made = picture(samples=samples, bits=bits, frames=frames)
    packed, unpacked = compressed(tmp_path, made, ENCODERS[name])
    stored = put(shelf, packed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, before = pydicom.dcmread(unpacked), pydicom.dcmread(packed)
    for into in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
        result = outgoing(shelf, stored, into, decoder)
        if samples == 1 or "baseline" not in name:
            assert result.PixelData == expected.PixelData
        assert result.SOPInstanceUID == before.SOPInstanceUID
        lossy = "baseline" in name or "extended" in name or "near" in name
        assert (result.get("LossyImageCompression") == "01") == lossy
        if not lossy:
            assert result.PixelData == made.PixelData
        if samples == 3:
            assert (result.PhotometricInterpretation, result.PlanarConfiguration) == (
                "YBR_FULL" if "baseline" in name else "RGB",
                0,
            )


@pytest.mark.parametrize("high_throughput", [False, True])
def test_jpeg_2000_in_both_forms(shelf: Shelf, tmp_path: Path, decoder: Decoder, high_throughput: bool) -> None:
    codecs = module("imagecodecs")
    made = picture(bits=12, frames=2, size=64)
    pixels = numpy.frombuffer(made.PixelData, "<u2").reshape(2, 64, 64)
    if high_throughput:
        frames, syntax = [codecs.htj2k_encode(one, reversible=True) for one in pixels], "1.2.840.10008.1.2.4.201"
    else:
        frames = [codecs.jpeg2k_encode(one, codecformat="J2K", reversible=True, level=0) for one in pixels]
        syntax = "1.2.840.10008.1.2.4.90"
    original = made.PixelData
    made.PixelData = encapsulate([bytes(one) for one in frames])
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = syntax
    made.save_as(tmp_path / "packed.dcm", enforce_file_format=True)
    assert outgoing(shelf, put(shelf, tmp_path / "packed.dcm"), EXPLICIT_LITTLE, decoder).PixelData == original


def test_an_archive_gets_unchanged_what_it_accepts_and_decompressed_and_amended_what_it_does_not(
    tmp_path: Path, shelf: Shelf, decoder: Decoder
) -> None:
    made = picture()
    packed, _unpacked = compressed(tmp_path, made, ENCODERS["JPEG lossless"])
    stored = put(shelf, packed)
    instance = Stored(**{name: getattr(stored, name) for name in Stored.__slots__} | {"amendments": (LINK,)})
    plain = shelf.put(9, sop_class=SC)
    before = shelf.path(stored.digest).read_bytes()
    heard: list[tuple[Sendable, Outcome]] = []
    converted: list[str] = []
    with running(Script(syntaxes=[IMPLICIT_LITTLE, EXPLICIT_LITTLE])) as archive:
        delivery = deliver(
            call_to(archive.port),
            [instance, plain],
            open_file=shelf.open,
            on_answer=lambda one, found: heard.append((one, found)),
            on_converted=converted.append,
            decoder=decoder,
        )
    assert delivery.complete, heard
    assert converted == ["decompressed"]
    assert [one.sop_instance for one, _ in heard] == [plain.sop_instance, instance.sop_instance]
    assert hashlib.sha256(archive.data[plain.sop_instance]).hexdigest() == plain.data_set_digest
    result = pydicom.filereader.read_dataset(
        pydicom.filebase.DicomBytesIO(archive.data[instance.sop_instance]), False, True
    )
    assert (result.PatientID, result.PixelData) == (LINK.changes["PatientID"], made.PixelData)
    assert shelf.path(stored.digest).read_bytes() == before
    assert sorted(os.listdir(shelf.folder)) == sorted([stored.digest, plain.digest])


@pytest.mark.parametrize(("takes", "into"), [("+xi", IMPLICIT_LITTLE), ("+x=", EXPLICIT_LITTLE)])
def test_storescp_that_takes_one_uncompressed_syntax_gets_every_image_in_it(
    tmp_path: Path, shelf: Shelf, decoder: Decoder, takes: str, into: str
) -> None:
    made = picture(frames=2)
    images = [put(shelf, compressed(tmp_path, made, ENCODERS["JPEG-LS"])[0]), shelf.put(5, syntax=EXPLICIT_LITTLE)]
    converted: list[str] = []
    (folder := tmp_path / "archive").mkdir()
    port = free_port()
    with subprocess.Popen([dcmtk("storescp"), takes, "-od", folder, str(port)], stdout=subprocess.DEVNULL) as archive:
        try:
            wait_until(lambda: reachable(port), what="storescp")
            delivery = deliver(
                call_to(port),
                images,
                open_file=shelf.open,
                on_answer=lambda one, found: None,
                on_converted=converted.append,
                decoder=decoder,
            )
        finally:
            archive.kill()
    assert delivery.complete
    assert sorted(converted) == sorted(["decompressed", *(["reencoded"] if into == IMPLICIT_LITTLE else [])])
    stored = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, folder.iterdir())}
    assert {one.file_meta.TransferSyntaxUID for one in stored.values()} == {into}
    assert stored[images[0].sop_instance].PixelData == made.PixelData
    assert stored[images[1].sop_instance].PixelData == bytes([5]) * 4096


def test_without_a_decoder_a_compressed_image_is_for_a_person(tmp_path: Path, shelf: Shelf) -> None:
    stored = put(shelf, compressed(tmp_path, picture(), ENCODERS["RLE"])[0])
    converted: list[str] = []
    with running(Script(syntaxes=[EXPLICIT_LITTLE])) as archive:
        delivery = deliver(
            call_to(archive.port),
            [stored],
            open_file=shelf.open,
            on_answer=lambda one, found: None,
            on_converted=converted.append,
        )
    ((_, found),) = delivery.failures
    assert (found.code, converted) == ("context", ["not_possible"])
    assert not archive.instances


def damaged(stored: Stored, shelf: Shelf, old: bytes, new: bytes) -> Stored:
    path = shelf.path(stored.digest)
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    return stored


def test_what_contradicts_itself_or_is_damaged_is_refused_and_the_process_lives_on(
    tmp_path: Path, shelf: Shelf, decoder: Decoder
) -> None:
    packed = compressed(tmp_path, picture(), ENCODERS["JPEG lossless"])[0]
    rows = b"\x28\0\x10\0US\x02\0"
    for old, new, why in (
        (rows + b"\x28\0", rows + b"\x29\0", "other dimensions"),
        (b"\xff\xd8\xff", b"\xff\xd8\0", "damaged"),
        (b"\xff\xda", b"\xff\xd9", "damaged"),
        (b"\x28\0\x08\0IS\x02\x001 ", b"\x28\0\x08\0IS\x02\x002 ", "other fragments than frames"),
    ):
        instance = damaged(put(shelf, packed), shelf, old, new)
        with pytest.raises(DecodingError, match=why):
            outgoing(shelf, instance, EXPLICIT_LITTLE, decoder)
    assert outgoing(shelf, put(shelf, packed), EXPLICIT_LITTLE, decoder).PixelData == picture().PixelData


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda frame: frame[:3000] + b"\0" * 4000 + frame[7000:],
    "cut off": lambda frame: frame[: len(frame) // 2],
    "cut off and ended": lambda frame: frame[: len(frame) // 2] + b"\xff\xd9",
    "a gap": lambda frame: frame[:1000] + frame[2000:],
}


@pytest.mark.parametrize("name", ["JPEG lossless", "JPEG baseline", "JPEG-LS", "RLE"])
def test_damage_inside_a_frame_is_seen_also_where_decoders_only_remark_on_it(
    tmp_path: Path, shelf: Shelf, decoder: Decoder, name: str
) -> None:
    packed = pydicom.dcmread(compressed(tmp_path, picture(size=200), ENCODERS[name])[0])
    (frame,) = pydicom.encaps.generate_frames(packed.PixelData, number_of_frames=1)
    for spoil in DAMAGE.values():
        packed.PixelData = encapsulate([spoil(frame)])
        packed.save_as(tmp_path / "spoilt.dcm")
        with pytest.raises(DecodingError, match="a frame is damaged"):
            outgoing(shelf, put(shelf, tmp_path / "spoilt.dcm"), EXPLICIT_LITTLE, decoder)


def test_a_bomb_ends_at_the_memory_limit_and_in_the_next_image_nothing_is_felt_of_it(
    tmp_path: Path, shelf: Shelf
) -> None:
    """60,000 x 30,000 pixels of zeros: two kilobytes of JPEG-LS runs would become 1.8 GB."""
    packed = compressed(tmp_path, picture(), ENCODERS["JPEG-LS"])[0]
    size, many = (40).to_bytes(2, "big") * 2, (30_000).to_bytes(2, "big") + (60_000).to_bytes(2, "big")
    bomb = damaged(put(shelf, packed), shelf, b"\x08" + size, b"\x08" + many)
    damaged(bomb, shelf, b"\x28\0\x10\0US\x02\0\x28\0", b"\x28\0\x10\0US\x02\0" + (30_000).to_bytes(2, "little"))
    damaged(bomb, shelf, b"\x28\0\x11\0US\x02\0\x28\0", b"\x28\0\x11\0US\x02\0" + (60_000).to_bytes(2, "little"))
    decoder = Decoder(Bounds(memory=512 << 20))
    with contextlib.closing(decoder):
        with pytest.raises(DecodingError, match="memory|damaged"):
            outgoing(shelf, bomb, EXPLICIT_LITTLE, decoder)
        assert outgoing(shelf, put(shelf, packed), EXPLICIT_LITTLE, decoder).PixelData == picture().PixelData


IMAGE = Image(
    syntax="1.2.840.10008.1.2.5",
    rows=2,
    columns=2,
    samples=1,
    allocated=8,
    signed=False,
    photometric="MONOCHROME2",
    frames=1,
)


class Stuck(Decoder):
    """Its process is stopped as soon as there is one, like one that never comes to an end."""

    def _started(self) -> Any:
        words = super()._started()
        assert self.pid is not None
        os.kill(self.pid, signal.SIGSTOP)
        return words


def test_a_process_that_takes_too_long_is_killed() -> None:
    decoder = Stuck(Bounds(timeout=0.3))
    with tempfile.TemporaryFile() as file, pytest.raises(DecodingError, match=r"decoding\.timeout"):
        decoder.decode(IMAGE, (file.fileno(), 0, 0), file)
    assert decoder.pid is None


def test_a_process_that_is_killed_in_the_middle_is_told_and_replaced(tmp_path: Path, shelf: Shelf) -> None:
    decoder = Stuck(Bounds(timeout=20))

    def kill() -> bool:
        assert decoder.pid is not None
        os.kill(decoder.pid, signal.SIGKILL)
        return False

    with tempfile.TemporaryFile() as file, pytest.raises(DecodingError, match="SIGKILL"):
        decoder.decode(IMAGE, (file.fileno(), 0, 0), file, stopping=kill)
    assert decoder.pid is None


def test_a_gateway_that_stops_does_not_wait_and_a_full_disk_is_no_fault_of_the_image() -> None:
    decoder = Stuck(Bounds())
    with tempfile.TemporaryFile() as file:
        with pytest.raises(DeferredError, match="stops"):
            decoder.decode(IMAGE, (file.fileno(), 0, 0), file, stopping=lambda: True)
        assert decoder.pid is None
        with pytest.raises(NoSpaceError):
            Decoder(Bounds(minimum_free=1 << 60)).decode(IMAGE, (file.fileno(), 0, 0), file)


def test_the_process_has_nothing_of_the_daemons_environment_and_ends_with_its_owner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    decoder = Decoder(Bounds())
    with tempfile.TemporaryFile() as file, pytest.raises(DecodingError, match="fragments"):
        decoder.decode(IMAGE, (file.fileno(), 0, 0), file)
    pid = decoder.pid
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"PYTHONPATH" in environment
    assert b"secret" not in environment
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if line.startswith("Max core")).split()[4] == "0"
    assert str(1 << 30) in next(line for line in limits.splitlines() if line.startswith("Max address"))
    decoder.close()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="the end of the process")


CONTRADICTING = ["J2K_pixelrep_mismatch.dcm"]


@pytest.mark.parametrize("name", CONTRADICTING)
def test_a_frame_whose_own_words_differ_from_the_data_sets_is_refused(
    shelf: Shelf, decoder: Decoder, name: str
) -> None:
    path = next(one for one in shipped_files() if one.name == name)
    with pytest.raises(DecodingError, match="signed"):
        outgoing(shelf, put(shelf, path), EXPLICIT_LITTLE, decoder)
