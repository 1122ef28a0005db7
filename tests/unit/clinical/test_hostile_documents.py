"""Documents made to do harm, or simply broken: a clear refusal with a line, quickly, and without their content."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kuva_gateway.clinical.document_profile import Profile
from kuva_gateway.clinical.documents import DocumentError, parse_document
from tests.documents import build_document

LAUGHS = (
    '<?xml version="1.0"?>\n<!DOCTYPE lolz [\n<!ENTITY a0 "lol">\n'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">\n' for n in range(1, 12))
    + "]>\n<ClinicalDocument>&a11;</ClinicalDocument>"
)


def refusal(data: bytes, profile: Profile | None = None) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse_document(data, profile)
    return caught.value


def with_doctype(doctype: str, content: str = "") -> bytes:
    text = build_document(study_uid="1.2.3").decode()
    head, _, rest = text.partition("\n")
    return f"{head}\n{doctype}\n{rest.replace('<languageCode', f'{content}<languageCode')}".encode()


def test_a_billion_laughs_are_refused_at_the_doctype() -> None:
    started = time.process_time()
    error = refusal(LAUGHS.encode())
    assert time.process_time() - started < 1
    assert error.line == 2
    assert "DTD" in str(error)


def test_an_external_entity_is_refused_and_its_file_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("1.2.246.10.1")
    data = with_doctype(f'<!DOCTYPE ClinicalDocument [<!ENTITY x SYSTEM "{secret.as_uri()}">]>', "<x>&x;</x>")
    assert refusal(data).line == 2


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE ClinicalDocument>",
        '<!DOCTYPE ClinicalDocument SYSTEM "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE ClinicalDocument [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]>',
        '<!DOCTYPE ClinicalDocument [<!ATTLIST id root CDATA "1.2.3">]>',
    ],
)
def test_any_doctype_is_refused(doctype: str) -> None:
    error = refusal(with_doctype(doctype))
    assert "DTD" in str(error)
    assert error.line == 2


def test_a_doctype_in_another_encoding_is_refused_too() -> None:
    data = with_doctype("<!DOCTYPE ClinicalDocument>").decode().replace("UTF-8", "UTF-16").encode("utf-16")
    assert "DTD" in str(refusal(data))


def test_an_entity_that_nobody_declared_is_refused() -> None:
    assert "undefined entity" in str(refusal(build_document().replace(b"<languageCode", b"&evil;<languageCode")))


def test_an_include_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text('<id xmlns="urn:hl7-org:v3" root="1.2.9"/>')
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{(tmp_path / "x.xml").as_uri()}"/>'
    document = parse_document(build_document(study_uid=None).replace(b"</text>", f"</text>{include}".encode()))
    assert "1.2.9" not in document.study_uids


@pytest.mark.parametrize("depth", [101, 1_000, 300_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    assert "nested more than 100 deep" in str(refusal(b"<a>" * depth + b"</a>" * depth))


def test_nesting_up_to_the_limit_is_read() -> None:
    inner = b"<x>" * 60 + b"</x>" * 60
    assert parse_document(build_document(study_uid="1.2.3").replace(b"</text>", b"</text>" + inner)).oid


def test_too_many_elements_are_refused() -> None:
    data = build_document().replace(b"</text>", b"</text>" + b"<x/>" * 2000)
    error = refusal(data, Profile(maximum_elements=1000))
    assert "more than 1000 elements" in str(error)
    assert error.line is not None


def test_too_many_bytes_are_refused_unread() -> None:
    error = refusal(b"<" * 101, Profile(maximum_bytes=100))
    assert str(error) == "the file is longer than 100 bytes"


def test_a_document_with_a_large_attachment_is_read() -> None:
    text = b"<observationMedia><value>" + b"QUJD" * 2_000_000 + b"</value></observationMedia>"
    document = parse_document(
        build_document(study_uid="1.2.3").replace(b"</text>", b"</text><entry>" + text + b"</entry>")
    )
    assert "1.2.3" in document.study_uids


def test_one_text_beyond_the_parsers_bound_is_a_document_error() -> None:
    text = b"<value>" + b"x" * 12_000_000 + b"</value>"
    assert "10 MB" in str(refusal(build_document().replace(b"</text>", b"</text>" + text)))


@pytest.mark.parametrize(
    ("data", "line", "why"),
    [
        (b"", None, "empty"),
        (b" \n ", None, "empty"),
        (b"\x00\x01\x02", 1, "not well-formed"),
        (b"%PDF-1.4", 1, "not well-formed"),
        (b"<a>\n<b>\n</a>", 3, "not well-formed"),
        (b"<a>\n\n", 3, "not well-formed"),
        (b"<a/>\n<b/>", 2, "not well-formed"),
        (b"<a>\xff</a>", 1, "not well-formed"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', 1, "encoding"),
        (b"<ClinicalDocument/>", 1, "root element"),
        (b'<ClinicalDocument xmlns="urn:x"/>', 1, "root element"),
        (b'\n<x xmlns="urn:hl7-org:v3"/>', 2, "root element"),
        (b'<ClinicalDocument xmlns="urn:hl7-org:v3"/>', 1, "no id of its own"),
        (b'<ClinicalDocument xmlns="urn:hl7-org:v3">\n<id root="1.02"/></ClinicalDocument>', 2, "well-formed OID"),
        (b'<ClinicalDocument xmlns="urn:hl7-org:v3">\n<id nullFlavor="NA"/></ClinicalDocument>', 1, "no id of its own"),
    ],
)
def test_what_is_no_document_is_refused_with_line_and_reason(data: bytes, line: int | None, why: str) -> None:
    error = refusal(data)
    assert error.line == line
    assert why in str(error)
    assert str(error).startswith(f"line {line}: " if line else "the file")


@pytest.mark.parametrize("version", ["x", "-1", "1.5", "1e9", "99999999999", "٣"])
def test_a_version_that_is_no_number_is_refused_with_its_line(version: str) -> None:
    data = build_document().replace(b'<versionNumber value="1"', f'<versionNumber value="{version}"'.encode())
    error = refusal(data)
    assert "version number" in str(error)
    assert error.line is not None


def test_no_refusal_repeats_what_the_document_says() -> None:
    hetu = "010516B903X"
    whole = build_document(hetu=hetu, accession="SECRET1")
    broken = [
        whole[: whole.index(hetu.encode()) + 6],
        whole.replace(b"</patientRole>", f"</{hetu}>".encode()),
        whole.replace(b"</patientRole>", b"&SECRET1;</patientRole>"),
        whole.replace(b'value="1"', b'value="SECRET1"'),
        whole.replace(b'extension="SECRET1"', b'extension="SECRET1" extension="SECRET1"'),
        whole.replace(b"<patientRole>", b"<SECRET1:patientRole>").replace(b"</patientRole>", b"</SECRET1:patientRole>"),
    ]
    for data in broken:
        text = str(refusal(data))
        assert "SECRET1" not in text
        assert hetu[:6] not in text


def test_more_namespaces_around_an_element_than_anybody_needs_are_refused() -> None:
    """Each prefix is looked for among all that hold: thousands on each of half a million elements take an hour."""
    declared = " ".join(f'xmlns:a{number}="urn:{number}"' for number in range(70))
    text = build_document(study_uid="1.2.3").decode()
    error = refusal(text.replace("<languageCode", f"\n<x {declared}/><languageCode").encode())
    assert "more than 64 namespaces" in str(error)
    assert error.line


def test_a_namespace_may_be_declared_anew_on_every_element() -> None:
    text = build_document(study_uid="1.2.3").decode()
    again = '<x xmlns:a="urn:a" xmlns:b="urn:b"/>' * 100
    assert parse_document(text.replace("<languageCode", f"{again}<languageCode").encode()).study_uids == ("1.2.3",)
