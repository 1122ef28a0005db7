"""What is to be sent of an instance: its stored data set, with its study's amendments, in the syntax that is wanted.

Keeps nothing. Promises that the stored file is never written, that an instance without amendments that goes as it is
stored is sent from its file without a look into it, and that of any other one only what changes is in memory: what has
to be deflated, inflated or turned round goes through a file without a name, as does what changes when it is much.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Final, Protocol, cast

from kuva_gateway.decoding.process import Decoder
from kuva_gateway.dicom import part10, syntaxes
from kuva_gateway.dicom.amending import Piece, Range, amend
from kuva_gateway.dicom.amendments import Amendment, applying
from kuva_gateway.dicom.deflated import Inflating, deflated, inflated
from kuva_gateway.dicom.elements import Read
from kuva_gateway.dicom.encoding import Encoding
from kuva_gateway.dicom.header import Header
from kuva_gateway.dicom.reencoding import reencodable, reencode
from kuva_gateway.dicom.scanner import scan_stream
from kuva_gateway.errors import DamageError
from kuva_gateway.forward.decompressed import decompressed
from kuva_gateway.forward.spliced import Spliced
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

_IN_MEMORY: Final = 1 << 20
"""Bytes of a re-encoded data set that are kept in memory; what is more goes into a file without a name."""


@contextmanager
def open_outgoing(
    open_file: OpenFile,
    instance: Sendable,
    into: str = "",
    *,
    decoder: Decoder | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Sequence[Part]]:
    """The data set that is to be sent, for :meth:`~kuva_gateway.network.association.Association.store`.

    Whoever wants the received bytes gives an instance without amendments.

    Parameters
    ----------
    into
        The transfer syntax in which it is to go: the instance's own ("" as well), or one of those that
        :func:`~kuva_gateway.forward.contexts.others` names for it.
    decoder
        For compressed images in another syntax than their own; it is left when ``stopping`` turns true.

    Raises
    ------
    DamageError, HeaderError, OSError
        The stored file cannot be read, or is of another instance than the catalog says.
    AmendingError
        It cannot be amended as it should be.
    ReencodingError
        It cannot be written in ``into``; of compressed pixels DecodingError says why they cannot be decoded.
    DeferredError
        It cannot be decoded now: there is no room, or the gateway stops.
    """
    stored = instance.transfer_syntax
    with open_file(instance.digest) as file, ExitStack() as stack:
        place = _data_set(file, instance)
        if not instance.amendments and into in ("", stored):
            yield (place,)
            return
        data_set = Spliced([place])
        header, steps = _amendments(file, place, instance)
        if syntaxes.is_deflated(stored) and (steps or into not in ("", stored)):
            pieces = _pieces(_inflating(file, place), steps, header)
            plain = inflated(_inflating(file, place), pieces)
            made = stack.enter_context(_nameless(file))
            data_set = Spliced([_written(deflated(plain) if into in ("", stored) else plain, made)])
        elif steps:
            data_set = Spliced(_parts(data_set, _pieces(data_set.read, steps, header)))
        source, target = Encoding.of(stored), Encoding.of(into or stored)
        compressed = into not in ("", stored) and not reencodable(stored)
        if compressed and decoder is not None:
            made = stack.enter_context(_nameless(file))
            data_set = decompressed(data_set, stored, made, decoder, stopping)
        if source != target or compressed:
            data_set = _reencoded(data_set, source, target, stack.enter_context(_nameless(file)))
        yield data_set.parts


def _amendments(file: BinaryIO, place: FileSlice, instance: Sendable) -> tuple[Header, Sequence[Amendment]]:
    """What is to be amended, and the header in which that is."""
    if not instance.amendments:
        return Header(), ()
    header = scan_stream(file, place.offset, place.length, instance.transfer_syntax)
    return header, applying(header, instance.amendments)[0]


def _pieces(read: Read, steps: Sequence[Amendment], header: Header) -> list[Piece]:
    if not steps:
        return [Range(0, None)]
    return amend(read, steps, header.character_set, Encoding.of(header.transfer_syntax_uid))


def _inflating(file: BinaryIO, place: FileSlice) -> Read:
    return Inflating(file, place.offset, place.length).read


def _parts(data_set: Spliced, pieces: Iterable[Piece]) -> list[Part]:
    parts: list[Part] = []
    for piece in pieces:
        parts += data_set.cut(piece.start, piece.end) if isinstance(piece, Range) else [piece]
    return parts


def _reencoded(data_set: Spliced, source: Encoding, target: Encoding, into: BinaryIO) -> Spliced:
    """Long values stay where they lie; what is written anew goes into the file ``into`` when it becomes much."""
    parts: list[Part] = []
    kept = b""
    for piece in reencode(data_set.read, source, target):
        if isinstance(piece, Range):
            parts += [kept, *data_set.cut(piece.start, piece.end)]
            kept = b""
        else:
            kept += piece
        if len(kept) >= _IN_MEMORY:
            parts.append(_written([kept], into))
            kept = b""
    return Spliced([*parts, kept])


def _written(data: Iterable[bytes], into: BinaryIO) -> FileSlice:
    """``data`` behind what ``into`` holds already."""
    begin = into.tell()
    for piece in data:
        into.write(piece)
    into.flush()
    return FileSlice(descriptor=into.fileno(), offset=begin, length=into.tell() - begin)


def _nameless(beside: BinaryIO) -> BinaryIO:
    """A file that nobody else sees and that is gone when it is closed, by a crash as well."""
    return cast(BinaryIO, tempfile.TemporaryFile(dir=os.path.dirname(beside.name)))


def _data_set(file: BinaryIO, instance: Sendable) -> FileSlice:
    """Where the data set is in the stored file."""
    descriptor = file.fileno()
    offset = part10.usual_offset(descriptor, instance.sop_class, instance.sop_instance, instance.transfer_syntax)
    if offset is None:
        meta = part10.read_meta(file)
        if (meta.sop_instance, meta.transfer_syntax) != (instance.sop_instance, instance.transfer_syntax):
            raise DamageError("the stored file is of another instance or transfer syntax than the catalog says")
        offset = meta.dataset_offset
    return FileSlice(descriptor=descriptor, offset=offset, length=os.fstat(descriptor).st_size - offset)
