"""The importer against every form of the official distribution, made small by hand."""

from __future__ import annotations

import io
import json
import random
import zipfile
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuva_gateway.clinical.code_list import BadRow, CodeList, CodeListError, read_code_list
from kuva_gateway.clinical.codes import LABORATORY, PROCEDURES, CodePeriod, is_imaging

HEADER = (
    "CodeId;Abbreviation;ShortName;LongName;ParentId;HierarchyLevel;BeginningDate;ExpiringDate;Status;"
    "A:Korvaava koodi;A:Lehtisolmu;A:NakyvaKuva;A:Radiologia"
)
GOOD = "GD1AA;Thoraxin röntgen;Thoraxin röntgen;Thoraxin röntgen;GD_;3;01.01.1999;31.12.2030;1;;T;;T"
LAB_HEADER = (
    "CodeId;Abbreviation;ShortName;LongName;BeginningDate;ExpiringDate;LastModifiedDate;LastModifiedBy;Status;"
    "Description;OID;A:Erikoisala;A:Korvaava koodi;A:Långt_namn;A:Yksikkö;CreatedDate;ALONG:Beskrivning"
)
LAB_ROW = (
    "1270;EKG-12;EKG, 12;EKG, 12 kytkentää levossa;01.01.2004;31.12.2099;28.11.2024;X;1;;;F;;EKG;Lomake;26.01.2006;"
)


def read(*lines: str, encoding: str = "utf-8", newline: str = "\n") -> CodeList:
    return read_code_list("codes.csv", newline.join(lines).encode(encoding))


def only(listed: CodeList) -> CodePeriod:
    assert listed.bad == ()
    (period,) = listed.periods
    return period


def dated(begin: str, end: str) -> CodePeriod:
    return only(read(HEADER, f"GD1AA;;;x;;;{begin};{end};1;;;;T"))


def test_a_row_is_read_whole() -> None:
    row = "YX8AD;Lyhyt;Lyhyempi;Pitkä nimi;XX_;3.0;01.01.1999;31.01.2022;1.0;YA1AD,YL1AD;T;F;T"
    assert only(read(HEADER, row)) == CodePeriod(
        code="YX8AD",
        name="Pitkä nimi",
        abbreviation="Lyhyt",
        valid_from=date(1999, 1, 1),
        valid_to=date(2022, 1, 31),
        replaced_by=("YA1AD", "YL1AD"),
        radiology=True,
        visible_light=False,
        leaf=True,
        level=3,
        scheme=PROCEDURES,
    )


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_and_line_ends_are_told_apart(encoding: str, newline: str) -> None:
    period = only(read(HEADER, GOOD, "", encoding=encoding, newline=newline))
    assert (period.code, period.name, period.radiology) == ("GD1AA", "Thoraxin röntgen", True)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("01.02.2003", "04.05.2006"),
        ("1.2.2003", "4.5.2006"),
        ("01/02/2003", "04/05/2006"),
        ("2003-02-01", "2006-05-04"),
        ("2003-02-01T00:00:00", "2006-05-04 00:00:00.0"),
        ("2003-01-31T22:00:00Z", "2006-05-04T00:00:00+03:00"),
        ("37653", "38841"),
        ("37653.0", "38841.0"),
        (" 01.02.2003 ", " 04.05.2006 "),
    ],
)
def test_every_form_of_date_is_the_same_day(begin: str, end: str) -> None:
    period = dated(begin, end)
    assert (period.valid_from, period.valid_to) == (date(2003, 2, 1), date(2006, 5, 4))


@pytest.mark.parametrize("end", ["31.12.2030", "31/12/2030", "2030-12-31", "47848", "31.12.2099", "31.12.9999", ""])
def test_the_sentinels_mean_no_end(end: str) -> None:
    assert dated("01.01.1999", end).valid_to is None


def test_the_day_before_the_sentinel_is_an_end() -> None:
    assert dated("01.01.1999", "30.12.2030").valid_to == date(2030, 12, 30)


