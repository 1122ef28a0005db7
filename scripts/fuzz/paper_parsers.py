"""What hospital systems and people bring as files: documents, authorizations, HL7 messages, lists of codes."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import date
from functools import cache

from harness import Harness, Input
from xml_edits import edited

from kuva_gateway.clinical.adt import AdtError, read_adt
from kuva_gateway.clinical.authorizations import AuthorizationError, parse_authorization, scope, shown_specifier
from kuva_gateway.clinical.code_list import CodeListError, read_code_list
from kuva_gateway.clinical.code_mapping import CodeMappingError, read_code_mapping
from kuva_gateway.clinical.documents import DocumentError, explain_document, parse_document
from kuva_gateway.clinical.identifiers import is_oid
from kuva_gateway.clinical.providers import ProviderListError, read_providers

ROOT = "1.2.246.10.99999984"
HETU = "010594Y9032"


# -- documents --------------------------------------------------------------------------------------------------------


def check_document(data: bytes) -> None:
    """A document or DocumentError; what is explained is what is read; no error repeats what stands in the file."""
    choices = Input(data)
    data = choices.rest if choices.number(2) else edited(_WHOLE_DOCUMENT, choices.rest, names=_NAMES, values=_VALUES)
    try:
        read = parse_document(data)
    except DocumentError as error:
        _tells_nothing(str(error), data)
        return
    assert is_oid(read.oid)
    assert 0 <= read.version < 10**9
    told = explain_document(data)
    assert {one.value for one in told if one.field == "study_uids"} == set(read.study_uids)
    assert all(map(is_oid, read.study_uids))
    assert read.ready == (read.record_status == "3")


def _tells_nothing(said: str, data: bytes) -> None:
    """Of a file with a mark in it that is made to be found, no error shows the mark."""
    assert "TELLTALE" not in said or b"TELLTALE" not in data, said


_SPACES = 'xmlns="urn:hl7-org:v3" xmlns:hl7fi="urn:hl7finland" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def _document(body: str, *, status: str = "3", head: str = "") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><ClinicalDocument {_SPACES}>'
        f'<templateId root="1.2.246.777.11.2020.8"/><id root="{ROOT}.93.1"/><code code="2"/>'
        f'<title>Radiologinen lausunto TELLTALE</title><effectiveTime value="20240304"/><setId root="{ROOT}.93.0"/>'
        f'<versionNumber value="2"/><recordTarget><patientRole><id root="1.2.246.21" extension="{HETU}"/></patientRole>'
        f"</recordTarget><custodian><assignedCustodian><representedCustodianOrganization><id root='{ROOT}.19.0'/>"
        "<name>X</name></representedCustodianOrganization></assignedCustodian></custodian>"
        f'<relatedDocument typeCode="RPLC"><parentDocument><id root="{ROOT}.93.0"/></parentDocument></relatedDocument>'
        f"<hl7fi:localHeader><hl7fi:tableOfContents>{head}</hl7fi:tableOfContents>"
        f'<hl7fi:recordStatus code="{status}"/></hl7fi:localHeader>'
        f"<component><structuredBody>{body}</structuredBody></component></ClinicalDocument>"
    ).encode()


_SECTION = (
    '<component><section><code code="18748-4" displayName="Lausunto"/><title>Pyyntö</title><entry>'
    '<observation classCode="DGIMG"><id root="1.2.3.4"/><code code="GD1AA" codeSystem="1.2.246.537.6.3.2006"/>'
    '<value xsi:type="II" root="1.2.3.4.5" extension="A1"/></observation></entry></section></component>'
)
_WHOLE_DOCUMENT = _document(_SECTION)
_NAMES = (
    *("root", "extension", "code", "codeSystem", "value", "classCode", "typeCode", "displayName", "nullFlavor"),
    "{http://www.w3.org/2001/XMLSchema-instance}type",
)
_VALUES = (
    *("", " ", "1.2.3", "1.2.03", "9" * 70, HETU, "1.2.246.21", "362", "1.2.246.537.6.12.2002", "3", "1", "2", "II"),
    *("ns0:II", "x:II", "20240229", "20230229", "99999999", "DGIMG", "RPLC", "lausunto", "-1", "TELLTALE", "²", "true"),
)


def _document_seeds() -> Iterator[bytes]:
    yield b"\1" + _WHOLE_DOCUMENT
    yield b"\1" + _document(_SECTION, status="1").replace(b"UTF-8", b"ISO-8859-1").replace("ö".encode(), b"\xf6")
    yield b"\1" + _document("<section/>").decode().replace("UTF-8", "UTF-16").encode("utf-16")
    yield b'\1<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    yield b"\0"
    yield b"\0" + bytes(range(80))


_XML = (b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<?", b"<!DOCTYPE ", b"&#x0;", b"&amp;", b"xmlns:a=", b'xsi:type="II"',
        b'encoding="', b"UTF-16", b"<id root=", b"extension=", b"<section>", b"</section>")  # fmt: skip


# -- authorizations ---------------------------------------------------------------------------------------------------


def check_authorization(data: bytes) -> None:
    """An authorization or AuthorizationError; one that is in force has a beginning and an end."""
    choices = Input(data)
    kind = choices.number(3)
    data = choices.rest if kind == 2 else edited(_forms()[kind], choices.rest, names=_NAMES, values=_VALUES)
    try:
        read = parse_authorization(data)
    except AuthorizationError as error:
        assert error.faults
        _tells_nothing(str(error), data)
        return
    assert scope(read) in ("all", "range", "events")
    assert shown_specifier(read.storing.specifier if read.storing else "") != HETU
    read.stores_into(read.register_keeper, "2")
    if read.ready:
        assert read.valid_from is not None
        assert read.valid_to is not None
        assert read.valid_from <= read.valid_to
        assert read.valid_on(read.valid_from)
        assert not read.valid_on(date.min)


def _authorization_seeds() -> Iterator[bytes]:
    for form in _forms():
        yield b"\2" + form
        yield b"\2" + form.replace(b'recordStatus code="3"', b'recordStatus code="1"')
    for start in (b"\0", b"\1"):
        yield start
        yield start + bytes(range(120))


@cache
def _forms() -> list[bytes]:
    """An authorization for one patient, and one for a population."""
    made = []
    form = "1.2.246.537.6.12.2002.362"

    def field(number: int, value: str, text: str = "TELLTALE") -> str:
        entry = f"<entry><observation>{value}</observation></entry>"
        return (
            f'<component><section><code code="{number}" codeSystem="{form}"/><text>{text}</text>{entry}</section>'
            "</component>"
        )

    def days(first: str, last: str) -> str:
        return f'<value><low value="{first}"/><high value="{last}"/></value>'

    roots = dict.fromkeys((8, 9, 10, 11, 13, 14, 36), f'<value root="{ROOT}.10.0"/>')
    for kind in "12":
        values = {
            4: f'<value code="{kind}"/>', 6: days("20240101", "20241231"), **roots,
            16: f'<value root="{ROOT}.19.0"/>', 17: '<value code="4"/>', 18: '<value root="1.2" extension="1-1"/>',
            19: "", 21: f'<value root="{ROOT}.19.0"/>', 22: '<value code="2"/>', 27: "", 30: '<value value="true"/>',
            26: f'<value root="1.2.246.21" extension="{HETU}"/>', 31: days("20230101", "20230202"), 35: "",
            32: '<value root="1.2.246.10.1.14.1"/>', 34: '<value extension="290165-980W"/>', 37: '<value value="20"/>',
        }  # fmt: skip
        body = "".join(field(number, values[number]) for number in sorted(values))
        head = '<hl7fi:contentsCode code="362" codeSystem="1.2.246.537.6.12.2002"/>'
        made.append(_document(body, head=head))
    return made


# -- HL7 --------------------------------------------------------------------------------------------------------------


def check_adt(data: bytes) -> None:
    """A message or AdtError; ids are printable and short, dates are dates."""
    try:
        read = read_adt(data)
    except AdtError as error:
        _tells_nothing(str(error), data)
        return
    assert read.event in ("A40", "A08")
    assert read.identities
    for one in read.identities:
        for identifier in (one.patient, *one.replaced):
            assert identifier.value.isprintable()
            assert 0 < len(identifier.value) <= 64
            assert not identifier.issuer or is_oid(identifier.issuer)
        assert one.patient not in one.replaced
        assert len(one.birth_date) in (0, 8)
        assert one.sex in ("", "M", "F", "O")
        assert read.event == "A08" or one.replaced


def _adt_seeds() -> Iterator[bytes]:
    ids = f"{HETU}^^^VRK&1.2.246.21&ISO^SS~T-1^^^X&{ROOT}.22.2024&ISO"
    for event in ("A40", "A08"):
        for codec, named in (("utf-8", "UNICODE UTF-8"), ("latin-1", "8859/1")):
            yield (
                f"MSH|^~\\&|RIS|H|GW|H|2026||ADT^{event}^ADT_A39|1|P|2.5||||||{named}\rEVN|{event}|2026\r"
                f"PID|1||{ids}||Mäkelä^Anna^TELLTALE||19940501|F|||K 1\rMRG|T-2^^^TELLTALE\\T\\Y\r"
            ).encode(codec)
    yield f"\x0bMSH#*!?@#a#b#c#d#1##ADT*A40#1#P#2.5\nPID###{HETU}##A\nMRG#T\n\x1c\r".encode()


# -- lists ------------------------------------------------------------------------------------------------------------


def check_codes(data: bytes) -> None:
    """A code list or CodeListError; each period ends after it begins."""
    try:
        read = read_code_list("codes", data)
    except CodeListError:
        return
    assert read.periods
    for one in read.periods:
        assert 0 < len(one.code) <= 16
        assert one.valid_to is None or one.valid_from <= one.valid_to
        assert all(text.isprintable() for text in (one.name, one.abbreviation))


def _code_seeds() -> Iterator[bytes]:
    head = "CodeId;Abbreviation;LongName;BeginningDate;ExpiringDate;Status;A:Korvaava koodi;A:Lehtisolmu;A:Radiologia"
    row = "GD1AA;Thx;Thoraxin röntgen;01.01.1999;31.12.2030;1;YA1AD,YL1AD ja X;T;F"
    text = f"{head}\n{row}\n1270;EKG;EKG;1.1.2004;2099-12-31T22:00:00Z;1;;F;\n"
    for codec in ("utf-8", "utf-8-sig", "utf-16", "latin-1"):
        yield text.encode(codec)
    concept = {
        "conceptCodeId": "GD1AA", "beginDate": 915141600000, "expirationDate": "2030-12-31", "status": "ACTIVE",
        "attributes": [{"attributeName": "LongName", "attributeValue": ["Thorax"]}], "hierarchyLevel": 3,
    }  # fmt: skip
    yield json.dumps({"totalItems": 1, "conceptCodes": [concept]}).encode()
    yield json.dumps([concept, {**concept, "conceptCodeId": "GD1BA", "beginDate": 36161}]).encode()
    yield _workbook([cell.split(";") for cell in (head, row)])


def _workbook(rows: list[list[str]]) -> bytes:
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>" for row in rows
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packed = "http://schemas.openxmlformats.org/package/2006/relationships"
    files = {
        "_rels/.rels": f'<Relationships xmlns="{packed}"><Relationship Id="r1" Type="{links}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{links}"><sheets><sheet name="a" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packed}"><Relationship Id="r1" '
        f'Type="{links}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def check_lists(data: bytes) -> None:
    """A sender's code mapping, or the list of providers: read, or refused with lines."""
    choices = Input(data)
    if choices.number(2):
        try:
            providers = read_providers(choices.rest)
        except ProviderListError as error:
            assert len(str(error)) < 400
            return
        assert len({one.name for one in providers}) == len(providers)
        assert all(one.keeps(one.oid) for one in providers if one.oid)
        return
    try:
        mapping = read_code_mapping(choices.rest)
    except CodeMappingError as error:
        assert 0 < len(error.faults) <= 20
        return
    for (local, scheme), one in mapping.codes.items():
        assert mapping.find(local, scheme) == one or mapping.find(local) is not None
        assert len(one.description) <= 58
        assert "\\" not in one.description


