"""The status page: what it says, in which language, and what it never does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from starlette.testclient import TestClient

from kuva_gateway.catalog.figures import CatalogFigures, Rest
from kuva_gateway.catalog.flow import COUNTED, Flow
from kuva_gateway.catalog.states import ENTRY, STUDY
from kuva_gateway.config import Configuration
from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.monitoring.alerts import ALERTS
from kuva_gateway.monitoring.situation import Situation
from kuva_gateway.validation.rules import RULES
from kuva_gateway.web.application import FRESH, application
from kuva_gateway.web.words import ALERTS_FI, STATES, WORDS

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\"'&"


def figures(**changed: Any) -> CatalogFigures:
    empty: dict[str, Any] = {
        "at": NOW,
        "studies": {},
        "instances": 0,
        "bytes": 0,
        "entries": {},
        "held_by_rule": {},
        "oldest_unarchived": None,
        "oldest_held": None,
        "overdue": {},
        "resting": {},
        "untold": 0,
    }
    return CatalogFigures(**{**empty, **changed})


class Read:
    """A catalog in which a test says what there is."""

    def __init__(self, *, numbers: tuple[int, ...] = (0,) * 24, failed: tuple[dict[str, Any], ...] = ()) -> None:
        self.numbers, self.failures = numbers, failed

    def flow(self, until: datetime) -> Flow:
        return Flow(until=until, hours=dict.fromkeys(COUNTED, self.numbers))

    def failed(self) -> list[dict[str, Any]]:
        return list(self.failures)

    def held(self, rule: str) -> list[dict[str, Any]]:
        raise CatalogUnavailableError("away")

    found = study = picture = held


def client(
    situation: Situation, stopped_at: datetime | None = None, *, read: Read | None = None, **keys: Any
) -> TestClient:
    configuration = Configuration.model_validate({"environment": "test", **keys})
    made = application(configuration, lambda: (situation, stopped_at), read or Read())
    return TestClient(made, base_url="http://127.0.0.1:8480")


def well(**changed: Any) -> Situation:
    return Situation(at=NOW, catalog=figures(**changed))


@pytest.mark.parametrize(("language", "words"), [("en", "All is well"), ("fi", "Kaikki on kunnossa")])
def test_an_empty_gateway_that_runs_is_well_in_both_languages(language: str, words: str) -> None:
    answer = client(well()).get(f"/?lang={language}")
    assert answer.status_code == 200
    assert f'<h1 class="well">{words}</h1>' in answer.text
    assert f'<html lang="{language}">' in answer.text
    assert WORDS["fi" if language == "fi" else "en"]["held_none"] in answer.text


@pytest.mark.parametrize(
    ("configured", "header", "expected"),
    [("fi", "", "fi"), ("en", "fi-FI,fi;q=0.9", "fi"), ("fi", "sv,en;q=0.5", "en"), ("fi", "sv", "fi")],
)
def test_the_browser_chooses_the_language_before_the_configuration(configured: str, header: str, expected: str) -> None:
    answer = client(well(), language=configured).get("/", headers={"Accept-Language": header})
    assert answer.headers["Content-Language"] == expected


def test_a_gateway_that_is_down_says_since_when_in_the_hospitals_time() -> None:
    page = client(Situation(at=NOW, down="the gateway is not running", catalog=figures()), NOW).get("/?lang=en").text
    assert '<h1 class="critical">' in page
    assert "The gateway is not running. Stopped at 2026-03-02 03:00." in page
    assert "journalctl" in page


def test_a_catalog_that_is_away_is_told_without_the_databases_own_words() -> None:
    page = client(Situation(at=NOW, catalog_away="host=db password=hunter2")).get("/?lang=en").text
    assert "The catalog does not answer" in page
    assert "hunter2" not in page
    assert page.count(WORDS["en"]["unknown"]) >= 5


def test_a_day_is_drawn_hour_by_hour_and_said_in_words() -> None:
    numbers = (0,) * 20 + (3, 9, 0, 1)
    page = client(well(), read=Read(numbers=numbers)).get("/?lang=en").text
    assert 'aria-label="Archived studies: 13; most at 00:00: 9"' in page
    assert "<title>23:00: 3</title>" in page
    heights = [int(one) for one in re.findall(r'<rect x="\d+" y="\d+" width="8" height="(\d+)">', page)]
    assert heights == ([0] * 20 + [13, 40, 0, 4]) * 4


def test_failed_deliveries_are_told_with_their_reason_and_remedy_and_lead_to_the_study() -> None:
    entry = {
        "study_instance_uid": "1.2.3",
        "destination": HOSTILE,
        "state": "failed",
        "attempts": 3,
        "sent": 1,
        "committed": 0,
        "next_attempt_at": None,
        "last_error": {"at": "2026-03-02T00:00:00Z", "code": "A900", "meaning": "no match", "comment": "Testi^Potilas"},
        "remedy": "mend it",
    }
    page = client(well(), read=Read(failed=(entry,) * 11)).get("/?lang=fi").text
    assert "&lt;script&gt;alert(1)" in page
    assert "A900 no match" in page
    assert "Testi" not in page
    assert '<a href="study/1.2.3?lang=fi">1.2.3</a>' in page
    assert page.count("mend it") == 10
    assert WORDS["fi"]["more_failed"] in page


def test_a_catalog_that_goes_away_between_two_questions_leaves_the_rest_of_the_page() -> None:
    class Gone(Read):
        def flow(self, until: datetime) -> Flow:
            raise CatalogUnavailableError("away")

    answer = client(well(), read=Gone()).get("/?lang=en")
    assert answer.status_code == 200
    assert answer.text.count(WORDS["en"]["unknown"]) == 3
    for path in ("/held/COD-03", "/study/1.2.3", "/find?q=1"):
        assert client(well()).get(path).status_code == 503


def test_a_held_study_is_told_by_rule_with_its_remedy_in_finnish() -> None:
    rule = next(iter(RULES.values()))
    page = client(well(studies={"held": 7}, held_by_rule={rule.id: 7})).get("/?lang=fi").text
    assert f"{rule.id}: 7" in page
    assert "<dt>pidätetty</dt><dd>7</dd>" in page
    assert WORDS["fi"]["list_held"] in page


def test_a_resting_destination_says_since_when_and_when_it_is_tried() -> None:
    rest = Rest(since=NOW - timedelta(hours=2), until=NOW + timedelta(minutes=5), code="refused")
    page = client(well(resting={"ark": rest}, entries={("ark", "deferred"): 3})).get("/?lang=en").text
    assert "rests since 2026-03-02 01:00, next try 2026-03-02 03:05 (refused)" in page
    assert "deferred 3" in page


def test_hostile_text_is_escaped_wherever_it_is_shown() -> None:
    rest = Rest(since=NOW - timedelta(hours=2), until=NOW, code=HOSTILE)
    seen = well(held_by_rule={HOSTILE: 1}, entries={(HOSTILE, "failed"): 1}, resting={HOSTILE: rest})
    page = client(seen).get("/", params={"lang": HOSTILE}).text
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4


def test_every_answer_forbids_scripts_frames_and_keeping() -> None:
    for path in ("/", "/style.css"):
        headers = client(well()).get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert client(well()).get("/").headers["Refresh"] == "30"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_reading_is_answered(method: str) -> None:
    assert client(well()).request(method, "/").status_code == 405


@pytest.mark.parametrize("path", ["/front.html", "/..%2f..%2fetc/passwd", "/templates/style.css", "/static/../style"])
def test_no_other_path_leads_anywhere(path: str) -> None:
    assert client(well()).get(path).status_code == 404


def test_many_who_ask_cost_one_look_every_few_seconds() -> None:
    looks, clock = [], [0.0]

    def look() -> tuple[Situation, None]:
        looks.append(clock[0])
        return well(), None

    browser = TestClient(
        application(Configuration(environment="test"), look, Read(), clock=lambda: clock[0]),
        base_url="http://localhost",
    )
    for at in (0.0, FRESH - 0.1, FRESH):
        clock[0] = at
        browser.get("/")
    assert looks == [0.0, FRESH]


def test_the_page_listens_on_this_machine_alone() -> None:
    with pytest.raises(ValueError, match=r"web\.host"):
        Configuration.model_validate({"environment": "test", "web": {"host": "0.0.0.0"}})


def test_both_languages_have_the_same_words_and_every_alert_and_state_has_finnish_ones() -> None:
    assert WORDS["en"].keys() == WORDS["fi"].keys()
    assert ALERTS_FI.keys() == {alert.name for alert in ALERTS}
    ends = {(before, after) for table in (STUDY, ENTRY) for (before, _), after in table.items()}
    assert STATES.keys() == {state for pair in ends for state in pair}


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def schemes() -> list[Mapping[str, str]]:
    style = files("kuva_gateway.web").joinpath("templates", "style.css").read_text()
    light, dark = style.split("prefers-color-scheme", 1)
    return [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", text)) for text in (light, dark)]


@pytest.mark.parametrize("scheme", schemes(), ids=["light", "dark"])
def test_every_colour_of_text_has_contrast_enough_by_wcag_aa(scheme: Mapping[str, str]) -> None:
    ground = luminance(scheme["ground"])
    assert len(scheme) == 7
    for name in scheme.keys() - {"ground"}:
        darker, lighter = sorted((ground, luminance(scheme[name])))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, name


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8480", 200),
        ("LocalHost", 200),
        ("127.0.0.1:8480", 200),
        ("[::1]:8480", 200),
        ("Status.Hospital.example:443", 200),
        ("hospital.example", 421),
        ("127.0.0.1.rebound.example:8480", 421),
        ("[::2]:8480", 421),
        ("", 421),
    ],
)
@pytest.mark.parametrize("path", ["/", "/style.css", "/nothing"])
def test_who_comes_by_a_foreign_name_sees_nothing(host: str, status: int, path: str) -> None:
    browser = client(well(), web={"allowed_hosts": ["status.hospital.example"]})
    answer = browser.get(path, headers={"Host": host})
    assert answer.status_code == (404 if status == 200 and path == "/nothing" else status)
    if status == 421:
        assert answer.text == "This page is not known by that name (web.allowed_hosts).\n"
        assert answer.headers["Cache-Control"] == "no-store"