def test_a_spreadsheets_first_days_are_counted_with_its_29_february_1900() -> None:
    assert dated("1", "61").valid_from == date(1900, 1, 1)
    assert dated("1", "61").valid_to == date(1900, 3, 1)
    assert dated("59", "").valid_from == date(1900, 2, 28)


def test_columns_are_matched_by_name_whatever_their_order_and_company() -> None:
    header = "A:Radiologia;ALONG:Huom.;ExpiringDate;LongName;BeginningDate;CodeId"
    assert only(read(header, "T;;31.12.2030;Nimi;01.01.1999;GD1AA")) == CodePeriod(
        code="GD1AA", name="Nimi", valid_from=date(1999, 1, 1), radiology=True
    )


def test_missing_attribute_columns_are_no_fault() -> None:
    period = only(read("CodeId;ShortName;BeginningDate;ExpiringDate", "GD1AA;Nimi;01.01.1999;31.12.2030"))
    assert (period.radiology, period.visible_light, period.leaf, period.level) == (False, False, True, None)


def test_a_code_may_have_several_periods() -> None:
    again = GOOD.replace("01.01.1999", "01.01.2040").replace("31.12.2030", "31.12.2050")
    listed = read(HEADER, GOOD.replace("31.12.2030", "31.12.2009"), again)
    assert [period.valid_from.year for period in listed.periods] == [1999, 2040]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("AA1AG", ("AA1AG",)),
        ("YA1AD,YL1AD", ("YA1AD", "YL1AD")),
        ("SPA06, SPA07", ("SPA06", "SPA07")),
        ("SDD02 ja SDD03", ("SDD02", "SDD03")),
        ("JGB03.JGB06", ("JGB03", "JGB06")),
        ("", ()),
    ],
)
def test_replacing_codes_in_every_way_that_the_export_writes_them(text: str, codes: tuple[str, ...]) -> None:
    assert only(read(HEADER, f"GD1AA;;;x;;;01.01.1999;31.12.2009;1;{text};;;T")).replaced_by == codes


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (f"{GOOD};", "14 columns"),
        (GOOD.replace(";GD_", "; kuvaus; jossa on puolipiste;GD_"), "15 columns"),
        ("jatkoa kuvaukselle", "1 columns"),
        (GOOD.replace("GD1AA;", ";", 1), "code is empty"),
        (GOOD.replace("GD1AA;", "GD 1AA;", 1), "characters that no code has"),
        (GOOD.replace("01.01.1999", "31.02.1999"), "BeginningDate is not a date"),
        (GOOD.replace("01.01.1999", "eilen"), "BeginningDate is not a date"),
        (GOOD.replace("01.01.1999", ""), "BeginningDate is empty"),
        (GOOD.replace("31.12.2030", "99.99.2030"), "ExpiringDate is not a date"),
        (GOOD.replace("31.12.2030", "31.12.1998"), "ends before it begins"),
        (GOOD.replace(";1;;T", ";2;;T"), "status is not active"),
        (GOOD.replace(";1;;T", ";DELETED;;T"), "status is not active"),
        (GOOD.replace(";;T;;T", ";;T;;TUTK"), "radiologia has neither T nor F"),
        (GOOD.replace(";3;", ";kolme;"), "HierarchyLevel is not a number"),
        (GOOD.replace("Thoraxin", "Thorax\x00in"), "control character"),
        (GOOD, "stand in line 2 already"),
    ],
)
def test_a_bad_row_is_reported_with_its_line_and_the_others_are_read(row: str, why: str) -> None:
    listed = read(HEADER, GOOD, "", row, GOOD.replace("GD1AA", "GD1AD"))
    assert [period.code for period in listed.periods] == ["GD1AA", "GD1AD"]
    ((line, said),) = [(bad.line, bad.why) for bad in listed.bad]
    assert line == 4
    assert why in said


