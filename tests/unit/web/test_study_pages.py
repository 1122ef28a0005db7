"""A study's page, searches and lists, out of a real catalog: what stands there, and to whom no patient is shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from kuva_gateway.catalog import entries, studies
from kuva_gateway.catalog.flow import flow
from kuva_gateway.catalog.states import ENTRY, STUDY
from kuva_gateway.config import Configuration
from kuva_gateway.monitoring.situation import Situation
from kuva_gateway.web.access import Access
from kuva_gateway.web.application import application
from kuva_gateway.web.reading import CatalogReader
from kuva_gateway.web.telling import MASKED
from kuva_gateway.web.words import EVENTS, WORDS
from tests.unit.catalog.making import ARCHIVE, MISSING, Hospital

PATIENT = "010101-999R"
LONG = timedelta(hours=1)


def browser(hospital: Hospital, *, seen: Any = None, **web: Any) -> TestClient:
    web = {"user_header": "X-Remote-User", **web}
    configuration = Configuration.model_validate({"environment": "test", "web": web})
    made = application(
        configuration,
        lambda: (Situation(at=hospital.clock()), None),
        CatalogReader(lambda: hospital.catalog, hospital.spool.open_instance, hospital.spool.root),
        access=Access(user_header=web["user_header"]),
        seen=seen or (lambda user, study: True),
    )
    return TestClient(made, base_url="http://localhost", headers={"X-Remote-User": "anna", "Accept-Language": "en"})


def test_a_held_study_says_what_is_wrong_what_to_do_and_how_it_came_there(hospital: Hospital) -> None:
    hospital.hold("1.2.1", MISSING, PatientID=PATIENT)
    studies.release(hospital.catalog, "1.2.1", by="anna", reason="seen by a radiologist", destinations=(ARCHIVE,))
    page = browser(hospital).get("/study/1.2.1").text
    assert MISSING.message in page
    assert "Released by anna on" in page
    assert "seen by a radiologist" in page
    for event in ("received whole", "held by rules", "released"):
        assert f"<b>{event}</b>" in page
    assert page.index("received whole") < page.index("held by rules") < page.index("<b>released</b>")
    assert "Seen by anna." in page


def test_without_permission_no_patient_is_shown_and_nobody_is_told(hospital: Hospital) -> None:
    looks: list[Any] = []
    hospital.hold("1.2.1", MISSING, PatientID=PATIENT)
    page = browser(hospital, seen=lambda *look: looks.append(look)).get("/study/1.2.1").text
    assert PATIENT not in page
    assert MASKED in page
    assert WORDS["en"]["masked"] in page
    assert looks == []


def test_with_permission_the_patient_is_shown_once_the_look_is_written_down(hospital: Hospital) -> None:
    looks: list[Any] = []
    hospital.hold("1.2.1", MISSING, PatientID=PATIENT)

    def seen(user: str, study: Any) -> bool:
        looks.append((user, study["study_instance_uid"], study["patient_id"]))
        return True

    page = browser(hospital, seen=seen, show_patients=True).get("/study/1.2.1").text
    assert PATIENT in page
    assert looks == [("anna", "1.2.1", PATIENT)]
    page = browser(hospital, seen=lambda user, study: False, show_patients=True).get("/study/1.2.1").text
    assert PATIENT not in page


def test_an_archives_words_are_shown_with_patients_only(hospital: Hospital) -> None:
    hospital.accept("1.2.1", destinations=(ARCHIVE,), PatientID=PATIENT)
    entry = hospital.claimed()
    entries.fail(hospital.catalog, entry.id, hospital.attempt("refused", code="A900", comment=f"unknown {PATIENT}"))
    for shown in (False, True):
        page = browser(hospital, show_patients=shown).get("/study/1.2.1").text
        assert "A900" in page
        assert (PATIENT in page) == shown
        assert (f"unknown {PATIENT}" in page) == shown


def test_a_study_is_found_by_its_numbers_and_shown_at_once(hospital: Hospital) -> None:
    hospital.hold("1.2.1", MISSING, AccessionNumber="A1")
    hospital.hold("1.2.2", MISSING, AccessionNumber="A2")
    pages = browser(hospital)
    series, instance = (
        hospital.rows("SELECT uid FROM series ORDER BY id")[0]["uid"],
        hospital.rows("SELECT uid FROM instances ORDER BY id")[0]["uid"],
    )
    for asked in ("A1", "1.2.1", series, instance, " A1 "):
        answer = pages.get("/find", params={"q": asked, "lang": "fi"}, follow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, "study/1.2.1?lang=fi")
    nothing = pages.get("/find", params={"q": "<script>"})
    assert nothing.status_code == 200
    assert WORDS["en"]["found_none"] in nothing.text
    assert 'value="&lt;script&gt;"' in nothing.text
    assert WORDS["en"]["find"] in pages.get("/find").text


def test_several_studies_with_one_number_are_listed(hospital: Hospital) -> None:
    for uid in ("1.2.1", "1.2.2"):
        hospital.hold(uid, MISSING, AccessionNumber="A1", PatientID=PATIENT)
        hospital.clock.forward(hours=1)
    page = browser(hospital, show_patients=True).get("/find?q=A1").text
    assert page.index('href="study/1.2.2"') < page.index('href="study/1.2.1"')
    assert PATIENT not in page


def test_studies_that_a_rule_holds_are_listed_the_longest_held_first(hospital: Hospital) -> None:
    for uid in ("1.2.2", "1.2.1"):
        hospital.hold(uid, MISSING)
        hospital.clock.forward(hours=1)
    hospital.accept("1.2.3", destinations=(ARCHIVE,))
    page = browser(hospital).get(f"/held/{MISSING.rule}").text
    assert page.index('href="../study/1.2.2"') < page.index('href="../study/1.2.1"')
    assert "1.2.3" not in page


@pytest.mark.parametrize("path", ["/study/9.9", "/study/%2e%2e", "/study/1.2<b>", "/held/nothing", "/held/COD-3"])
def test_what_is_not_there_is_a_404_that_leads_back(hospital: Hospital, path: str) -> None:
    answer = browser(hospital).get(path)
    assert answer.status_code == 404
    assert "<b>" not in answer.text
    assert "Refresh" not in answer.headers


def test_peers_text_is_escaped_on_every_page(hospital: Hospital) -> None:
    hostile = "<i class=x>"
    hospital.hold("1.2.1", MISSING, AccessionNumber=hostile, PatientID=hostile)
    pages = browser(hospital, show_patients=True)
    for path in ("/study/1.2.1", f"/held/{MISSING.rule}"):
        page = pages.get(path).text
        assert "<i " not in page
        assert "&lt;i class" in page


def test_a_look_only_reads(hospital: Hospital) -> None:
    hospital.hold("1.2.1", MISSING)
    before = hospital.rows("SELECT COUNT(*) AS n FROM history")
    pages = browser(hospital)
    for path in ("/", "/study/1.2.1", "/find?q=1.2.1", "/held/COD-03"):
        assert pages.get(path).status_code == 200
        assert pages.head(path).status_code == 200
    assert hospital.rows("SELECT COUNT(*) AS n FROM history") == before


def test_every_event_of_studies_and_entries_has_words(hospital: Hospital) -> None:
    assert {event for table in (STUDY, ENTRY) for _, event in table} <= EVENTS.keys()


def test_the_flow_counts_each_hour_from_the_history(hospital: Hospital) -> None:
    until = hospital.clock() + 25 * LONG
    assert sum(map(sum, flow(hospital.catalog, until).hours.values())) == 0
    hospital.hold("1.2.1", MISSING)
    hospital.clock.forward(hours=2)
    hospital.accept("1.2.2", destinations=(ARCHIVE,))
    hospital.deliver("archive")
    found = flow(hospital.catalog, until).hours
    assert (sum(found["received"]), sum(found["held"]), sum(found["delivered"])) == (1, 0, 1)
    found = flow(hospital.catalog, hospital.clock() + LONG / 60).hours
    assert (found["received"][21], found["received"][23]) == (1, 1)
    assert (found["held"][21], sum(found["held"]), found["delivered"][23]) == (1, 1, 1)


def test_a_picture_is_for_those_who_see_patients_and_is_one_look_with_its_page(hospital: Hospital) -> None:
    looks: list[str] = []

    def seen(user: str, study: Any) -> bool:
        looks.append(user)
        return True

    pixels = bytes(range(32))
    hospital.hold("1.2.1", MISSING, BitsAllocated=16, PhotometricInterpretation="MONOCHROME2", PixelData=pixels)
    hidden, shown = browser(hospital), browser(hospital, seen=seen, show_patients=True)
    assert "picture.png" not in hidden.get("/study/1.2.1").text
    assert hidden.get("/study/1.2.1/picture.png").status_code == 404
    for _ in range(2):
        assert 'src="1.2.1/picture.png"' in shown.get("/study/1.2.1").text
        answer = shown.get("/study/1.2.1/picture.png")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
        assert answer.content.startswith(b"\x89PNG")
    assert looks == ["anna"]
    shown.get("/study/1.2.1", headers={"X-Remote-User": "bert"})
    assert looks == ["anna", "bert"]
    refused = browser(hospital, seen=lambda user, study: False, show_patients=True)
    assert refused.get("/study/1.2.1/picture.png").status_code == 404


def test_a_study_without_an_image_that_is_here_has_no_picture(hospital: Hospital) -> None:
    hospital.hold("1.2.1", MISSING, Rows=0)
    pages = browser(hospital, show_patients=True)
    assert pages.get("/study/1.2.1/picture.png").status_code == 404
    assert pages.get("/study/9.9/picture.png").status_code == 404
