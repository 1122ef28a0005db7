"""What is to be sent of an instance: its stored data set, or the same with its study's amendments applied.

Keeps nothing. Promises that the stored file is never written, that an instance without amendments is sent from its file
without a look into it, and that of an amended one only what changes is in memory (of a deflated one, which has to be
deflated anew, nothing: it goes through a file without a name).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from kuva_gateway.dicom import part10, syntaxes
from kuva_gateway.dicom.amending import Piece, Range, amend
from kuva_gateway.dicom.amendments import Amendment, applying
from kuva_gateway.dicom.deflated import Inflating, deflate, inflated
from kuva_gateway.dicom.encoding import Encoding
from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.scanner import scan_stream
from kuva_gateway.errors import DamageError
from kuva_gateway.network.sending import FileSlice, Part


class Sendable(Protocol):
    """What sending needs to know of an instance; the catalog's PendingInstance is one."""

    @property
    def instance_id(self) -> int: ...

    @property
    def sop_class(self) -> str: ...

    @property
    def sop_instance(self) -> str: ...

    @property
    def transfer_syntax(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def amendments(self) -> Sequence[Amendment]: ...


OpenFile = Callable[[str], BinaryIO]  # digest -> the stored file, at its first byte


@contextmanager
def open_outgoing(open_file: OpenFile, instance: Sendable) -> Iterator[Sequence[Part]]:
    """The data set that is to be sent, for :meth:`~kuva_gateway.network.association.Association.store`.

    Whoever wants the received bytes gives an instance without amendments.

    Raises
    ------
    DamageError, HeaderError, OSError
        The stored file cannot be read, or is of another instance than the catalog says.
    AmendingError
        It cannot be amended as it should be.
    """
    with open_file(instance.digest) as file:
        offset, length = _data_set(file, instance)
        if not instance.amendments:
            yield (FileSlice(descriptor=file.fileno(), offset=offset, length=length),)
            return
        header = scan_stream(file, offset, length, instance.transfer_syntax)
        steps, _after = applying(header, instance.amendments)
        if not steps:
            yield (FileSlice(descriptor=file.fileno(), offset=offset, length=length),)
        elif syntaxes.is_deflated(instance.transfer_syntax):
            with _deflated(file, offset, length, steps, header) as parts:
                yield parts
        else:
            yield _parts(file, offset, length, _pieces(_reader(file, offset, length), steps, header))


def _pieces(read: Callable[[int, int], bytes], steps: Sequence[Amendment], header: Header) -> list[Piece]:
    return amend(read, steps, header.character_set, Encoding.of(header.transfer_syntax_uid))


def _reader(file: BinaryIO, offset: int, length: int) -> Callable[[int, int], bytes]:
    def read(position: int, count: int) -> bytes:
        return os.pread(file.fileno(), max(min(count, length - position), 0), offset + position)

    return read


def _parts(file: BinaryIO, offset: int, length: int, pieces: Sequence[Piece]) -> list[Part]:
    parts: list[Part] = []
    for piece in pieces:
        if isinstance(piece, Range):
            end = length if piece.end is None else piece.end
            parts.append(FileSlice(descriptor=file.fileno(), offset=offset + piece.start, length=end - piece.start))
        else:
            parts.append(piece)
    return parts


@contextmanager
def _deflated(
    file: BinaryIO, offset: int, length: int, steps: Sequence[Amendment], header: Header
) -> Iterator[Sequence[Part]]:
    """Inflated twice: once to find out what changes, once to write it."""
    pieces = _pieces(Inflating(file, offset, length).read, steps, header)
    with tempfile.TemporaryFile(dir=os.path.dirname(file.name)) as into:
        size = deflate(inflated(Inflating(file, offset, length).read, pieces), into)
        into.flush()
        yield (FileSlice(descriptor=into.fileno(), offset=0, length=size),)


def _data_set(file: BinaryIO, instance: Sendable) -> tuple[int, int]:
    """Where the data set begins in the stored file, and how many bytes it has."""
    meta = part10.read_meta(file)
    if (meta.sop_instance, meta.transfer_syntax) != (instance.sop_instance, instance.transfer_syntax):
        raise DamageError("the stored file is of another instance or transfer syntax than the catalog says")
    size = os.fstat(file.fileno()).st_size
    return meta.dataset_offset, size - meta.dataset_offset
