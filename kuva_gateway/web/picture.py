"""A small picture of a stored image, to see at a glance what a study is; no tool for reading it.

Promises that a file of any size costs a bounded time: of one frame, in the middle, so many lines and points are read as
the picture has. Compressed images are decoded by the process that does so for deliveries, within bounds of its own.
Grey levels are stretched from the darkest to the brightest but for a hundredth at both ends: no window is read.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

from kuva_gateway.decoding.image import (
    ALLOCATED,
    COLUMNS,
    DECODABLE,
    FRAMES,
    PHOTOMETRIC,
    PIXELS,
    PLANAR,
    REPRESENTATION,
    ROWS,
    SAMPLES,
    DecodingError,
    Image,
    read_image,
)
from kuva_gateway.decoding.process import Bounds, Decoder
from kuva_gateway.dicom.elements import Elements, Read
from kuva_gateway.dicom.part10 import read_meta
from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE

EDGE: Final = 256
"""Points on the longer side at most."""
BOUNDS: Final = Bounds(memory=1 << 30, timeout=10.0)
LARGEST: Final = 256 << 20
"""Bytes that decoding may give."""
_GREY, _RGB = 0, 2  # PNG's colour types
_LONGEST: Final = 64
_CODES: Final = {(1, False): "B", (1, True): "b", (2, False): "H", (2, True): "h", (4, False): "I", (4, True): "i"}


def picture(stream: BinaryIO, folder: Path) -> bytes:
    """A PNG of the image in a Part 10 file; what decoding needs on the disk is in ``folder``, and gone at the end.

    Raises
    ------
    GatewayError
        It is no image, or one of a kind of which there is no picture; the text says why.
    """
    meta, descriptor = read_meta(stream), stream.fileno()

    def read(position: int, count: int) -> bytes:
        return os.pread(descriptor, count, meta.dataset_offset + position)

    if meta.transfer_syntax in DECODABLE:
        image, layout, _ = read_image(read, meta.transfer_syntax)
        if image.pixel_bytes > LARGEST:
            raise DecodingError("it is too large to be decoded for a picture")
        start, end = meta.dataset_offset + layout.pixels.value, meta.dataset_offset + layout.pixels.end
        decoder = Decoder(BOUNDS)
        try:
            with tempfile.TemporaryFile(dir=folder) as into:
                plain = cast(BinaryIO, into)
                decoded = decoder.decode(image, (descriptor, start, end - start), plain)
                return _draw(image, decoded.photometric, lambda at, count: os.pread(plain.fileno(), count, at), False)
        finally:
            decoder.close()
    image, start, by_plane = _plain(read, meta.transfer_syntax)
    return _draw(image, image.photometric, lambda at, count: read(start + at, count), by_plane)


def _plain(read: Read, syntax: str) -> tuple[Image, int, bool]:
    """An uncompressed image, where its pixels begin, and whether each colour stands by itself."""
    if syntax not in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
        raise DecodingError("there is no picture of images in this transfer syntax")
    elements = Elements(read, implicit=syntax == IMPLICIT_LITTLE, big_endian=False)
    values: dict[int, bytes] = {}
    start = None
    for element in elements.until(PIXELS):
        if element.tag == PIXELS:
            start = element.value
        elif element.length <= _LONGEST:
            values[element.tag] = elements.peek(element.value, element.length)
    if start is None:
        raise DecodingError("it has no pixels")

    def number(tag: int, default: int = 0) -> int:
        data = values.get(tag, b"")
        return int.from_bytes(data, "little") if len(data) == 2 else default

    frames = values.get(FRAMES, b"").strip(b" \0")
    image = Image(
        syntax=syntax,
        rows=number(ROWS),
        columns=number(COLUMNS),
        samples=number(SAMPLES, 1),
        allocated=number(ALLOCATED),
        signed=number(REPRESENTATION) == 1,
        photometric=values.get(PHOTOMETRIC, b"").decode("latin-1").strip(" \0"),
        frames=int(frames) if frames.isdigit() and int(frames) > 0 else 1,
    )
    return image, start, number(PLANAR) == 1


def _draw(image: Image, photometric: str, pixels: Callable[[int, int], bytes], by_plane: bool) -> bytes:
    code = _CODES.get((image.sample_bytes, image.signed))
    grey = image.samples == 1 and photometric in ("MONOCHROME1", "MONOCHROME2")
    colour = image.samples == 3 and photometric in ("RGB", "YBR_FULL") and image.sample_bytes == 1
    if code is None or not (image.rows and image.columns) or not (grey or colour):
        raise DecodingError("there is no picture of images of this kind")
    step = -(-max(image.rows, image.columns) // EDGE)
    frame = image.frames // 2 * image.frame_bytes
    lines = [
        [_line(image, code, pixels, frame, row, plane, by_plane, step) for plane in range(image.samples)]
        for row in range(0, image.rows, step)
    ]
    if grey:
        return _png(_stretched([planes[0] for planes in lines], inverted=photometric == "MONOCHROME1"), _GREY)
    if photometric == "YBR_FULL":
        lines = [_rgb(*planes) for planes in lines]
    return _png([bytes(one for point in zip(*planes, strict=True) for one in point) for planes in lines], _RGB)


def _line(
    image: Image,
    code: str,
    pixels: Callable[[int, int], bytes],
    frame: int,
    row: int,
    plane: int,
    by_plane: bool,
    step: int,
) -> Sequence[int]:
    """Every so many points of one line of one colour."""
    width, together = image.columns * image.sample_bytes, 1 if by_plane else image.samples
    at = frame + row * width * together + (plane * image.rows * width if by_plane else 0)
    data = pixels(at, width * together)
    if len(data) != width * together:
        raise DecodingError("its pixels are cut off")
    values = array(code, data)
    return values[::step] if by_plane or together == 1 else values[plane::together][::step]


def _stretched(lines: Sequence[Sequence[int]], *, inverted: bool) -> list[bytes]:
    ordered = sorted(value for line in lines for value in line)
    low, high = ordered[len(ordered) // 100], ordered[-1 - len(ordered) // 100]
    span = max(1, high - low)
    shown = {value: min(255, max(0, (value - low) * 255 // span)) for value in set(ordered)}
    return [bytes(255 - shown[value] if inverted else shown[value] for value in line) for line in lines]


def _rgb(luminance: Iterable[int], blue: Iterable[int], red: Iterable[int]) -> list[Sequence[int]]:
    """PS3.3 C.7.6.3.1.2, YBR_FULL."""
    points = [
        (y + 1.402 * (r - 128), y - 0.344136 * (b - 128) - 0.714136 * (r - 128), y + 1.772 * (b - 128))
        for y, b, r in zip(luminance, blue, red, strict=True)
    ]
    return [[min(255, max(0, round(point[place]))) for point in points] for place in range(3)]


def _png(lines: Sequence[bytes], colour: int) -> bytes:
    """Eight bits a sample (RFC 2083); every line without a filter."""
    width = len(lines[0]) // (3 if colour == _RGB else 1)
    head = struct.pack(">IIBBBBB", width, len(lines), 8, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + line for line in lines), 6)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
