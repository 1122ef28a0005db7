"""What the scanner does with data sets built by hand, byte by byte."""

from __future__ import annotations

import io
import struct
import threading
import zlib

import pytest

from kuva_gateway.dicom import fallback, scanner
from kuva_gateway.dicom.header import CodeItem, Header, HeaderError
from kuva_gateway.dicom.scanner import Incomplete, TruncatedError, scan, scan_stream

IMPLICIT, EXPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{tail}" for tail in ("", ".1", ".2", ".1.99"))
UNDEFINED = 0xFFFFFFFF
LONG = ("OB", "OW", "SQ", "UN", "UT", "UC")
CT = b"1.2.840.10008.5.1.4.1.1.2\0"
ECG = b"1.2.840.10008.5.1.4.1.1.9.1.1\0"


def element(tag: int, vr: str, value: bytes, *, length: int | None = None, order: str = "<") -> bytes:
    """One element with a VR; ``length`` is what it claims."""
    claimed = len(value) if length is None else length
    start = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    return start + (struct.pack(order + "HI", 0, claimed) if vr in LONG else struct.pack(order + "H", claimed)) + value


def implicit(tag: int, value: bytes, *, length: int | None = None) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(content: bytes, *, ended: bool = False) -> bytes:
    if ended:
        return implicit(0xFFFEE000, content, length=UNDEFINED) + implicit(0xFFFEE00D, b"")
    return implicit(0xFFFEE000, content)


SEQUENCE_END = implicit(0xFFFEE0DD, b"")
SOP_CLASS = element(0x00080016, "UI", CT)
MODALITY = element(0x00080060, "CS", b"CT")
PATIENT = element(0x00100020, "LO", b"4711")
PIXELS = element(0x7FE00010, "OW", b"\1\2\3\4")


def code(value: bytes) -> bytes:
    return element(0x00080100, "SH", value) + element(0x00080102, "SH", b"THL ") + element(0x00080104, "LO", b"x ")


@pytest.fixture
def no_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """pydicom is not to be asked."""

    def refuse(*_arguments: object, **_options: object) -> None:
        pytest.fail("the scanner was unsure")

    monkeypatch.setattr(scanner, "read_with_pydicom", refuse)


def both(data: bytes, syntax: str = EXPLICIT) -> Header:
    header = scan(data, syntax, whole=True)
    assert scan_stream(io.BytesIO(b"abc" + data), 3, len(data), syntax) == header
    assert scan(memoryview(data), syntax, whole=True) == header
    return header


@pytest.mark.parametrize("ended_items", [False, True])
@pytest.mark.parametrize("length", [None, UNDEFINED])
@pytest.mark.usefixtures("no_fallback")
def test_code_sequences_are_read_in_every_form(length: int | None, ended_items: bool) -> None:
    items = item(code(b"AA1AD "), ended=ended_items) + item(code(b"GD1AA "), ended=ended_items)
    end = SEQUENCE_END if length else b""
    header = both(SOP_CLASS + element(0x00081032, "SQ", items, length=length) + end + PATIENT + PIXELS)
    assert [one.value for one in header.procedure_codes] == ["AA1AD", "GD1AA"]
    assert header.procedure_codes[0] == CodeItem(value="AA1AD", scheme="THL", meaning="x")
    assert header.patient_id == "4711"


@pytest.mark.usefixtures("no_fallback")
def test_unwanted_sequences_of_undefined_length_are_walked_to_their_end() -> None:
    inner = element(0x0040A730, "SQ", item(PATIENT, ended=True), length=UNDEFINED) + SEQUENCE_END
    outer = (
        element(0x00081115, "SQ", item(inner + PATIENT, ended=True) + item(PATIENT), length=UNDEFINED) + SEQUENCE_END
    )
    header = both(outer + MODALITY + PIXELS)
    assert header == Header(modality="CT", transfer_syntax_uid=EXPLICIT)


@pytest.mark.usefixtures("no_fallback")
def test_un_of_undefined_length_holds_implicit_items() -> None:
    content = implicit(0x00091002, b"abcd") + implicit(0x00091003, item(b""), length=UNDEFINED) + SEQUENCE_END
    private = element(0x00091001, "UN", item(content, ended=True), length=UNDEFINED) + SEQUENCE_END
    assert both(SOP_CLASS + private + PATIENT).patient_id == "4711"


