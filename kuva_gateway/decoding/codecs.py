"""One frame decoded twice, by two programs, and believed when both found the same samples. Only in the process.

The decoders of imagecodecs are libjpeg-turbo, CharLS, OpenJPEG, OpenJPH and one for RLE; those of GDCM are the IJG's,
CharLS, OpenJPEG, and one for RLE, built apart. For JPEG and RLE these are different programs, as they are for HTJ2K
(OpenJPH and OpenJPEG); for JPEG-LS and JPEG 2000 two builds of one: what their authors have not seen neither shows.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy

from kuva_gateway.decoding.codestream import Stream
from kuva_gateway.decoding.image import HTJ2K, JPEG, JPEG_2000, JPEG_LS, DecodingError, Image

_UNDECODABLE: Final = "a frame is damaged"
_REMARKS: Final = (b"orrupt", b"remature")
"""What a JPEG decoder writes to standard error when it fills up what it could not decode, and says nothing else."""


def load() -> None:
    """Import both libraries; raises ImportError."""
    global gdcm, imagecodecs
    gdcm, imagecodecs = importlib.import_module("gdcm"), importlib.import_module("imagecodecs")


gdcm: Any = None
imagecodecs: Any = None


def decode(image: Image, stream: Stream, frame: bytes) -> bytes:
    """The frame's samples, pixel by pixel, little endian, as wide as Bits Allocated.

    Raises
    ------
    DecodingError
        A decoder refuses it, or the two do not agree.
    """
    with _heard() as said:
        ours, theirs = _first(image, stream, frame), _second(image, stream, frame)
    if any(one in said[0] for one in _REMARKS):
        raise DecodingError(_UNDECODABLE)
    if len(ours) != image.frame_bytes:
        raise DecodingError(_UNDECODABLE)
    if ours != theirs:
        raise DecodingError("two decoders do not find the same pixels in a frame")
    return ours


@contextmanager
def _heard() -> Iterator[list[bytes]]:
    """What is written to standard error meanwhile; it is known at the end."""
    said, kept = [b""], os.dup(2)
    heard = os.memfd_create("stderr")
    os.dup2(heard, 2)
    try:
        yield said
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        said[0] = os.pread(heard, 1 << 16, 0)
        os.close(heard)


def _first(image: Image, stream: Stream, frame: bytes) -> bytes:
    try:
        if image.syntax in JPEG:
            space = None if image.samples == 1 else "RGB" if image.photometric == "RGB" else "YCBCR"
            found = imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace=space)
        elif image.syntax in JPEG_LS:
            found = imagecodecs.jpegls_decode(frame)
        elif image.syntax in JPEG_2000:
            found = imagecodecs.jpeg2k_decode(frame)
        elif image.syntax in HTJ2K:
            found = imagecodecs.htj2k_decode(frame)
        else:
            return _rle(image, frame)
    except MemoryError:
        raise
    except Exception as error:
        raise DecodingError(_UNDECODABLE) from error
    return _samples(image, found)


def _samples(image: Image, found: Any) -> bytes:
    """An array as bytes; samples that came narrower are widened, their sign kept."""
    shape = (image.rows, image.columns) if image.samples == 1 else (image.rows, image.columns, image.samples)
    if found.shape != shape or found.dtype.kind not in "iu" or found.dtype.itemsize > image.sample_bytes:
        raise DecodingError("a frame has other dimensions than the data set says")
    return bytes(found.astype(f"<{found.dtype.kind}{image.sample_bytes}", copy=False).tobytes())


def _rle(image: Image, frame: bytes) -> bytes:
    """Plane after plane as it was encoded (PS3.5 G.2), given back pixel by pixel."""
    planes = numpy.frombuffer(imagecodecs.dicomrle_decode(frame, f"<u{image.sample_bytes}"), f"<u{image.sample_bytes}")
    return bytes(planes.reshape(image.samples, -1).T.tobytes())


def _second(image: Image, stream: Stream, frame: bytes) -> bytes:
    if image.syntax in HTJ2K:
        try:
            return _samples(image, imagecodecs.jpeg2k_decode(frame))
        except MemoryError:
            raise
        except DecodingError:
            raise
        except Exception as error:
            raise DecodingError(_UNDECODABLE) from error
    width = 1 if stream.precision <= 8 else 2 if stream.precision <= 16 else 4
    data = _gdcm(image, stream, frame, 8 * width)
    if data is None or len(data) != image.rows * image.columns * image.samples * width:
        raise DecodingError(_UNDECODABLE)
    if width == image.sample_bytes:
        return data
    kind = "i" if image.signed and stream.signed else "u"
    return bytes(numpy.frombuffer(data, f"<{kind}{width}").astype(f"<{kind}{image.sample_bytes}").tobytes())


def _gdcm(image: Image, stream: Stream, frame: bytes, allocated: int) -> bytes | None:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    picture = gdcm.Image()
    picture.SetNumberOfDimensions(2)
    picture.SetDimensions((image.columns, image.rows, 1))
    picture.SetDataElement(element)
    colours = gdcm.PhotometricInterpretation.GetPIType(image.photometric)
    picture.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(colours))
    if image.samples > 1:
        picture.SetPlanarConfiguration(0)
    picture.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(image.syntax)))
    depth = stream.precision
    picture.SetPixelFormat(gdcm.PixelFormat(image.samples, allocated, depth, depth - 1, int(image.signed)))
    data = picture.GetBuffer()
    return None if data is None else bytes(data.encode("utf-8", "surrogateescape"))
