"""The data set of a compressed image with its pixels decoded (PS3.5 8.2, A.4): what has to change beside them.

Keeps nothing. Promises that the image stays the same SOP Instance (PS3.3 C.7.6.1.1.3: nothing is derived from it), that
only what describes the pixels' encoding changes, and that whoever gets it still learns that something was lost once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO, Final

from kuva_gateway.decoding.image import LOSSY, OFFSETS, PHOTOMETRIC, PIXELS, PLANAR, Image, Layout, read_image
from kuva_gateway.decoding.process import Decoded, Decoder
from kuva_gateway.dicom.encoding import Encoding
from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE
from kuva_gateway.forward.spliced import Spliced
from kuva_gateway.network.sending import FileSlice, Part

_EXPLICIT: Final = Encoding.of(EXPLICIT_LITTLE)


def decompressed(
    data_set: Spliced, syntax: str, into: BinaryIO, decoder: Decoder, stopping: Callable[[], bool]
) -> Spliced:
    """``data_set`` in explicit little endian; its pixels are written to the empty file ``into``.

    Raises
    ------
    HeaderError, DecodingError, DeferredError
        It cannot be read; it cannot be decoded for certain; it cannot be decoded now.
    """
    image, layout, known_lossy = read_image(data_set.read, syntax)
    (source,) = _in_one_file(data_set.cut(layout.pixels.value, layout.pixels.end))
    place = source.descriptor, source.offset, source.length
    decoded = decoder.decode(image, place, into, stopping=stopping)
    into.seek(0, 2)
    into.write(b"\0" * (image.pixel_bytes % 2))
    into.flush()
    pixels = FileSlice(descriptor=into.fileno(), offset=0, length=image.pixel_bytes + image.pixel_bytes % 2)
    changed = _changes(image, decoded, known_lossy=known_lossy)
    return Spliced(
        [*_before(data_set, layout, changed), _head(image, pixels.length), pixels, *_after(data_set, layout)]
    )


def _in_one_file(parts: list[Part]) -> list[FileSlice]:
    slices = [part for part in parts if isinstance(part, FileSlice)]
    if len(parts) != 1 or len(slices) != 1:
        raise HeaderError("its pixels lie in several places")
    return slices


def _changes(image: Image, decoded: Decoded, *, known_lossy: bool) -> dict[int, bytes]:
    """New elements, by tag; without content: the element goes."""
    changed = dict.fromkeys(OFFSETS, b"")
    if decoded.photometric != image.photometric:
        changed[PHOTOMETRIC] = _EXPLICIT.element(PHOTOMETRIC, "CS", decoded.photometric.encode("ascii"))
    if image.samples > 1:
        changed[PLANAR] = _EXPLICIT.element(PLANAR, "US", b"\0\0")
    if decoded.lossy and not known_lossy:  # the syntax told so until now (PS3.3 C.7.6.1.1.5)
        changed[LOSSY] = _EXPLICIT.element(LOSSY, "CS", b"01")
    return changed


def _before(data_set: Spliced, layout: Layout, changed: dict[int, bytes]) -> list[Part]:
    parts: list[Part] = []
    position = 0
    for tag, content in sorted(changed.items()):
        element = layout.elements.get(tag)
        start, end = (element.start, element.end) if element is not None else (layout.places[tag],) * 2
        parts += [*data_set.cut(position, start), content]
        position = end
    return [*parts, *data_set.cut(position, layout.pixels.start)]


def _after(data_set: Spliced, layout: Layout) -> list[Part]:
    return data_set.cut(layout.pixels.end, None)


def _head(image: Image, length: int) -> bytes:
    vr = b"OW" if image.allocated > 8 else b"OB"  # PS3.5 A.2
    return struct.pack("<HH2sxxI", PIXELS >> 16, PIXELS & 0xFFFF, vr, length)