@pytest.mark.usefixtures("no_fallback")
def test_encapsulated_pixels_of_an_icon_are_passed_over() -> None:
    fragments = item(b"") + item(b"\xfe\xff\xdd\xe0" * 300)
    icon = element(0x7FE00010, "OB", fragments, length=UNDEFINED) + SEQUENCE_END
    sequence = element(0x00080200, "SQ", item(element(0x00280010, "US", b"\7\0") + icon, ended=True), length=UNDEFINED)
    header = both(SOP_CLASS + sequence + SEQUENCE_END + element(0x00280010, "US", b"\2\1"))
    assert header.rows == 0x0102


def test_group_lengths_and_trailing_padding_are_no_matter() -> None:
    data = element(0x00080000, "UL", b"\0\0\0\0") + SOP_CLASS + PATIENT + element(0xFFFCFFFC, "OB", bytes(64))
    assert both(data).patient_id == "4711"
    assert both(SOP_CLASS + PATIENT + bytes(6)).patient_id == "4711"


def test_an_item_has_its_own_character_set_or_its_parents() -> None:
    own = element(0x00080005, "CS", b"ISO_IR 192") + element(0x00080104, "LO", "Pään TT ".encode())
    inherited = element(0x00080104, "LO", "Pään TT ".encode("latin-1"))
    data = element(0x00080005, "CS", b"ISO_IR 100") + element(0x00081032, "SQ", item(own) + item(inherited))
    assert [one.meaning for one in both(data).procedure_codes] == ["Pään TT", "Pään TT"]


def test_waveforms_are_counted_when_they_have_data() -> None:
    filled = element(0x54001010, "OW", bytes(200_000))
    empty = element(0x54001010, "OW", b"")
    data = element(0x00080016, "UI", ECG) + element(0x54000100, "SQ", item(filled) + item(empty) + item(filled))
    assert both(data).waveform_items == 2


def test_standard_classes_without_waveforms_are_not_walked_as_far_as_to_them() -> None:
    behind = element(0x00431001, "LO", b"x ") + element(0x54000100, "OB", b"", length=0x7FFFFFFF)
    assert scan(SOP_CLASS + PATIENT + behind, EXPLICIT, whole=True).patient_id == "4711"
    with pytest.raises(HeaderError):
        scan(element(0x00080016, "UI", ECG) + PATIENT + behind, EXPLICIT, whole=True)


def test_requested_codes_are_those_at_the_top_and_in_the_requests() -> None:
    top = element(0x00321064, "SQ", item(code(b"AA1AD ")))
    request = element(0x00321064, "SQ", item(code(b"GD1AA ")))
    data = top + element(0x00400275, "SQ", item(request) + item(b"") + item(request))
    assert [one.value for one in both(data).requested_procedure_codes] == ["AA1AD", "GD1AA", "GD1AA"]


def test_a_document_shows_its_first_bytes_only() -> None:
    data = element(0x00420011, "OB", b"%PDF-1.7" + bytes(1_000_000)) + element(0x00420012, "LO", b"application/pdf ")
    header = both(data)
    assert (header.document_starts, header.mime_type) == ("%PDF-", "application/pdf")


def test_the_issuer_of_an_accession_number_is_the_universal_one_if_there_is_one() -> None:
    local, universal = element(0x00400031, "UT", b"RIS "), element(0x00400032, "UT", b"1.2.246.10 ")
    assert both(element(0x00080051, "SQ", item(local))).accession_issuer == "RIS"
    assert both(element(0x00080051, "SQ", item(local + universal))).accession_issuer == "1.2.246.10"


def test_a_data_set_without_identifiers_has_an_empty_header() -> None:
    assert both(b"") == Header(transfer_syntax_uid=EXPLICIT)
    assert both(MODALITY + PIXELS) == Header(transfer_syntax_uid=EXPLICIT, modality="CT")


def test_big_endian_numbers_are_read_as_such() -> None:
    data = element(0x00080016, "UI", CT, order=">") + element(0x00280010, "US", b"\1\2", order=">")
    assert both(data, BIG).rows == 0x0102


def test_a_data_set_in_another_syntax_than_it_claims_is_read_all_the_same() -> None:
    assert both(implicit(0x00080016, CT) + implicit(0x00100020, b"4711"), EXPLICIT).patient_id == "4711"
    assert both(SOP_CLASS + PATIENT, IMPLICIT).patient_id == "4711"


