"""What a data set says of its pixels (PS3.3 C.7.6.3), as far as decoding them needs it, and where they stand."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.elements import Element, Elements, Read
from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.reencoding import ReencodingError
from kuva_gateway.dicom.walk import UNDEFINED

SAMPLES: Final = 0x00280002
PHOTOMETRIC: Final = 0x00280004
PLANAR: Final = 0x00280006
FRAMES: Final = 0x00280008
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
ALLOCATED: Final = 0x00280100
REPRESENTATION: Final = 0x00280103
LOSSY: Final = 0x00282110
OFFSETS: Final = (0x7FE00001, 0x7FE00002)
"""Extended Offset Table and its lengths: they tell of fragments only."""
PIXELS: Final = 0x7FE00010

LARGEST: Final = 0xFFFFFFFE
"""Bytes of native Pixel Data at most: its length has 32 bits (PS3.5 7.1.2)."""
_LONGEST: Final = 64

JPEG: Final = frozenset(f"1.2.840.10008.1.2.4.{arc}" for arc in (50, 51, 57, 70))
JPEG_LS: Final = frozenset(f"1.2.840.10008.1.2.4.{arc}" for arc in (80, 81))
JPEG_2000: Final = frozenset(f"1.2.840.10008.1.2.4.{arc}" for arc in (90, 91))
HTJ2K: Final = frozenset(f"1.2.840.10008.1.2.4.{arc}" for arc in (201, 202, 203))
DECODABLE: Final = JPEG | JPEG_LS | JPEG_2000 | HTJ2K | {syntaxes.RLE_LOSSLESS}
"""Transfer syntaxes for each of which there are two decoders."""


class DecodingError(ReencodingError):
    """The pixels cannot be decoded, or not for certain; the text says why and quotes nothing of the data set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """``allocated`` is in bits, ``signed`` is Pixel Representation, ``photometric`` as it stands."""

    syntax: str
    rows: int
    columns: int
    samples: int
    allocated: int
    signed: bool
    photometric: str
    frames: int

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample as it is to be written."""
        return self.allocated // 8

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return self.rows * self.columns * self.samples * self.sample_bytes

    @property
    def pixel_bytes(self) -> int:
        """Bytes of all frames."""
        return self.frame_bytes * self.frames

    def to_json(self) -> str:
        """For the process that decodes."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The elements at the top of a data set that decoding changes, by tag, and where those that lack would stand."""

    elements: dict[int, Element]
    places: dict[int, int]

    @property
    def pixels(self) -> Element:
        """Pixel Data."""
        return self.elements[PIXELS]


_CHANGED: Final = (PHOTOMETRIC, PLANAR, LOSSY, *OFFSETS, PIXELS)
_READ: Final = (SAMPLES, PHOTOMETRIC, FRAMES, ROWS, COLUMNS, ALLOCATED, REPRESENTATION, LOSSY)


def read_image(read: Read, syntax: str) -> tuple[Image, Layout, bool]:
    """The image of a data set in explicit little endian, its layout, and whether it says that it was lossy before.

    Raises
    ------
    DecodingError
        It has no compressed pixels, or what describes them is missing or not of an image that can be decoded.
    HeaderError
        It cannot be read element by element.
    """
    if syntax not in DECODABLE:
        raise DecodingError("there is no decoder for this transfer syntax")
    elements = Elements(read, implicit=False, big_endian=False)
    found: dict[int, Element] = {}
    places: dict[int, int] = {}
    values: dict[int, bytes] = {}
    for element in elements.until(PIXELS):
        for tag in _CHANGED:
            if tag < element.tag and tag not in found:
                places.setdefault(tag, element.start)
        if element.tag in found:
            raise HeaderError("one of its elements stands twice")
        if element.tag in _CHANGED:
            found[element.tag] = element
        if element.tag in _READ and element.length <= _LONGEST:
            values[element.tag] = elements.peek(element.value, element.length)
    if PIXELS not in found or found[PIXELS].length != UNDEFINED:
        raise DecodingError("there are no compressed pixels in it")
    for tag in _CHANGED:
        places.setdefault(tag, found[PIXELS].start)
    lossy = values.get(LOSSY, b"").strip(b" \0") == b"01"
    return _image(values, syntax), Layout(elements=found, places=places), lossy


def _image(values: dict[int, bytes], syntax: str) -> Image:
    def number(tag: int) -> int:
        data = values.get(tag, b"")
        if len(data) != 2:
            raise DecodingError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is missing or wrong")
        return int.from_bytes(data, "little")

    frames = values.get(FRAMES, b"").strip(b" \0") or b"1"
    if not frames.isdigit() or int(frames) < 1:
        raise DecodingError("Number of Frames is wrong")
    made = Image(
        syntax=syntax,
        rows=number(ROWS),
        columns=number(COLUMNS),
        samples=number(SAMPLES),
        allocated=number(ALLOCATED),
        signed=number(REPRESENTATION) == 1,
        photometric=values.get(PHOTOMETRIC, b"").decode("latin-1").strip(" \0"),
        frames=int(frames),
    )
    if not (made.rows and made.columns) or made.samples not in (1, 3) or made.allocated not in (8, 16, 32):
        raise DecodingError("it is no image of one or three samples of 8, 16 or 32 bits")
    if made.pixel_bytes > LARGEST:
        raise DecodingError("its pixels would take more than 4 GiB, which no data set can hold")
    return made
