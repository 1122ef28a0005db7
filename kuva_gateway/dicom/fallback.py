"""Data sets that the own walk is unsure of, read with pydicom: VRs that nobody knows, another syntax than claimed.

Promises bounded memory, and the same strictness about lengths as the own walk: what pydicom would read past, with a
shrug, is a :class:`HeaderError` here.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from kuva_gateway.dicom.header import HeaderError
from kuva_gateway.dicom.walk import UNDEFINED
from kuva_gateway.dicom.wanted import LAST_WAVEFORM_GROUP, TOP, WHOLE, Found, Plan

if TYPE_CHECKING:
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

READ_LIMIT = 2 << 20
"""Bytes that pydicom may read of one data set; what is skipped by its length does not count."""

_warnings = threading.Lock()  # the filters of the warnings module belong to the whole process


class _Reader:
    """A file-like view of one data set inside a stream that notices reading past its end."""

    def __init__(self, stream: BinaryIO, offset: int, size: int) -> None:
        self._stream = stream
        self._offset = offset
        self._position = 0
        self._read = 0
        self.size = size
        self.overrun = False

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = 0) -> int:
        self._position = position + (0, self._position, self.size)[whence]
        if self._position > self.size:
            self.overrun = True
        return self._position

    def read(self, count: int = -1) -> bytes:
        left = max(self.size - self._position, 0)
        if count < 0 or count > left:
            self.overrun = self.overrun or left > 0 or self._position > self.size
            count = left
        self._read += count
        if self._read > READ_LIMIT:
            raise HeaderError("the data set is too odd and too long to be understood")
        self._stream.seek(self._offset + self._position)
        data = self._stream.read(count)
        self._position += len(data)
        return data


def read_with_pydicom(
    stream: BinaryIO, offset: int, size: int, *, implicit: bool, big_endian: bool
) -> tuple[Found, int]:
    """What is wanted of the data set of ``size`` bytes at ``offset``, and where the element behind it claims to end.

    Raises
    ------
    HeaderError
        pydicom cannot read it either, or only by reading past its end.
    """
    from pydicom.filereader import read_dataset  # brings numpy with it: a third of a second, and rarely wanted

    reader = _Reader(stream, offset, size)
    stopped: list[int] = []

    def is_behind(tag: BaseTag, _vr: str | None, length: int) -> bool:
        if tag >> 16 <= LAST_WAVEFORM_GROUP:
            return False
        stopped.append(-1 if length == UNDEFINED else reader.tell() + length)
        return True

    try:
        with _warnings, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data_set = read_dataset(
                cast(BinaryIO, reader), implicit, not big_endian, stop_when=is_behind, defer_size=WHOLE
            )
            if reader.overrun:
                raise HeaderError("an element claims more than the data set has")
            if stopped and not data_set:
                raise HeaderError("the data set begins with what belongs at its end")
            found = _collect(data_set, TOP, reader)
    except HeaderError:
        raise
    except Exception as error:  # pydicom raises whatever its parsers happen to raise on hostile bytes
        raise HeaderError("the data set cannot be parsed") from error
    return found, stopped[-1] if stopped else -1


def _collect(data_set: Dataset, plan: Plan, reader: _Reader) -> Found:
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset

    found: Found = {}
    for tag, wanted in plan.items():
        if tag not in data_set:
            continue
        element: Any = data_set.get_item(tag)
        if isinstance(wanted, dict):
            value = data_set[tag].value
            if isinstance(value, list | tuple) or hasattr(value, "__iter__"):
                found[tag] = [_collect(item, wanted, reader) for item in value if isinstance(item, Dataset)]
        elif isinstance(element, RawDataElement):
            found[tag] = _bytes_of(element, wanted, reader)
    return found


def _bytes_of(element: RawDataElement, most: int, reader: _Reader) -> bytes:
    """The first bytes of a value, also of one that pydicom left in the stream because of its length."""
    if element.value is not None:
        return bytes(element.value[:most])
    if most == WHOLE and element.length:
        raise HeaderError(f"{element.tag} is {element.length} bytes long")
    reader.seek(element.value_tell)
    return reader.read(min(most, element.length))