def test_an_unknown_value_representation_is_read_with_pydicom() -> None:
    assert both(SOP_CLASS + element(0x00091001, "ZZ", b"abcd") + PATIENT).patient_id == "4711"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(SOP_CLASS + element(0x00100020, "LO", b"4711", length=6), id="value"),
        pytest.param(SOP_CLASS + element(0x00091001, "OB", b"4711", length=0x7FFFFFFF), id="long value"),
        pytest.param(SOP_CLASS + PATIENT[:5], id="element header"),
        pytest.param(SOP_CLASS + element(0x00081032, "SQ", item(code(b"AA1AD "))[:-3]), id="item"),
        pytest.param(SOP_CLASS + element(0x00081032, "SQ", item(code(b"AA1AD ")), length=2000), id="sequence"),
        pytest.param(SOP_CLASS + element(0x00081032, "SQ", item(b""), length=UNDEFINED), id="no sequence end"),
        pytest.param(
            SOP_CLASS + element(0x00081032, "SQ", implicit(0xFFFEE000, b"", length=UNDEFINED)), id="no item end"
        ),
        pytest.param(SOP_CLASS + element(0x00081032, "SQ", implicit(0xFFFEE000, MODALITY, length=4)), id="short item"),
        pytest.param(SOP_CLASS + element(0x00081032, "SQ", PATIENT), id="no items"),
        pytest.param(SOP_CLASS + element(0x00091001, "ZZ", b"abcd", length=9000), id="unknown VR"),
        pytest.param(element(0x00100020, "UT", b"4" * 70_000), id="endless patient ID"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", id="another protocol"),
        pytest.param(b"\xff" * 64, id="ones"),
        pytest.param(element(0x00081032, "SQ", item(b"") * 5000), id="too many items"),
    ],
)
def test_what_contradicts_itself_is_a_header_error(data: bytes) -> None:
    with pytest.raises(HeaderError):
        scan(data, EXPLICIT, whole=True)
    with pytest.raises(HeaderError):
        scan_stream(io.BytesIO(data), 0, len(data), EXPLICIT)


def test_pixels_that_are_cut_off_are_told_with_the_header_that_was_read() -> None:
    data = SOP_CLASS + PATIENT + element(0x7FE00010, "OW", bytes(10), length=1000)
    for attempt in (
        lambda: scan(data, EXPLICIT, whole=True),
        lambda: scan(data[:-4], EXPLICIT, whole=False, size=len(data)),
        lambda: scan_stream(io.BytesIO(data), 0, len(data), EXPLICIT),
    ):
        with pytest.raises(TruncatedError) as caught:
            attempt()
        assert caught.value.header.patient_id == "4711"
    assert scan(data, EXPLICIT, whole=False).patient_id == "4711"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("depth", [100, 300, 5000])
@pytest.mark.parametrize("defined", [False, True])
@pytest.mark.parametrize("tag", [0x00081115, 0x00081032, 0x00091001])
def test_sequences_nested_too_deeply_are_a_header_error(syntax: str, depth: int, defined: bool, tag: int) -> None:
    data = _nested(syntax, depth, defined, tag)
    with pytest.raises(HeaderError):
        scan(data, syntax, whole=True)
    with pytest.raises(HeaderError):
        scan_stream(io.BytesIO(data), 0, len(data), syntax)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("defined", [False, True])
def test_sequences_nested_as_in_real_reports_are_fine(syntax: str, defined: bool) -> None:
    patient = PATIENT if syntax == EXPLICIT else implicit(0x00100020, b"4711")
    assert both(_nested(syntax, 40, defined, 0x00081115) + patient, syntax).patient_id == "4711"


def _nested(syntax: str, depth: int, defined: bool, tag: int) -> bytes:
    make = implicit if syntax == IMPLICIT else lambda tag, value, **rest: element(tag, "SQ", value, **rest)
    if not defined:
        one = make(tag, implicit(0xFFFEE000, b"", length=UNDEFINED), length=UNDEFINED)
        return one * depth + (implicit(0xFFFEE00D, b"") + SEQUENCE_END) * depth
    data = b""
    for _ in range(depth):
        data = make(tag, item(data))
    return data


def test_a_head_that_ends_early_asks_for_more() -> None:
    data = SOP_CLASS + element(0x00091001, "OB", bytes(1000)) + PATIENT + PIXELS
    for size in (0, 3, len(SOP_CLASS), 500):
        with pytest.raises(Incomplete):
            scan(data[:size], EXPLICIT, whole=False)
    assert scan(data[:-4], EXPLICIT, whole=False).patient_id == "4711"
    with pytest.raises(Incomplete):
        scan(data[: -len(PIXELS)], EXPLICIT, whole=False)


