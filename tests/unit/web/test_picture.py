"""A small picture of an image: of each kind that modalities send, and a reason for the others."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from kuva_gateway.errors import GatewayError
from kuva_gateway.web.picture import EDGE, picture
from tests.support import dcmtk, module

numpy, image = module("numpy"), module("matplotlib.image")
SC = "1.2.840.10008.5.1.4.1.1.7"


def file(path: Path, pixels: Any, *, syntax: str = EXPLICIT_LITTLE, **attributes: Any) -> Path:
    """A secondary capture of these pixels: frames, rows, columns, and samples where there are three."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = SC
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3.4"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.PatientID, made.Modality = "1.2.3", "1.2.3.1", "T", "OT"
    made.NumberOfFrames, made.Rows, made.Columns = pixels.shape[:3]
    made.SamplesPerPixel = pixels.shape[3] if pixels.ndim == 4 else 1
    made.PhotometricInterpretation = "RGB" if pixels.ndim == 4 else "MONOCHROME2"
    if pixels.ndim == 4:
        made.PlanarConfiguration = 0
    bits = pixels.itemsize * 8
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OW" if bits > 8 else "OB"
    for name, value in attributes.items():
        setattr(made, name, value)
    made.save_as(path, enforce_file_format=True)
    return path


def drawn(path: Path) -> Any:
    """What a reader of PNG makes of the picture: 0 to 255."""
    with path.open("rb") as stream:
        made = picture(stream, path.parent)
    return (image.imread(io.BytesIO(made)) * 255).round().astype(int)


def ramp(kind: str, low: int, high: int, *, frames: int = 1, edge: int = 64) -> Any:
    """Dark at the left, bright at the right."""
    return numpy.broadcast_to(numpy.linspace(low, high, edge).astype(kind), (frames, edge, edge)).copy()


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE])
@pytest.mark.parametrize(
    ("kind", "low", "high"), [("<u1", 3, 99), ("<u2", 0, 4095), ("<i2", -1024, 3071), ("<u4", 0, 1 << 31)]
)
def test_grey_levels_are_stretched_to_all_that_there_are(
    tmp_path: Path, kind: str, low: int, high: int, syntax: str
) -> None:
    seen = drawn(file(tmp_path / "a.dcm", ramp(kind, low, high), syntax=syntax))
    assert seen.shape == (64, 64)
    assert (seen == numpy.sort(seen, axis=1)).all()
    assert (seen[:, 0].max(), seen[:, -1].min()) == (0, 255)
    assert 120 <= seen[10, 32] <= 136


def test_monochrome1_is_bright_where_its_values_are_low(tmp_path: Path) -> None:
    seen = drawn(file(tmp_path / "a.dcm", ramp("<u2", 0, 4095), PhotometricInterpretation="MONOCHROME1"))
    assert (seen[0, 0], seen[0, -1]) == (255, 0)


def test_a_large_image_of_many_frames_is_sampled_in_its_middle_frame(tmp_path: Path) -> None:
    pixels = numpy.zeros((5, 1000, 300), "<u2")
    pixels[2, 500:] = 1000
    seen = drawn(file(tmp_path / "a.dcm", pixels))
    assert seen.shape == (250, 75)
    assert max(seen.shape) <= EDGE
    assert (seen[:125] == 0).all()
    assert (seen[125:] == 255).all()


@pytest.mark.parametrize("by_plane", [False, True])
def test_colours_stay_colours(tmp_path: Path, by_plane: bool) -> None:
    pixels = numpy.zeros((1, 600, 400, 3), "u1")
    pixels[:, :300, :200] = (255, 0, 0)
    pixels[:, 300:, 200:] = (10, 200, 30)
    path = file(tmp_path / "a.dcm", pixels)
    if by_plane:
        made = pydicom.dcmread(path)
        made.PlanarConfiguration = 1
        made.PixelData = pixels.transpose(0, 3, 1, 2).tobytes()
        made.save_as(path)
    seen = drawn(path)
    assert seen.shape == (200, 134, 3)
    assert (tuple(seen[0, 0]), tuple(seen[-1, -1]), tuple(seen[0, -1])) == ((255, 0, 0), (10, 200, 30), (0, 0, 0))


def test_ybr_is_shown_in_its_colours(tmp_path: Path) -> None:
    pixels = numpy.zeros((1, 8, 8, 3), "u1")
    pixels[..., :] = (76, 85, 255)  # red (PS3.3 C.7.6.3.1.2)
    seen = drawn(file(tmp_path / "a.dcm", pixels, PhotometricInterpretation="YBR_FULL"))
    assert (abs(seen[4, 4] - (255, 0, 0)) <= 2).all()


@pytest.mark.parametrize("encoder", [("dcmcrle",), ("dcmcjpeg", "+e1"), ("dcmcjpls", "+el")], ids=lambda one: one[0])
@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
def test_compressed_images_look_as_they_did_before(tmp_path: Path, encoder: tuple[str, ...], colour: bool) -> None:
    module("imagecodecs")
    pixels = ramp("<u2", 0, 4000)
    if colour:
        pixels = numpy.stack([ramp("u1", 0, 255), ramp("u1", 100, 0), ramp("u1", 7, 7)], axis=-1)
    plain, packed = file(tmp_path / "a.dcm", pixels), tmp_path / "b.dcm"
    subprocess.run([dcmtk(encoder[0]), *encoder[1:], plain, packed], check=True, capture_output=True, timeout=60)
    assert pydicom.dcmread(packed).file_meta.TransferSyntaxUID.is_compressed
    assert (drawn(packed) == drawn(plain)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dcm", "b.dcm"]


@pytest.mark.parametrize(
    "changes",
    [
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"Rows": 65},
        {"Columns": 0},
        {"BitsAllocated": 1},
        {"BitsAllocated": 64},
        {"SamplesPerPixel": 4},
        {"PixelData": b"\0\0"},
    ],
    ids=str,
)
def test_of_what_cannot_be_drawn_the_reason_is_told(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(GatewayError):
        drawn(file(tmp_path / "a.dcm", ramp("<u2", 0, 100), **changes))


@pytest.mark.parametrize("data", [b"", b"\0" * 200, b"\0" * 128 + b"DICM"])
def test_a_file_that_is_no_image_has_no_picture(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    with pytest.raises(GatewayError):
        drawn(path)
