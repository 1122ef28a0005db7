"""What frames say of themselves, when they are cut off or made to harm."""

from __future__ import annotations

import struct

import pytest

from kuva_gateway.decoding.codestream import look
from kuva_gateway.decoding.image import DecodingError, Image


def image(syntax: str) -> Image:
    return Image(
        syntax=syntax, rows=16, columns=16, samples=1, allocated=16, signed=False, photometric="MONOCHROME2", frames=1
    )


def jpeg_2000(samples: int = 1) -> bytes:
    """The main header of a codestream of 16 by 16 samples."""
    size = struct.pack(">H8I", 0, 16, 16, 0, 0, 16, 16, 0, 0) + struct.pack(">H", samples) + b"\x0b\1\1" * samples
    style = b"\0\0\0\1\0\5\4\4\0\1"
    return (
        b"\xff\x4f\xff\x51" + struct.pack(">H", len(size) + 2) + size
        + b"\xff\x52" + struct.pack(">H", len(style) + 2) + style + b"\xff\x90"
    )  # fmt: skip


def test_a_codestream_says_what_it_is() -> None:
    found = look(image("1.2.840.10008.1.2.4.90"), jpeg_2000())
    assert (found.rows, found.columns, found.precision, found.lossy) == (16, 16, 12, False)


@pytest.mark.parametrize("length", range(len(jpeg_2000())))
def test_a_codestream_that_is_cut_off_anywhere_is_damaged(length: int) -> None:
    with pytest.raises(DecodingError, match="damaged"):
        look(image("1.2.840.10008.1.2.4.90"), jpeg_2000()[:length])
