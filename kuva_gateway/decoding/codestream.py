"""What a compressed frame says of itself, read without a decoder; it must agree with the data set around it.

A viewer that believes the data set and one that believes the frame would show two pictures: such a frame is refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from kuva_gateway.decoding.image import HTJ2K, JPEG_2000, DecodingError, Image
from kuva_gateway.dicom.syntaxes import RLE_LOSSLESS

_DAMAGED: Final = "a frame is damaged"
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_PADDED: Final = 16
"""Bytes at a frame's end in which its last marker stands; padding may follow."""
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(slots=True, kw_only=True)
class Stream:
    """One compressed frame's own words. ``signed`` None: it does not say; ``rgb`` None: it does not say either."""

    columns: int
    rows: int
    samples: int
    precision: int
    signed: bool | None = None
    lossy: bool = False
    rgb: bool | None = None
    subsampled: bool = False
    jpeg_ls: bool = False
    transformed: bool = False
    """JPEG 2000's multiple component transformation: decoding it gives RGB."""


def look(image: Image, frame: bytes) -> Stream:
    """The frame's own description, compared with ``image``.

    Raises
    ------
    DecodingError
        It is damaged, or contradicts the data set.
    """
    try:
        if image.syntax == RLE_LOSSLESS:
            return _rle(image, frame)
        found = _jpeg_2000(frame) if image.syntax in JPEG_2000 | HTJ2K else _jpeg(frame)
    except (struct.error, IndexError):
        raise DecodingError(_DAMAGED) from None
    _compare(image, found)
    return found


def photometric_of(image: Image, stream: Stream) -> str:
    """Photometric Interpretation of the decoded pixels (PS3.3 C.7.6.3.1.2, PS3.5 8.2)."""
    if image.photometric in ("YBR_ICT", "YBR_RCT"):
        return "RGB"
    return "YBR_FULL" if image.photometric == "YBR_FULL_422" else image.photometric


def _compare(image: Image, found: Stream) -> None:
    if (found.columns, found.rows, found.samples) != (image.columns, image.rows, image.samples):
        raise DecodingError("a frame has other dimensions than the data set says")
    if found.precision > image.allocated:
        raise DecodingError("a frame has more bits than the data set says")
    if found.signed is not None and found.signed != image.signed:
        raise DecodingError("a frame's samples are signed where the data set says unsigned, or the other way round")
    if image.samples == 1:
        return
    label = image.photometric
    if image.syntax in JPEG_2000 | HTJ2K:
        if (label in ("YBR_ICT", "YBR_RCT")) != found.transformed and not (label == "RGB" and found.transformed):
            raise DecodingError("a frame has other colours than Photometric Interpretation says")
    elif label not in ("RGB", "YBR_FULL", "YBR_FULL_422"):
        raise DecodingError("a frame of three samples has a Photometric Interpretation that cannot be decoded")
    elif (found.rgb is not None and found.rgb != (label == "RGB")) or (found.subsampled and label == "RGB"):
        raise DecodingError("a frame has other colours than Photometric Interpretation says")


def _rle(image: Image, frame: bytes) -> Stream:
    """PS3.5 G.5: the number of segments is all that the header of a frame says."""
    if len(frame) < 64 or struct.unpack_from("<I", frame)[0] != image.samples * image.sample_bytes:
        raise DecodingError("a frame has another number of segments than the data set needs")
    if image.samples == 3 and image.photometric not in ("RGB", "YBR_FULL"):
        raise DecodingError("a frame of three samples has a Photometric Interpretation that cannot be decoded")
    return Stream(columns=image.columns, rows=image.rows, samples=image.samples, precision=image.allocated)


def _jpeg(frame: bytes) -> Stream:
    """JPEG and JPEG-LS: the markers up to the first scan (ISO 10918-1 B.2, 14495-1 C.2)."""
    # One that is not ended is cut off; a decoder may take long to find that out.
    if frame[:2] != b"\xff\xd8" or b"\xff\xd9" not in frame[-_PADDED:]:
        raise DecodingError(_DAMAGED)
    position, found, rgb = 2, None, None
    while True:
        while frame[position] == 0xFF and frame[position + 1] == 0xFF:
            position += 1
        if frame[position] != 0xFF:
            raise DecodingError(_DAMAGED)
        marker, position = frame[position + 1], position + 2
        if marker in _ALONE:
            continue
        (length,) = struct.unpack_from(">H", frame, position)
        body = frame[position + 2 : position + length]
        position += length
        if marker in _FRAME_HEADERS:
            found = _frame_header(marker, body)
        elif marker == 0xE0 and body[:5] == b"JFIF\0":
            rgb = False
        elif marker == 0xEE and body[:5] == b"Adobe":
            rgb = body[11] == 0
        elif marker == 0xDA:
            break
        elif marker == 0xD9:
            raise DecodingError(_DAMAGED)
    if found is None:
        raise DecodingError(_DAMAGED)
    if found.rgb is None:
        found.rgb = rgb
    if found.jpeg_ls:
        found.lossy = body[1 + 2 * body[0]] > 0  # NEAR
    return found


def _frame_header(marker: int, body: bytes) -> Stream:
    precision, rows, columns, samples = struct.unpack_from(">BHHB", body)
    components = [struct.unpack_from(">BBB", body, 6 + 3 * place) for place in range(samples)]
    named = bytes(identifier for identifier, _sampling, _table in components)
    return Stream(
        columns=columns,
        rows=rows,
        samples=samples,
        precision=precision,
        lossy=marker in (0xC0, 0xC1, 0xC2),
        rgb=True if named == b"RGB" else None,
        subsampled=len({sampling for _identifier, sampling, _table in components}) > 1,
        jpeg_ls=marker == 0xF7,
    )


def _jpeg_2000(frame: bytes) -> Stream:
    """SIZ and COD of the main header (ISO 15444-1 A.5.1, A.6.1)."""
    if frame[:4] != b"\xff\x4f\xff\x51":
        raise DecodingError(_DAMAGED)
    x1, y1, x0, y0 = struct.unpack_from(">4I", frame, 8)
    (samples,) = struct.unpack_from(">H", frame, 40)
    components = {struct.unpack_from(">3B", frame, 42 + 3 * place) for place in range(samples)}
    if len(components) != 1:
        raise DecodingError("a frame's samples are not all of one kind")
    depth, across, down = components.pop()
    found = Stream(
        columns=x1 - x0,
        rows=y1 - y0,
        samples=samples,
        precision=(depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
        subsampled=(across, down) != (1, 1),
    )
    if found.subsampled:
        raise DecodingError("a frame's samples are not all of one kind")
    position = 2
    while (marker := struct.unpack_from(">H", frame, position)[0]) != 0xFF90:
        if marker == 0xFF52:
            found.transformed = frame[position + 8] == 1
            found.lossy = frame[position + 13] == 0
        position += 2 + struct.unpack_from(">H", frame, position + 2)[0]
    return found
