"""Who is let in: whom the proxy names, who gives the token, and everybody where nobody is asked."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from kuva_gateway.config import Configuration
from kuva_gateway.errors import RefusedError
from kuva_gateway.monitoring.situation import Situation
from kuva_gateway.web.access import NAME_LENGTH, Access, read_token
from kuva_gateway.web.application import application
from tests.unit.web.test_front_page import Read

TOKEN = "0123456789abcdef-ä"
HEADER = {"user_header": "X-Remote-User"}


def basic(name: str, secret: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


@pytest.mark.parametrize(
    ("access", "headers", "who"),
    [
        ({}, {}, ""),
        ({}, {"x-remote-user": "anna"}, ""),
        (HEADER, {"x-remote-user": " anna "}, "anna"),
        (HEADER, {"x-remote-user": ""}, None),
        (HEADER, {}, None),
        (HEADER, basic("anna", TOKEN), None),
        ({"token": TOKEN}, basic("anna", TOKEN), "anna"),
        ({"token": TOKEN}, basic("", TOKEN), "token"),
        ({"token": TOKEN}, {"authorization": f"Bearer {TOKEN}"}, "token"),
        ({"token": TOKEN}, basic("anna", TOKEN + "x"), None),
        ({"token": TOKEN}, basic("anna", ""), None),
        ({"token": TOKEN}, {"authorization": "Basic %%%"}, None),
        ({"token": TOKEN}, {"authorization": "Basic /////w=="}, None),
        ({"token": TOKEN}, {"authorization": f"Digest {TOKEN}"}, None),
        ({"token": TOKEN}, {"x-remote-user": "anna"}, None),
        ({**HEADER, "token": TOKEN}, {"x-remote-user": "anna"}, "anna"),
        ({**HEADER, "token": TOKEN}, basic("bert", TOKEN), "bert"),
        (HEADER, {"x-remote-user": "a\x1b[2Jb"}, "a?[2Jb"),
        (HEADER, {"x-remote-user": "x" * 1000}, "x" * NAME_LENGTH),
    ],
)
def test_who_asks(access: dict[str, Any], headers: dict[str, str], who: str | None) -> None:
    assert Access(**access).who(headers) == who


def client(access: Access) -> TestClient:
    situation = Situation(at=datetime(2026, 3, 2, tzinfo=UTC))
    made = application(Configuration(environment="test"), lambda: (situation, None), Read(), access=access)
    return TestClient(made, base_url="http://localhost")


@pytest.mark.parametrize("path", ["/", "/style.css", "/find", "/study/1.2.3", "/nothing"])
def test_nobody_sees_anything_without_a_name_where_one_is_asked_for(path: str) -> None:
    named = client(Access(user_header="X-Remote-User")).get(path)
    assert (named.status_code, named.headers.get("WWW-Authenticate")) == (403, None)
    known = client(Access(token=TOKEN)).get(path)
    assert known.status_code == 401
    assert known.headers["WWW-Authenticate"].startswith("Basic ")
    assert known.headers["Cache-Control"] == "no-store"


def test_a_header_that_comes_twice_names_nobody() -> None:
    pages = client(Access(user_header="X-Remote-User"))
    assert pages.get("/", headers=[("X-Remote-User", "anna")]).status_code == 200
    assert pages.get("/", headers=[("X-Remote-User", "anna"), ("X-Remote-User", "bert")]).status_code == 403


def test_a_token_is_read_from_its_file_and_a_short_one_is_none(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(RefusedError, match="cannot be read"):
        read_token(file)
    file.write_text("short\n")
    with pytest.raises(RefusedError, match="fewer than 16"):
        read_token(file)
    file.write_bytes(b"\xff" * 20)
    with pytest.raises(RefusedError, match="no text"):
        read_token(file)
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN


def test_patients_are_shown_to_known_people_only() -> None:
    with pytest.raises(ValueError, match="show_patients needs user_header or token"):
        Configuration.model_validate({"environment": "test", "web": {"show_patients": True}})
    for known in (HEADER, {"token": "web.token"}):
        assert Configuration.model_validate({"environment": "test", "web": {"show_patients": True, **known}})