def test_long_values_of_a_file_are_not_read() -> None:
    class Counting(io.BytesIO):
        read_bytes = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            Counting.read_bytes += len(data)
            return data

    private = b"".join(element(0x00091000 + n, "OB", bytes(5_000_000)) for n in range(5))
    data = SOP_CLASS + private + PATIENT + PIXELS
    assert scan_stream(Counting(data), 0, len(data), EXPLICIT).patient_id == "4711"
    assert Counting.read_bytes < 1_000_000


def test_a_file_that_is_shorter_than_its_data_set_is_an_error() -> None:
    data = SOP_CLASS + PATIENT
    with pytest.raises(HeaderError):
        scan_stream(io.BytesIO(data[:-2]), 0, len(data), EXPLICIT)


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def test_a_deflated_data_set_is_inflated() -> None:
    data = deflate(SOP_CLASS + element(0x00091001, "OB", bytes(3_000_000)) + PATIENT + PIXELS)
    assert both(data, DEFLATED).patient_id == "4711"
    with pytest.raises(Incomplete):
        scan(data[: len(data) // 2], DEFLATED, whole=False)
    assert both(deflate(implicit(0x00080016, CT) + implicit(0x00100020, b"4711")), DEFLATED).patient_id == "4711"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(deflate(SOP_CLASS + PATIENT)[:-6], id="cut off"),
        pytest.param(b"\xff" + deflate(SOP_CLASS + PATIENT), id="damaged"),
        pytest.param(deflate(SOP_CLASS + element(0x00100020, "LO", b"4711", length=200)), id="short inside"),
        pytest.param(deflate(SOP_CLASS + element(0x00091001, "OB", b"4711", length=2_000_000)), id="far short inside"),
        pytest.param(deflate(SOP_CLASS + element(0x00091001, "OB", bytes(80 << 20)) + PATIENT), id="bomb"),
        pytest.param(
            deflate(element(0x00091001, "ZZ", b"") + element(0x00091002, "OB", bytes(30 << 20))), id="odd bomb"
        ),
    ],
)
def test_a_bad_deflated_data_set_is_a_header_error(data: bytes) -> None:
    with pytest.raises(HeaderError):
        scan(data, DEFLATED, whole=True)
    with pytest.raises(HeaderError):
        scan_stream(io.BytesIO(data), 0, len(data), DEFLATED)


def test_pydicom_may_read_only_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    data = element(0x00091001, "ZZ", b"ab") + b"".join(element(0x00091002, "OB", bytes(60_000)) for _ in range(5))
    assert both(data + PATIENT).patient_id == "4711"
    monkeypatch.setattr(fallback, "READ_LIMIT", 100_000)
    with pytest.raises(HeaderError):
        scan(data + PATIENT, EXPLICIT, whole=True)


def test_errors_do_not_tell_what_was_in_the_data_set() -> None:
    with pytest.raises(HeaderError) as caught:
        scan(element(0x00100020, "LO", b"131052-308T", length=200), EXPLICIT, whole=True)
    assert "131052" not in str(caught.value)


def test_nothing_of_the_data_set_before_comes_into_the_next() -> None:
    uid = element(0x00080018, "UI", b"1.2.3\0")
    number = element(0x00200013, "IS", b"7 ")
    codes = element(0x00081032, "SQ", item(code(b"AA1AD")))
    data_sets = [
        SOP_CLASS + uid + MODALITY + PATIENT + number + PIXELS,
        SOP_CLASS + uid + MODALITY + codes + PATIENT + PIXELS,
        SOP_CLASS + MODALITY + PATIENT + PIXELS,
        SOP_CLASS + uid + MODALITY + element(0x00100020, "LO", b"4712") + PIXELS,
    ]

    def fresh(data: bytes) -> Header:
        """Read by a thread that has read nothing before."""
        found: list[Header] = []
        thread = threading.Thread(target=lambda: found.append(both(data)))
        thread.start()
        thread.join()
        return found[0]

    alone = [fresh(data) for data in data_sets]
    assert len(set(alone)) == 4
    for first in range(4):
        for second in range(4):
            assert both(data_sets[first]) == alone[first]
            assert both(data_sets[second]) == alone[second]