def test_no_cell_of_a_shifted_row_is_used() -> None:
    listed = read(HEADER, GOOD, GOOD.replace("GD1AA", "GD1AD").replace(";1;;T", ";1;x;;T"))
    assert [period.code for period in listed.periods] == ["GD1AA"]


def test_the_dashes_of_windows_in_the_official_export_become_dashes() -> None:
    assert only(read(HEADER, GOOD.replace("Thoraxin röntgen;GD_", "PSMA \x96hoito;GD_"))).name == "PSMA –hoito"


def test_a_break_that_is_no_line_end_ends_no_line() -> None:
    assert only(read(HEADER, GOOD.replace("röntgen;GD_", "\x0bröntgen\u2028 x;GD_"))).name == "Thoraxin röntgen x"


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-8"])
def test_the_laboratorys_list_is_read_and_its_ecg_numbers_are_imaging_codes(encoding: str) -> None:
    period = only(read(LAB_HEADER, LAB_ROW, encoding=encoding))
    assert (period.code, period.scheme, period.valid_to) == ("1270", LABORATORY, None)
    assert period.name == "EKG, 12 kytkentää levossa"
    assert is_imaging(period)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"hello", "no column CodeId"),
        (b"<xml/>", "no column CodeId"),
        (b"CodeId;CodeId;BeginningDate\nA;B;1", "stands twice"),
        (b"CodeId;BeginningDate;ExpiringDate\n", "not one row"),
        (b"CodeId;BeginningDate;ExpiringDate\nGD1AA;x;y\n", "line 2: BeginningDate is not a date"),
        (b"\xff\xfeC", "UTF-16"),
        (b"PK\x03\x04" + b"x" * 100, "spreadsheet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 600, "spreadsheet"),
        (b"{", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"a": 1}', "no conceptCodes"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number that is too long"),
        (b"[1, 2]", "no conceptCodes"),
        (b"[]", "no conceptCodes"),
    ],
)
def test_what_is_no_code_list_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(CodeListError, match=why):
        read_code_list("codes.csv", data)


def test_one_damaged_byte_does_not_turn_a_utf8_list_into_another_alphabet() -> None:
    data = "\n".join((HEADER, GOOD, GOOD)).encode().replace("röntgen".encode(), b"r\xc3ntgen", 1)
    with pytest.raises(CodeListError, match="line 2: the UTF-8 text is damaged"):
        read_code_list("codes.csv", data)


def workbook(rows: list[list[object]], *, styled: bool = True) -> bytes:
    """A small spreadsheet as the official export is: texts, numbers, days as serial numbers with a date style."""
    cells = []
    for number, row in enumerate(rows, 1):
        inner = ""
        for column, value in enumerate(row):
            place = f"{chr(65 + column)}{number}"
            if isinstance(value, str):
                inner += f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'
            elif isinstance(value, date):
                style = ' s="1"' if styled else ""
                inner += f'<c r="{place}"{style}><v>{(value - date(1899, 12, 30)).days}</v></c>'
            else:
                inner += f'<c r="{place}"><v>{value}</v></c>'
        cells.append(f'<row r="{number}">{inner}</row>')
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    files = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="Sheet0" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{office}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
        "</styleSheet>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{"".join(cells)}</sheetData></worksheet>',
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


COLUMNS: list[object] = [
    "CodeId",
    "LongName",
    "BeginningDate",
    "ExpiringDate",
    "Status",
    "HierarchyLevel",
    "A:Radiologia",
]


@pytest.mark.parametrize("styled", [True, False], ids=["days with a date style", "days as plain numbers"])
def test_the_xls_that_is_xlsx_inside_is_told_by_its_content(styled: bool) -> None:
    rows = [COLUMNS, ["GD1AA", "Nimi", date(1999, 1, 1), date(2030, 12, 31), 1.0, 3.0, "T"]]
    period = only(read_code_list("119_1510562170896.xls", workbook(rows, styled=styled)))
    assert period == CodePeriod(code="GD1AA", name="Nimi", valid_from=date(1999, 1, 1), radiology=True, level=3)


