"""ADT messages and values for amendments into a real catalog."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kuva_gateway.catalog.codes import store
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import Linked
from kuva_gateway.clinical.adt import AdtError
from kuva_gateway.errors import RefusedError
from kuva_gateway.intake.adt import adt_drop_folder, take_in
from kuva_gateway.intake.amendments import changes_of, identity_changes, setting
from tests.unit.catalog.making import period

HETU = "010594Y9032"
OTHER = "020594X902N"
ROOT = "1.2.246.21"
HEADER = "MSH|^~\\&|RIS|HUS|GW|HUS|20261123||ADT^{}|1|P|2.5||||||UNICODE UTF-8\r"


def adt(event: str, *segments: str) -> bytes:
    return (HEADER.format(event) + "\r".join(segments) + "\r").encode()


def links(catalog: Catalog) -> list[tuple[str, str, str]]:
    with catalog.read() as session:
        rows = session.rows("SELECT patient, issuer, actor, reason FROM patient_links ORDER BY id")
    return [(row["patient"], row["issuer"], f"{row['actor']} {row['reason']}") for row in rows]


def test_a_merge_is_kept_for_what_comes_later(catalog: Catalog) -> None:
    take_in(catalog, adt("A40", f"PID|||{HETU}", "MRG|T1^^^X&1.2.246.10.1.22.2024&ISO~T2"))
    assert links(catalog) == [("T1", "1.2.246.10.1.22.2024", "ADT ADT^A40"), ("T2", "", "ADT ADT^A40")]


def test_the_same_message_again_changes_nothing(catalog: Catalog) -> None:
    for _ in range(3):
        take_in(catalog, adt("A40", f"PID|||{HETU}||A^B", "MRG|T1"))
    assert len(links(catalog)) == 1


def test_news_of_somebody_who_has_no_study_here_is_not_kept(catalog: Catalog) -> None:
    assert take_in(catalog, adt("A08", f"PID|||{HETU}||Uusi^Anna")) == Linked(amended=(), delivered=())
    assert links(catalog) == []


def test_news_that_tell_a_temporary_ids_person_link_it(catalog: Catalog) -> None:
    ids = f"T1^^^X&1.2.246.10.1.22.2024&ISO~{HETU}^^^V&{ROOT}&ISO"
    take_in(catalog, adt("A08", f"PID|||{ids}||Uusi^Anna"))
    assert [one[0] for one in links(catalog)] == ["T1"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (adt("A40", "PID|||4711", "MRG|T1"), "the new id"),
        (adt("A40", "PID|||010594Y9033", "MRG|T1"), "wrong check character"),
        (adt("A40", "PID|||T2^^^X&1.2.246.10.1.22.2024&ISO", "MRG|T1"), "temporary"),
        (adt("A08", f"PID|||{HETU}"), "neither replaces an id nor tells"),
        (adt("A40", f"PID|||{HETU}", "MRG|T1", "PID|||4711", "MRG|T2"), "the new id"),
    ],
)
def test_a_message_that_cannot_count_changes_nothing_at_all(catalog: Catalog, data: bytes, says: str) -> None:
    with pytest.raises((AdtError, RefusedError), match=says) as caught:
        take_in(catalog, data)
    assert "4711" not in str(caught.value)
    assert links(catalog) == []


def test_the_drop_folder_takes_good_messages_and_puts_bad_ones_aside(catalog: Catalog, tmp_path: Path) -> None:
    told: list[Linked] = []
    folder = adt_drop_folder(
        catalog,
        tmp_path / "in",
        rejected=tmp_path / "bad",
        now=lambda: datetime(2026, 11, 23, tzinfo=UTC),
        on_linked=told.append,
        on_outcome=lambda outcome: None,
    )
    (tmp_path / "in" / "a.hl7").write_bytes(adt("A40", f"PID|||{HETU}", "MRG|T1"))
    (tmp_path / "in" / "b.hl7").write_bytes(b"\xff\xfe")
    folder.scan()
    assert {outcome.what for outcome in folder.scan()} == {"accepted", "rejected"}
    assert len(told) == 1
    assert not list((tmp_path / "in").iterdir())
    assert "MSH" in (tmp_path / "bad" / "b.hl7.reason").read_text()


def changes(catalog: Catalog, **texts: str) -> dict[str, object]:
    return dict(changes_of(catalog, [setting(name, text) for name, text in texts.items()]))


def test_an_identity_code_brings_its_issuer_unless_one_is_set(catalog: Catalog) -> None:
    assert set(changes(catalog, PatientID="010594y9032 ")) == {
        "PatientID",
        "IssuerOfPatientID",
        "IssuerOfPatientIDQualifiersSequence",
    }
    assert changes(catalog, PatientID="010594y9032")["PatientID"] == HETU
    assert set(changes(catalog, PatientID=HETU, IssuerOfPatientID="HUS")) == {"PatientID", "IssuerOfPatientID"}
    assert set(changes(catalog, PatientID="4711")) == {"PatientID"}


def test_a_procedure_code_gets_its_name_and_scheme_from_the_code_list(catalog: Catalog) -> None:
    store(catalog, [period("GD1AD", name="Thoraxin TT")])
    (item,) = changes(catalog, ProcedureCodeSequence="gd1ad")["ProcedureCodeSequence"]  # type: ignore[misc]
    assert (item["CodeValue"], item["CodeMeaning"]) == ("GD1AD", "Thoraxin TT")
    assert item["CodingSchemeUID"] == "1.2.246.537.6.2"
    (item,) = changes(catalog, ProcedureCodeSequence="GD1AD Chest")["ProcedureCodeSequence"]  # type: ignore[misc]
    assert item["CodeMeaning"] == "Chest"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("Rows", "1", "may not be amended"),
        ("00080060", "CT", "may not be amended"),
        ("PatientID", " ", "is empty"),
        ("AccessionNumber", "1" * 17, "more than 16 characters"),
        ("StudyDescription", "a\\b", "backslash or a control character"),
        ("PatientBirthDate", "19990230", "no date"),
        ("PatientSex", "X", "none of M, F and O"),
        ("PatientName", "x" * 65, "more than 64"),
        ("ProcedureCodeSequence", "ZZ9ZZ", "not in the code list"),
        ("IssuerOfAccessionNumberSequence", "HUS", "no OID"),
    ],
)
def test_a_value_that_has_not_the_attributes_form_is_refused_and_not_told(
    catalog: Catalog, name: str, text: str, says: str
) -> None:
    with pytest.raises(RefusedError, match=says) as caught:
        changes(catalog, **{name: text})
    assert name == "Rows" or text not in str(caught.value).split() or text in ("CT", "1", " ")


def test_an_id_of_another_kind_needs_its_issuer() -> None:
    assert identity_changes("4711", "1.2.3")["IssuerOfPatientID"] == "1.2.3"
    for patient_id, issuer in (("4711", ""), ("4711", "HUS"), ("4711", ROOT)):
        with pytest.raises(RefusedError) as caught:
            identity_changes(patient_id, issuer)
        assert "4711" not in str(caught.value)
