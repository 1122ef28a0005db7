"""Reading imaging documents: what the default profile finds, what an operator's profile changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuva_gateway.clinical.document_profile import Profile
from kuva_gateway.clinical.documents import DocumentError, ImagingDocument, explain_document, parse_document
from kuva_gateway.clinical.identifiers import is_oid
from tests.documents import MARK, TITLES, build_document
from tests.support import shared_data

STUDY = "2.25.1234567890"
OID = "1.2.246.10.99999984.91.2024.5"


def sample(**changes: object) -> bytes:
    """A synthetic request that names its study, accession number and code."""
    facts: dict[str, object] = {"study_uid": STUDY, "accession": "A1", "oid": OID, **changes}
    content: bytes = build_document(**facts)
    return content


def changed(old: str, new: str, **changes: object) -> ImagingDocument:
    """The sample with one text in it exchanged."""
    text = sample(**changes).decode()
    assert old in text
    return parse_document(text.replace(old, new).encode())


def test_everything_in_the_header_and_the_body_is_read() -> None:
    document = parse_document(sample(register_specifier="1234567-1", code="AA1AD"))
    assert document == ImagingDocument(
        oid=OID,
        set_id=OID,
        version=1,
        replaces=(),
        kind="request",
        kind_rule="title contains pyyn",
        patient_id="010516B903X",
        patient_id_root="1.2.246.21",
        register_keeper="1.2.246.10.99999984.19.0",
        register="2",
        register_specifier="1234567-1",
        producer="1.2.246.10.99999984.10.0",
        service_event="1.2.246.10.99999984.14.2024.1",
        ready=True,
        record_status="3",
        effective_time="20240304101500",
        template_ids=("1.2.246.777.11.2020.8",),
        recognised=True,
        study_uids=("1.2.246.10.99999984.99", STUDY),
        accessions=(("1.2.246.10.99999984.99", "A1"),),
        procedure_codes=("AA1AD",),
        title=f"{TITLES['request']} ({MARK})",
        views=("SYN",),
    )


@pytest.mark.parametrize("kind", ["request", "examination_entry", "report", "other"])
def test_the_kind_follows_from_the_title(kind: str) -> None:
    assert parse_document(sample(kind=kind)).kind == kind


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("LÄHETE JA TUTKIMUSPYYNTÖ", "request"),
        ("Lausuntopyyntö", "request"),
        ("tutkimusMERKINNÄT", "examination_entry"),
        ("Radiologin lausunnot", "report"),
        ("Tutkimus", "other"),
        ("", "other"),
    ],
)
def test_titles_are_compared_by_stem_and_without_case(title: str, kind: str) -> None:
    assert parse_document(sample(title=title)).kind == kind


def test_display_names_decide_when_the_document_title_does_not_and_before_section_titles() -> None:
    code = '<code code="X" codeSystem="1.2.3" displayName="Lausunto"/><title>Tutkimuspyyntö</title>'
    text = sample(title="Asiakirja").decode()
    start = text.index('          <code code="SYN"')
    end = text.index("</title>", start) + len("</title>")
    document = parse_document((text[:start] + code + text[end:]).encode())
    assert (document.kind, document.kind_rule) == ("report", "section/code/@displayName contains lausun")
    without = parse_document((text[:start] + code.replace("Lausunto", "X") + text[end:]).encode())
    assert (without.kind, without.kind_rule) == ("request", "section/title contains pyyn")


@pytest.mark.parametrize("code", ["SYN", "syn", " Syn "])
def test_a_code_in_the_map_decides_before_any_text_and_without_case(code: str) -> None:
    document = parse_document(sample(kind="request"), Profile(kinds={code: "report"}))
    assert (document.kind, document.kind_rule) == ("report", "code map, hl7fi:contentsCode/@code")


def test_a_section_code_in_the_map_decides_too() -> None:
    text = sample(kind="request").decode().replace('<hl7fi:contentsCode code="SYN"', '<hl7fi:contentsCode code="X"')
    document = parse_document(text.encode(), Profile(kinds={"SYN": "examination_entry"}))
    assert (document.kind, document.kind_rule) == ("examination_entry", "code map, section/code/@code")


def test_a_new_version_names_its_series_and_what_it_replaces() -> None:
    document = parse_document(sample(oid=f"{OID}.2", set_id=OID, version=2, replaces=OID))
    assert (document.oid, document.set_id, document.version, document.replaces) == (f"{OID}.2", OID, 2, (OID,))


def test_only_a_replacing_relation_replaces() -> None:
    assert changed('typeCode="RPLC"', 'typeCode="APND"', replaces=OID, oid=f"{OID}.2").replaces == ()


def test_a_document_without_set_and_version_is_the_first_of_its_own_series() -> None:
    text = sample().decode().replace(f'<setId root="{OID}"/>', "").replace('<versionNumber value="1"/>', "")
    document = parse_document(text.encode())
    assert (document.set_id, document.version) == (OID, 1)


@pytest.mark.parametrize(("status", "ready"), [("3", True), ("1", False), ("", False), ("33", False)])
def test_only_record_status_3_is_ready(status: str, ready: bool) -> None:
    document = parse_document(sample(record_status=status))
    assert (document.ready, document.record_status) == (ready, status)


def test_a_document_without_local_header_is_not_ready() -> None:
    text = sample().decode()
    start, end = text.index("  <hl7fi:localHeader>"), text.index("</hl7fi:localHeader>") + 20
    assert not parse_document((text[:start] + text[end:]).encode()).ready


@pytest.mark.parametrize(
    "element",
    [
        '<reference><externalObservation><id root="1.2.9"/></externalObservation></reference>',
        '<reference><externalDocument><id root="1.2.9"/></externalDocument></reference>',
        '<entry><observation classCode="DGIMG"><id root="1.2.9"/></observation></entry>',
        '<entry><observation classCode="OBS"><value xsi:type="II" root="1.2.9"/></observation></entry>',
        '<entry xmlns:v="urn:hl7-org:v3"><observation><value xsi:type="v:II" root="1.2.9"/></observation></entry>',
    ],
)
def test_every_place_that_may_name_a_study(element: str) -> None:
    assert "1.2.9" in changed("</text>", f"</text>{element}").study_uids


@pytest.mark.parametrize(
    "element",
    [
        '<entry><observation classCode="OBS"><id root="1.2.9"/></observation></entry>',
        '<entry><observation><value xsi:type="CV" root="1.2.9"/></observation></entry>',
        '<entry xmlns:v="urn:x"><observation><value xsi:type="v:II" root="1.2.9"/></observation></entry>',
        '<entry><observation classCode="DGIMG"><id root="1.02.9"/></observation></entry>',
        '<entry xmlns:x="urn:x"><x:externalDocument><id root="1.2.9"/></x:externalDocument></entry>',
        "<entry><observation><value>1.2.9</value></observation></entry>",
    ],
)
def test_other_places_and_malformed_uids_name_no_study(element: str) -> None:
    document = changed("</text>", f"</text>{element}")
    assert not any(uid.endswith("2.9") for uid in document.study_uids)


def test_accession_numbers_stand_in_identifiers_of_the_body_only() -> None:
    element = '<entry><act><id root="1.2.7" extension=" B2 "/></act></entry>'
    document = changed("</text>", f"</text>{element}")
    assert document.accessions == (("1.2.7", "B2"), ("1.2.246.10.99999984.99", "A1"))


def test_accession_roots_narrow_what_may_be_an_accession_number() -> None:
    element = '<entry><act><id root="1.2.7" extension="B2"/></act></entry>'
    data = sample().replace(b"</text>", b"</text>" + element.encode())
    assert parse_document(data, Profile(accession_roots=("1.2.7",))).accessions == (("1.2.7", "B2"),)
    assert parse_document(data, Profile(accession_roots=("1.2.8",))).accessions == ()


def test_a_personal_identity_code_in_the_body_is_no_accession_number() -> None:
    element = (
        '<entry><observation><value xsi:type="II" root="1.2.246.21" extension="010516B903X"/></observation></entry>'
    )
    assert changed("</text>", f"</text>{element}", accession=None).accessions == ()


@pytest.mark.parametrize(
    ("system", "counts"),
    [
        ("1.2.246.537.6.2", True),
        ("1.2.246.537.6.2.2007", True),
        ("1.2.246.537.6.4.2009", True),
        ("1.2.246.537.6.33", True),
        ("1.2.246.537.6.202", False),
        ("1.2.246.537.6.3", False),
        ("1.2.246.537.6", False),
    ],
)
@pytest.mark.parametrize("element", ["code", "value", "translation"])
def test_procedure_codes_are_those_of_the_three_national_classifications(
    element: str, system: str, counts: bool
) -> None:
    inner = f'<entry><observation><{element} code="ND1AA" codeSystem="{system}"/></observation></entry>'
    document = changed("</text>", f"</text>{inner}", code="GD1AA")
    assert document.procedure_codes == (("ND1AA", "GD1AA") if counts else ("GD1AA",))


def test_the_personal_identity_code_is_chosen_among_several_ids_and_normalised() -> None:
    document = changed(
        '<id root="1.2.246.21" extension="010516b903x "/>',
        '<id root="1.2.3" extension="77"/><id root="1.2.246.21" extension="010516b903x "/>',
        hetu="010516b903x ",
    )
    assert (document.patient_id, document.patient_id_root) == ("010516B903X", "1.2.246.21")


def test_a_temporary_id_keeps_its_own_root() -> None:
    document = parse_document(sample(hetu="T-1", hetu_root="1.2.246.10.99999984.22.2024"))
    assert (document.patient_id, document.patient_id_root) == ("T-1", "1.2.246.10.99999984.22.2024")


def test_an_unknown_template_is_recorded_and_not_recognised() -> None:
    document = parse_document(sample(template="1.2.246.777.11.2099.1"))
    assert (document.template_ids, document.recognised) == (("1.2.246.777.11.2099.1",), False)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "ISO-8859-1", "windows-1252"])
def test_any_declared_encoding_is_read(encoding: str) -> None:
    assert parse_document(sample(encoding=encoding)).title.startswith("Radiologinen tutkimuspyyntö")


def test_another_prefix_for_the_same_namespaces_is_the_same_document() -> None:
    text = sample().decode()
    renamed = text.replace("hl7fi:", "f:").replace("xmlns:hl7fi", "xmlns:f")
    assert parse_document(renamed.encode()) == parse_document(text.encode())


def test_elements_of_another_namespace_are_not_taken_for_the_documents_own() -> None:
    document = changed("<hl7fi:recordStatus", '<x:recordStatus xmlns:x="urn:x"')
    assert not document.ready


def test_the_explanation_is_what_the_parser_found_with_rule_and_line() -> None:
    data = sample(register_specifier="1234567-1")
    document = parse_document(data)
    lines = data.decode().split("\n")
    explained = explain_document(data)
    told = {one.field: one for one in explained}
    assert told["kind"].value == document.kind
    assert told["kind"].rule == document.kind_rule
    assert told["oid"].value == document.oid
    assert {one.value for one in explained if one.field == "study_uids"} == set(document.study_uids)
    for one in explained:
        assert one.line is not None
        assert one.rule
        if one.field not in ("kind", "accessions"):
            assert one.value in " ".join(lines[one.line - 2 : one.line + 1])


def test_a_real_document_of_the_archive_is_read_and_is_of_kind_other() -> None:
    document = parse_document(shared_data("kanta-osva-example.xml").read_bytes())
    assert document.kind == "other"
    assert document.oid == document.set_id == "1.2.246.10.99999984.10.0.91.2009.58"
    assert (document.patient_id, document.patient_id_root) == ("030875-999Y", "1.2.246.21")
    assert (document.register, document.register_keeper) == ("13", "1.2.246.10.99999984.19.0")
    assert document.producer == "1.2.246.10.99999984.10.0"
    assert document.ready
    assert not document.recognised
    assert document.procedure_codes == ()


def test_every_synthetic_document_says_that_it_is_synthetic() -> None:
    for kind in TITLES:
        text = build_document(kind=kind).decode()
        assert f"({MARK})</title>" in text
        assert f"<text>{MARK}" in text
        assert is_oid(parse_document(text.encode()).oid)


@settings(deadline=None)
@given(
    st.text(max_size=12),
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), max_size=12),
)
def test_markup_in_values_stays_a_value(title: str, accession: str) -> None:
    clean = "".join(one for one in title if one.isprintable())
    document = parse_document(sample(title=clean, accession=accession))
    assert document.title == " ".join(f"{clean} ({MARK})".split())
    stripped = accession.strip()
    assert [extension for _, extension in document.accessions] == ([stripped] if stripped else [])


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2000))
def test_any_bytes_are_a_document_or_a_document_error(data: bytes, place: int) -> None:
    whole = sample()
    for tried in (data, whole[:place] + data, whole[:place] + data + whole[place + len(data) :]):
        try:
            parse_document(tried)
        except DocumentError:
            continue