def test_a_number_that_a_spreadsheet_made_of_a_code_is_a_code_again() -> None:
    period = only(
        read_code_list("lab.xlsx", workbook([COLUMNS, [1270, "EKG", date(2004, 1, 1), date(2099, 12, 31), 1, "", ""]]))
    )
    assert (period.code, period.scheme) == ("1270", LABORATORY)


def test_bad_rows_of_a_spreadsheet_have_its_line_numbers() -> None:
    good = ["GD1AA", "Nimi", date(1999, 1, 1), date(2030, 12, 31), 1, 3, "T"]
    listed = read_code_list("a.xls", workbook([COLUMNS, good, [], ["GD1AD", "Nimi", "eilen", "", 1, 3, "T"]]))
    assert listed.bad == (BadRow(line=4, why="BeginningDate is not a date"),)


def test_a_damaged_spreadsheet_is_an_error_of_the_file_and_nothing_else() -> None:
    whole = workbook([COLUMNS, ["GD1AA", "Nimi", date(1999, 1, 1), date(2030, 12, 31), 1, 3, "T"]])
    chance = random.Random(7)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(4, len(data))] = chance.randrange(256)
        try:
            read_code_list("a.xls", bytes(data[: chance.randint(len(data) // 2, len(data))]))
        except CodeListError:
            continue


def test_a_spreadsheet_that_unpacks_to_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kuva_gateway.clinical.code_list_forms._LARGEST_WORKBOOK", 1000)
    with pytest.raises(CodeListError, match="larger than 1000 bytes"):
        read_code_list("a.xls", workbook([COLUMNS]))


def concept(code: str = "GD1AA", **changes: object) -> dict[str, object]:
    """One code as the REST interface gives it."""
    return {
        "classificationId": "1.2.246.537.6.2",
        "classificationName": "THL - Toimenpideluokitus",
        "conceptCodeId": code,
        "status": "ACTIVE",
        "beginDate": "1999-01-01",
        "expirationDate": "2030-12-31",
        "attributes": [
            {"attributeName": "LongName", "attributeValue": ["Thoraxin röntgen"]},
            {"attributeName": "Radiologia", "attributeValue": ["T"]},
            {"attributeName": "Korvaava koodi", "attributeValue": ["GD1AD", "GD1BD"]},
        ],
        **changes,
    }


def page(*codes: object, number: int = 1, total: int | None = None) -> dict[str, object]:
    return {
        "conceptCodes": list(codes),
        "page": number,
        "pageSize": 500,
        "totalItems": len(codes) if total is None else total,
    }


def test_a_page_of_the_rest_interface_is_read() -> None:
    period = only(read_code_list("page.json", json.dumps(page(concept())).encode()))
    assert period == CodePeriod(
        code="GD1AA",
        name="Thoraxin röntgen",
        valid_from=date(1999, 1, 1),
        radiology=True,
        replaced_by=("GD1AD", "GD1BD"),
        scheme=PROCEDURES,
    )


@pytest.mark.parametrize("joined", ["array", "lines"])
def test_several_pages_in_one_file_are_one_list(joined: str) -> None:
    pages = [page(concept("GD1AA"), total=2), page(concept("GD1AD"), number=2, total=2)]
    text = json.dumps(pages) if joined == "array" else "\n".join(json.dumps(one) for one in pages)
    listed = read_code_list("pages.json", b"\xef\xbb\xbf" + text.encode())
    assert [period.code for period in listed.periods] == ["GD1AA", "GD1AD"]
    assert listed.bad == ()


def test_missing_pages_are_reported() -> None:
    listed = read_code_list("page.json", json.dumps(page(concept(), total=11801)).encode())
    assert listed.bad == (BadRow(line=0, why="pages are missing: the file has 1 of 11801 codes"),)


def test_bad_codes_of_a_page_are_reported_by_their_number() -> None:
    codes = [
        concept(),
        concept("GD1AD", status="DELETED"),
        5,
        concept("GD1CD", beginDate=None),
        concept("GD1DD", attributes=7),
    ]
    listed = read_code_list("page.json", json.dumps(page(*codes)).encode())
    assert [bad.line for bad in listed.bad] == [2, 3, 4]
    assert [period.code for period in listed.periods] == ["GD1AA", "GD1DD"]


def test_several_periods_of_one_code_in_json() -> None:
    codes = [concept(expirationDate="2009-12-31"), concept(beginDate="2015-01-01")]
    listed = read_code_list("page.json", json.dumps(page(*codes)).encode())
    assert [(one.valid_from.year, one.valid_to) for one in listed.periods] == [(1999, date(2009, 12, 31)), (2015, None)]


def test_progress_is_told_now_and_then() -> None:
    told: list[int] = []
    rows = [GOOD.replace("GD1AA", f"G{number}") for number in range(1200)]
    read_code_list("a.csv", "\n".join((HEADER, *rows)).encode(), told.append)
    assert told == [500, 1000]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_code_list_or_a_code_list_error(data: bytes) -> None:
    for start in (b"", HEADER.encode() + b"\n", b"CodeId;BeginningDate\n", b"PK\x03\x04", b"[{"):
        try:
            read_code_list("any", start + data)
        except CodeListError:
            continue


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers(),
        lambda one: st.lists(one, max_size=3),
        max_leaves=4,
    )
)
def test_any_json_value_in_a_code_is_a_bad_row_at_worst(value: object) -> None:
    for field in (
        "conceptCodeId",
        "status",
        "beginDate",
        "expirationDate",
        "attributes",
        "hierarchyLevel",
        "classificationId",
    ):
        text = json.dumps(page(concept(), concept("GD1AD", **{field: value})))
        listed = read_code_list("page.json", text.encode())
        assert len(listed.periods) + len(listed.bad) == 2


def test_any_number_of_columns_is_read_in_time() -> None:
    head = ";".join(["CodeId", "BeginningDate", *(f"c{number}" for number in range(200_000))])
    row = "GD1AA;01.01.1999" + ";" * 200_000
    assert only(read(head, row)).code == "GD1AA"


def test_a_column_of_ours_that_stands_twice_is_told_and_another_is_not() -> None:
    with pytest.raises(CodeListError, match="the column status stands twice"):
        read("CodeId;Status;A:Status;x;x", "GD1AA;1;1;;")
    assert only(read("CodeId;BeginningDate;x;x;", "GD1AA;01.01.1999;;;")).code == "GD1AA"


def moved(data: bytes, old: str, new: str, *, also: str = "") -> bytes:
    """The workbook with one text in its sheet exchanged, and perhaps a part more."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as changed:
        for entry in archive.namelist():
            changed.writestr(entry, archive.read(entry).replace(old.encode(), new.encode()))
        if also:
            changed.writestr(also, "<x/>")
    return made.getvalue()


@pytest.mark.parametrize("place", ["XFD1048576", "A99999999", "ZZZZZZ2", "XFD4000"])
def test_a_cell_that_lies_far_away_is_refused_before_the_cells_between_are_made(place: str) -> None:
    """Two kilobytes would stand for 17 thousand million cells; the library makes them all, and the process ends."""
    sheet = workbook([COLUMNS, ["GD1AA", "Nimi", date(1999, 1, 1), "", 1, 3, "T"]])
    assert only(read_code_list("a.xls", sheet)).code == "GD1AA"
    with pytest.raises(CodeListError, match="too far away"):
        read_code_list("a.xls", moved(sheet, 'r="B2"', f'r="{place}"'))


@pytest.mark.parametrize("part", ["content.xml", "xl/workbook.bin"])
def test_other_forms_of_spreadsheets_are_refused_with_what_to_do(part: str) -> None:
    with pytest.raises(CodeListError, match="save it as .xlsx"):
        read_code_list("a.ods", moved(workbook([COLUMNS]), "", "", also=part))