def _list_seeds() -> Iterator[bytes]:
    yield b"\0local;code;scheme;description\nCT-1;GD1AA;99LOC;Thorax\nx;YX8AD;;\n"
    yield b'\0local,code\n"CT,1",GD1AA\n'
    yield "\1name;sector;joined;oid\nHelsinki;public;2018-05-01;1.2.246.10.1\nÖljy Oy;private;2024-01-01;\n".encode()


HARNESSES = (
    Harness(name="documents", of="imaging documents (CDA R2)", check=check_document, seeds=_document_seeds, words=_XML),
    Harness(
        name="authorizations",
        of="service-purchase authorizations (CDA R2)",
        check=check_authorization,
        seeds=_authorization_seeds,
        longest=16384,
        words=_XML,
    ),
    Harness(
        name="adt",
        of="HL7 v2 ADT messages",
        check=check_adt,
        seeds=_adt_seeds,
        longest=1024,
        words=(b"MSH|^~\\&|", b"PID|", b"MRG|", b"ADT^A40", b"\rPID|||1\rMRG|2", b"\\E\\", b'""', b"8859/1"),
    ),
    Harness(
        name="codes",
        of="code lists: text, JSON, spreadsheets",
        check=check_codes,
        seeds=_code_seeds,
        words=(b"CodeId;", b"BeginningDate", b"conceptCodes", b"attributes", b"1e400", b"NaN", b"31.12.2099", b"[[[["),
    ),
    Harness(
        name="lists",
        of="code mappings and lists of providers",
        check=check_lists,
        seeds=_list_seeds,
        longest=1024,
        words=(b"local;code", b"name;sector;joined;oid", b'"', b"\r\n", b"\0", b"1.2.246.10."),
    ),
)
