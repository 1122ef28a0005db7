"""Data sets: headers, files' heads, queries, what is written anew, compressed frames."""

from __future__ import annotations

import atexit
import io
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

from harness import Harness, Input

from kuva_gateway.catalog import search
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.visibility import EVERYTHING
from kuva_gateway.decoding import codestream, fragments
from kuva_gateway.decoding.image import DecodingError, Image, read_image
from kuva_gateway.dicom import charsets, names, part10, statuses
from kuva_gateway.dicom.amending import AmendingError, Piece, Range, amend
from kuva_gateway.dicom.amendments import Amendment
from kuva_gateway.dicom.deflated import Inflating, deflated, inflated
from kuva_gateway.dicom.elements import Elements
from kuva_gateway.dicom.encoding import Encoding
from kuva_gateway.dicom.header import Header, HeaderError, from_json, from_plain, to_json, to_plain
from kuva_gateway.dicom.identifier import IdentifierError, check_hierarchy, read_identifier, read_match, retrieval_keys
from kuva_gateway.dicom.information_model import MODELS, Negotiated
from kuva_gateway.dicom.key_objects import read_note
from kuva_gateway.dicom.reencoding import ReencodingError, reencode
from kuva_gateway.dicom.scanner import Incomplete, TruncatedError, scan, scan_early, scan_stream

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.70"
SYNTAXES = (EXPLICIT, IMPLICIT, BIG, DEFLATED, JPEG)
CT, STUDY = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
UNDEFINED = 0xFFFFFFFF
WORDS = (
    *(b"\xff\xff\xff\xff", b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\x08\0\x05\0", b"SQ\0\0"),
    *(b"UN\0\0", b"OB\0\0", b"UI", b"PN", b"\x10\0\x10\0", b"\x08\0\x32\x10", b"\x40\0\x75\x02", b"\0\x54\0\x01"),
    *(b"ISO_IR 192", b"\\ISO 2022 IR 87", b"\x1b$B", b"\x1b(B", b"\xe0\x7f\x10\0"),
)


# -- data sets to begin with ------------------------------------------------------------------------------------------


class Writer:
    """Elements as bytes, in one of the three ways of PS3.5 7.1."""

    def __init__(self, syntax: str) -> None:
        self.implicit = syntax == IMPLICIT
        self.order = ">" if syntax == BIG else "<"

    def element(self, tag: int, vr: str, value: bytes | str, length: int | None = None) -> bytes:
        value = value.encode() if isinstance(value, str) else value
        value += (b"\0" if vr in ("UI", "OB", "UN") else b" ") * (len(value) % 2)
        length = len(value) if length is None else length
        head = struct.pack(self.order + "HH", tag >> 16, tag & 0xFFFF)
        if self.implicit:
            return head + struct.pack(self.order + "L", length) + value
        if vr in ("OB", "OW", "SQ", "UN", "UT"):
            return head + vr.encode() + b"\0\0" + struct.pack(self.order + "L", length) + value
        return head + vr.encode() + struct.pack(self.order + "H", length) + value

    def mark(self, number: int, length: int = 0) -> bytes:
        return struct.pack(self.order + "HHL", 0xFFFE, number, length)

    def sequence(self, tag: int, *items: bytes, undefined: bool = False) -> bytes:
        if undefined:
            inside = b"".join(self.mark(0xE000, UNDEFINED) + one + self.mark(0xE00D) for one in items)
            return self.element(tag, "SQ", inside + self.mark(0xE0DD), UNDEFINED)
        return self.element(tag, "SQ", b"".join(self.mark(0xE000, len(one)) + one for one in items))


def image(syntax: str, *, undefined: bool = False) -> bytes:
    """A data set with something of everything that is read."""
    w = Writer(syntax)
    code = w.element(0x00080100, "SH", "GD1AA") + w.element(0x00080102, "SH", "99THL")
    return b"".join(
        (
            w.element(0x00080005, "CS", "ISO_IR 192"),
            w.element(0x00080016, "UI", CT),
            w.element(0x00080018, "UI", "1.2.3.4.5"),
            w.element(0x00080020, "DA", "20240304"),
            w.element(0x00080050, "SH", "A1"),
            w.sequence(0x00080051, w.element(0x00400032, "UT", "1.2.3"), undefined=undefined),
            w.element(0x00080060, "CS", "CT"),
            w.sequence(0x00081032, code, undefined=undefined),
            w.sequence(0x00081115, w.element(0x0020000E, "UI", "1.2"), undefined=not undefined),
            w.element(0x00090010, "LO", "MAKER") + w.element(0x00091001, "UN", bytes(range(20))),
            w.element(0x00100010, "PN", "Mäkelä^Anna=山田^太郎"),
            w.element(0x00100020, "LO", "010594Y9032"),
            w.element(0x0020000D, "UI", STUDY) + w.element(0x0020000E, "UI", "1.2.3.4.1"),
            w.element(0x00200013, "IS", "7"),
            w.element(0x00280008, "IS", "1"),
            w.element(0x00280010, "US", struct.pack(w.order + "H", 2)),
            w.element(0x00280100, "US", struct.pack(w.order + "H", 16)),
            w.element(0x00280103, "US", struct.pack(w.order + "H", 0)),
            w.sequence(0x00400275, w.element(0x00401001, "SH", "R1") + w.sequence(0x00321064, code)),
            w.element(0x7FE00010, "OW", bytes(range(8))),
        )
    )


def _images() -> Iterator[bytes]:
    for number, syntax in enumerate((EXPLICIT, IMPLICIT, BIG)):
        for undefined in (False, True):
            yield bytes([number]) + image(syntax, undefined=undefined)


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


# -- headers ----------------------------------------------------------------------------------------------------------


def check_header(data: bytes) -> None:
    """A header, HeaderError or a wish for more; out of memory and out of a file the same; kept and read again equal."""
    choices = Input(data)
    syntax = SYNTAXES[choices.number(len(SYNTAXES))]
    body = _deflate(choices.rest) if syntax == DEFLATED and choices.number(2) else choices.rest
    whole = _scanned(lambda: scan(body, syntax, whole=True))
    streamed = _scanned(lambda: scan_stream(io.BytesIO(b"head" + body), 4, len(body), syntax))
    assert whole == streamed
    for count in (len(body) // 2, len(body)):
        _scanned(lambda count=count: scan(body[:count], syntax, whole=False))
        try:
            early, ends_at = scan_early(body[:count], syntax)
        except (HeaderError, Incomplete):
            continue
        assert -1 <= ends_at <= len(body) + (1 << 32) + 12
        assert whole == early
        assert (ends_at > len(body)) == (_outcome(body, syntax) is TruncatedError)
    if whole is not None:
        assert from_json(to_json(whole)) == whole
        assert from_plain(to_plain(whole)) == whole
        assert "\\u0000" not in to_json(whole)
        names.name_keys(whole.patient_name)
        names.moment_key(whole.study_date, whole.study_time)


def _scanned(scanning: object) -> Header | None:
    try:
        return scanning()  # type: ignore[operator]
    except TruncatedError as truncated:
        return truncated.header
    except (HeaderError, Incomplete):
        return None


def _outcome(body: bytes, syntax: str) -> type[Exception] | None:
    try:
        scan(body, syntax, whole=True)
    except HeaderError as error:
        return type(error)
    return None


def _header_seeds() -> Iterator[bytes]:
    yield from _images()
    yield b"\3\0" + _deflate(image(EXPLICIT))
    yield b"\3\1" + image(EXPLICIT, undefined=True)
    w = Writer(EXPLICIT)
    pixels = w.mark(0xE000) + w.mark(0xE000, 4) + b"abcd" + w.mark(0xE0DD)
    yield b"\4" + image(EXPLICIT)[:-20] + w.element(0x7FE00010, "OB", pixels, UNDEFINED)
    waves = w.element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.9.1.1")
    yield b"\0" + waves + w.sequence(0x54000100, w.element(0x54001010, "OW", b"abcd"))
    unknown = Writer(IMPLICIT).element(0x00080100, "SH", "X")
    yield b"\0" + w.element(0x00091001, "UN", w.mark(0xE000, len(unknown)) + unknown + w.mark(0xE0DD), UNDEFINED)


# -- files' heads -----------------------------------------------------------------------------------------------------


def check_part10(data: bytes) -> None:
    """Meta information or HeaderError; the data set begins inside the file; what we write we read."""
    try:
        meta = part10.read_meta(io.BytesIO(bytes(128) + b"DICM" + data))
    except HeaderError:
        return
    assert 132 <= meta.dataset_offset <= 132 + len(data)
    try:
        written = part10.preamble_and_meta(meta.sop_class, meta.sop_instance, meta.transfer_syntax)
    except (HeaderError, struct.error):  # struct: a UID of more than 64 KiB, which nobody gets as far as writing
        return
    again = part10.read_meta(io.BytesIO(written + data))
    said = meta.sop_class, meta.sop_instance, meta.transfer_syntax
    assert (again.sop_class, again.sop_instance, again.transfer_syntax) == said
    if data[:2] != b"\x02\x00":
        assert again.dataset_offset == len(written)


def _part10_seeds() -> Iterator[bytes]:
    yield part10.preamble_and_meta(CT, "1.2.3", EXPLICIT)[132:] + image(EXPLICIT)[:40]
    w = Writer(EXPLICIT)
    yield w.element(0x00020010, "UI", IMPLICIT) + w.element(0x00020100, "UI", "1.2") + w.element(0x00020102, "OB", b"x")


# -- queries ----------------------------------------------------------------------------------------------------------


def check_identifier(data: bytes) -> None:
    """An identifier is understood or refused with a status; what is understood can be looked for in a catalog."""
    choices = Input(data)
    model = sorted(MODELS)[choices.number(len(MODELS))]
    flags = choices.number(8)
    syntax = SYNTAXES[choices.number(3)]
    negotiated = Negotiated(relational=bool(flags & 1), combined_date_time=bool(flags & 2))
    try:
        read_match(choices.rest, syntax)
        identifier = read_identifier(choices.rest, syntax, model)
        retrieval = _retrieval(identifier, negotiated)
        assert all(retrieval.values()) or retrieval.keys() - {identifier.level}
        check_hierarchy(identifier, lenient=bool(flags & 4), negotiated=negotiated)
        prepared = search.prepare(identifier, EVERYTHING, accents=bool(flags & 4), negotiated=negotiated)
        prepared._statement(True)
        assert list(prepared.pages(_catalog(), 5)) == [[]]
    except IdentifierError as refused:
        assert refused.status in (0x0122, 0xA900, 0xC000), f"{refused.status:04X}"
        assert statuses.comment(refused.comment)


def _retrieval(identifier: object, negotiated: Negotiated) -> dict[object, tuple[str, ...]]:
    try:
        return retrieval_keys(identifier, lenient=True, negotiated=negotiated)  # type: ignore[arg-type, return-value]
    except IdentifierError as refused:
        assert refused.status == 0xA900
        return {}


@cache
def _catalog() -> Catalog:
    folder = tempfile.TemporaryDirectory(prefix="fuzz-")
    catalog = Catalog.open(None, Path(folder.name) / "catalog.sqlite3")
    atexit.register(lambda: (catalog.close(), folder.cleanup()))
    return catalog


_KEYS = (
    (
        *((0x00080020, "DA", "20240101-20241231"), (0x00080030, "TM", "10-12"), (0x00080052, "CS", "STUDY")),
        (0x00100010, "PN", "Mäk*^A?na"),
    ),
    (
        *((0x00080005, "CS", "ISO_IR 192"), (0x00080052, "CS", "SERIES")),
        *((0x0020000D, "UI", "1.2.3\\1.2.4"), (0x0020000E, "UI", "")),
    ),
    ((0x00080052, "CS", "PATIENT"), (0x00100020, "LO", '"%_\\*')),
)


def _identifier_seeds() -> Iterator[bytes]:
    for number, syntax in enumerate((EXPLICIT, IMPLICIT, BIG)):
        w = Writer(syntax)
        for model in range(4):
            for flags in (model, 7):
                start = bytes([model, flags, number])
                for keys in _KEYS:
                    yield start + b"".join(w.element(tag, vr, value) for tag, vr, value in keys)
                yield (
                    start
                    + w.element(0x00080052, "CS", "SERIES")
                    + w.sequence(0x00400275, w.element(0x00401001, "SH", "R*"))
                )


# -- data sets written anew -------------------------------------------------------------------------------------------


def check_amending(data: bytes) -> None:
    """An amended data set says what the amendment says, and all else as before."""
    choices = Input(data)
    syntax, which = SYNTAXES[choices.number(3)], choices.number(3)
    body = choices.rest
    before = _scanned(lambda: scan(body, syntax, whole=True))
    try:
        pieces = amend(_reader(body), AMENDMENTS[which:], before.character_set if before else (), Encoding.of(syntax))
    except AmendingError:
        return
    made = _joined(body, pieces)
    after = _scanned(lambda: scan(made, syntax, whole=True))
    if before is None or after is None or not _in_order(body, syntax):
        return
    assert after.patient_id == "4711"
    assert (after.modality, after.sop_class_uid, after.study_instance_uid) == (
        before.modality, before.sop_class_uid, before.study_instance_uid,
    )  # fmt: skip


_AT = datetime(2026, 1, 2, tzinfo=UTC)
AMENDMENTS = (
    Amendment(changes={"PatientName": "Öhman^Åke", "ProcedureCodeSequence": ()}, origin="person", by="x", at=_AT),
    Amendment(
        changes={"IssuerOfPatientIDQualifiersSequence": ({"UniversalEntityID": "1.2"},)}, origin="link", by="x", at=_AT
    ),
    Amendment(changes={"PatientID": "4711"}, origin="person", by="x", at=_AT, reason="CORRECT"),
)


def _in_order(data: bytes, syntax: str) -> bool:
    """Whether the elements stand in the order of their tags: in others it is not told which of them count."""
    encoding = Encoding.of(syntax)
    elements = Elements(_reader(data), implicit=encoding.implicit, big_endian=encoding.big_endian)  # type: ignore[arg-type]
    try:
        tags = [one.tag for one in elements.until(UNDEFINED)]
    except HeaderError:
        return False
    return all(one < two for one, two in pairwise(tags))


def _reader(data: bytes) -> object:
    def read(position: int, count: int) -> bytes:
        assert position >= 0 <= count
        return data[position : position + count]

    return read


def _joined(data: bytes, pieces: list[Piece]) -> bytes:
    position, made = 0, b""
    for piece in pieces:
        if isinstance(piece, Range):
            assert position <= piece.start <= (len(data) if piece.end is None else piece.end)
            made += data[piece.start : piece.end]
            position = piece.end or 0
        else:
            made += piece
    return made


def check_reencoding(data: bytes) -> None:
    """A data set in another syntax has the same header; written back and forth it stays as it is."""
    choices = Input(data)
    source = SYNTAXES[choices.number(3)]
    target = (EXPLICIT, IMPLICIT)[choices.number(2)]
    made = _reencoded(choices.rest, source, target)
    if made is None:
        return
    before = _scanned(lambda: scan(choices.rest, source, whole=True))
    after = _scanned(lambda: scan(made, target, whole=True))
    if before is not None and after is not None and _in_order(choices.rest, source):
        assert (before.patient_name, before.patient_id) == (after.patient_name, after.patient_id)
        assert (before.rows, before.procedure_codes) == (after.rows, after.procedure_codes)
    again = _reencoded(made, target, target)
    assert again is None or again == made


def _reencoded(data: bytes, source: str, target: str) -> bytes | None:
    try:
        pieces = list(reencode(_reader(data), Encoding.of(source), Encoding.of(target)))  # type: ignore[arg-type]
    except (ReencodingError, HeaderError):
        return None
    made = b""
    for piece in pieces:
        if isinstance(piece, Range) and piece.end is not None and piece.end > len(data):
            return None  # whoever sends it finds that out: the data set is cut off
        made += data[piece.start : piece.end] if isinstance(piece, Range) else piece
    return made


def check_deflated(data: bytes) -> None:
    """A deflated data set is read as it inflates, and written again."""
    choices = Input(data)
    body = choices.rest if choices.number(2) else _deflate(choices.rest)
    reading = Inflating(io.BytesIO(body), 0, len(body))
    try:
        inside = b"".join(inflated(reading.read, [Range(0, None)]))
    except HeaderError:
        return
    packed = b"".join(deflated([inside]))
    assert len(packed) % 2 == 0
    assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed) == inside


def check_note(data: bytes) -> None:
    """The references of a rejection note, or HeaderError."""
    try:
        note = read_note(io.BytesIO(data), len(data), "113001")
    except HeaderError:
        return
    assert all(one.study and one.sop_instance for one in note.references)


def _note_seeds() -> Iterator[bytes]:
    w = Writer(EXPLICIT)
    instance = w.element(0x00081150, "UI", CT) + w.element(0x00081155, "UI", "1.2.3.4.5")
    for undefined in (False, True):
        series = w.sequence(0x00081199, instance, instance, undefined=undefined) + w.element(0x0020000E, "UI", "1.2.9")
        study = w.sequence(0x00081115, series, undefined=undefined) + w.element(0x0020000D, "UI", STUDY)
        head = part10.preamble_and_meta("1.2.840.10008.5.1.4.1.1.88.59", "1.2.3", EXPLICIT)
        yield head + w.element(0x00080018, "UI", "1.2.3") + w.sequence(0x0040A375, study, undefined=undefined)


# -- text -------------------------------------------------------------------------------------------------------------

_SETS = (
    *((), ("ISO_IR 100",), ("ISO_IR 192",), ("GB18030",), ("", "ISO 2022 IR 87"), ("", "ISO 2022 IR 149")),
    *(("ISO 2022 IR 6", "ISO 2022 IR 100", "ISO 2022 IR 144"), ("ISO_IR 13", "ISO 2022 IR 159"), ("nonsense",)),
)


def check_text(data: bytes) -> None:
    """Any bytes in any character set are a text, which can be compared, and written where the set has its letters."""
    choices = Input(data)
    number = choices.number(len(_SETS) + 1)
    if number < len(_SETS):
        named, value = _SETS[number], choices.rest
    else:
        term, _, value = choices.rest.partition(b"\n")
        named = tuple(charsets.code_string(term).split("\\"))
    codecs = charsets.codecs_of(named)
    assert codecs
    for read in (charsets.text(value, codecs), charsets.person_name(value, codecs), charsets.number_string(value)):
        assert "\0" not in read
        names.name_keys(read)
        names.fold(read)
        names.date_key(read)
        assert len(names.time_key(read)) in (0, 12)
        if "\x1b" not in read and charsets.writable(read, named):
            written, set_named = charsets.encode(read, named)
            assert charsets.decode(written, charsets.codecs_of(set_named)) == read
        term, codec = charsets.choose_set([read], named)
        assert read.encode(codec).decode(codec) == read


def _text_seeds() -> Iterator[bytes]:
    yield b"\0Virtanen^Anna^^Dr "
    yield b"\1" + "Mäkelä^Åke".encode("latin-1")
    yield b"\2" + "Mäkelä=山田^太郎=やまだ\\Two".encode()
    yield b"\3" + "张^小东".encode("gb18030")
    yield b"\4Yamada^Tarou=" + "山田^太郎".encode("iso2022_jp")
    yield b"\5Hong=\x1b$)C" + "洪^吉洞".encode("euc_kr")
    yield b"\6A\x1b-L" + "Ж".encode("iso8859-5") + b"\x1b-A\xe4"
    yield b"\x09ISO_IR 101\\ISO 2022 IR 58\nabc\x1b$)A\xb0\xa1"


# -- compressed frames ------------------------------------------------------------------------------------------------

_FRAME_SYNTAXES = ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80")


def check_frames(data: bytes) -> None:
    """What describes compressed pixels, their fragments, and a frame's own words: told, or DecodingError."""
    choices = Input(data)
    which = choices.number(3)
    if which == 0:
        _check_image(choices.rest)
    elif which == 1:
        _check_fragments(choices.rest, 1 + choices.number(4))
    else:
        syntax, samples = _FRAME_SYNTAXES[choices.number(4)], (1, 3)[choices.number(2)]
        made = Image(syntax=syntax, rows=16, columns=16, samples=samples, allocated=16, signed=False,
                     photometric=("MONOCHROME2", "RGB")[samples == 3], frames=1)  # fmt: skip
        try:
            stream = codestream.look(made, choices.rest)
        except DecodingError:
            return
        assert (stream.rows, stream.columns, stream.samples) == (16, 16, samples)
        codestream.photometric_of(made, stream)


def _check_image(data: bytes) -> None:
    try:
        made, layout, _lossy = read_image(_reader(data), _FRAME_SYNTAXES[0])  # type: ignore[arg-type]
    except (DecodingError, HeaderError):
        return
    assert 0 < made.pixel_bytes <= 0xFFFFFFFE
    assert 0 < layout.pixels.value <= layout.pixels.end <= len(data)
    assert all(0 <= place <= len(data) for place in layout.places.values())


def _check_fragments(data: bytes, frames: int) -> None:
    descriptor = os.memfd_create("fragments", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, data)
        found = fragments.find_fragments(descriptor, 0, len(data))
        for stretches in fragments.frames_of(found, frames):
            assert all(0 <= offset <= offset + size <= len(data) for offset, size in stretches)
            fragments.read_frame(descriptor, stretches)
    except DecodingError:
        pass
    finally:
        os.close(descriptor)


def _frame_seeds() -> Iterator[bytes]:
    w = Writer(EXPLICIT)
    pixels = w.mark(0xE000, 8) + struct.pack("<LL", 0, 12) + w.mark(0xE000, 4) + b"abcd" + w.mark(0xE000, 2) + b"ef"
    numbers = ((0x00280002, 1), (0x00280010, 16), (0x00280011, 16), (0x00280100, 16), (0x00280103, 0))
    described = {tag: w.element(tag, "US", struct.pack("<H", number)) for tag, number in numbers}
    described[0x00280004] = w.element(0x00280004, "CS", "MONOCHROME2")
    described[0x00280008] = w.element(0x00280008, "IS", "2")
    described[0x7FE00010] = w.element(0x7FE00010, "OB", pixels + w.mark(0xE0DD), UNDEFINED)
    yield b"\0" + b"".join(described[tag] for tag in sorted(described))
    yield b"\1\1" + pixels + w.mark(0xE0DD)
    for samples in (1, 3):
        parts = b"".join(bytes([number + 1, 0x11, 0]) for number in range(samples))
        frame = struct.pack(">BHHB", 12, 16, 16, samples) + parts
        for marker in (0xC3, 0xF7):
            scan_header = bytes([samples]) + b"".join(bytes([number + 1, 0]) for number in range(samples)) + b"\1\0\0"
            jpeg = b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0" + b"\xff" + bytes([marker])
            jpeg += struct.pack(">H", len(frame) + 2) + frame + b"\xff\xda" + struct.pack(">H", len(scan_header) + 2)
            yield bytes([2, 3 if marker == 0xF7 else 0, samples == 3]) + jpeg + scan_header + b"pixels\xff\xd9"
        siz = struct.pack(">H8I", 0, 16, 16, 0, 0, 16, 16, 0, 0) + struct.pack(">H", samples) + b"\x0b\1\1" * samples
        cod = b"\0\0\0\1" + bytes([samples == 3]) + b"\x05\4\4\0\1"
        codes = b"\xff\x4f\xff\x51" + struct.pack(">H", len(siz) + 2) + siz
        yield bytes([2, 1, samples == 3]) + codes + b"\xff\x52" + struct.pack(">H", len(cod) + 2) + cod + b"\xff\x90"
    yield b"\2\2\0" + struct.pack("<16L", 2, 64, 66, *[0] * 13) + b"\0a\0b"


HARNESSES = (
    Harness(
        name="headers",
        of="data sets: implicit, explicit, big endian, deflated, encapsulated",
        check=check_header,
        seeds=_header_seeds,
        words=WORDS,
    ),
    Harness(
        name="part10",
        of="heads of Part 10 files",
        check=check_part10,
        seeds=_part10_seeds,
        longest=1024,
        words=(b"\x02\0\x10\0UI", b"\x02\0\0\0UL\4\0", b"OB\0\0"),
    ),
    Harness(
        name="identifiers",
        of="identifiers of queries, up to the catalog's answer",
        check=check_identifier,
        seeds=_identifier_seeds,
        longest=1024,
        words=(*WORDS, b"\x08\0\x52\0CS", b"PATIENT ", b"STUDY ", b"SERIES", b"IMAGE ", b"*", b"?", b"\\", b"-"),
    ),
    Harness(name="amending", of="data sets that are amended", check=check_amending, seeds=_images, words=WORDS),
    Harness(
        name="reencoding",
        of="data sets that are written in another syntax",
        check=check_reencoding,
        seeds=lambda: (one[:1] + bytes([two]) + one[1:] for one in _images() for two in (0, 1)),
        words=WORDS,
    ),
    Harness(
        name="deflated",
        of="deflated data sets, read as they inflate",
        check=check_deflated,
        seeds=lambda: [b"\0" + image(EXPLICIT), b"\1" + _deflate(image(EXPLICIT) * 9), b"\1" + _deflate(bytes(99999))],
    ),
    Harness(name="notes", of="rejection notes", check=check_note, seeds=_note_seeds, words=WORDS),
    Harness(
        name="texts",
        of="character sets, names, dates and times",
        check=check_text,
        seeds=_text_seeds,
        longest=256,
        words=(*WORDS[-6:], b"\x1b$)C", b"\x1b-L", b"=", b"^", b"\\"),
    ),
    Harness(
        name="frames",
        of="compressed pixels: description, fragments, frames' own words",
        check=check_frames,
        seeds=_frame_seeds,
        longest=1024,
        words=(*WORDS[:4], b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xc3", b"\xff\x4f\xff\x51", b"\xff\x52"),
    ),
)
