"""Documents, lists of codes and HL7 messages as hospital systems write them, with what they say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from kuva_gateway.clinical.codes import CodePeriod
from tests.authorizations import build_authorization
from tests.documents import build_document

HETUS = st.sampled_from(["010516B903X", "010594Y9032"])
ROOT = "1.2.246.10.99999984"
OIDS = st.lists(st.integers(1, 99999), min_size=1, max_size=4).map(lambda arcs: ".".join((ROOT, *map(str, arcs))))
LETTERS = "ABCxyzåäö ÅÄÖé'-"
WORDS = st.text(LETTERS, min_size=1, max_size=12).map(lambda text: " ".join(text.split())).filter(bool)
DAYS = st.dates(date(1950, 1, 1), date(2029, 12, 31))


@st.composite
def imaging_documents(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """The facts of a document (as :func:`build_document` takes them), and the document."""
    encoding = draw(st.sampled_from(["UTF-8", "ISO-8859-1", "UTF-16"]))
    facts: dict[str, Any] = {
        "kind": draw(st.sampled_from(["request", "examination_entry", "report", "other"])),
        "oid": draw(OIDS),
        "set_id": draw(OIDS),
        "version": draw(st.integers(1, 999_999)),
        "replaces": draw(st.none() | OIDS),
        "study_uid": draw(st.none() | OIDS),
        "accession": draw(st.none() | st.text("A019-.<&\"' ", min_size=1, max_size=16).filter(str.strip)),
        "hetu": draw(HETUS),
        "code": draw(st.none() | st.sampled_from(["GD1AA", "YX8AD"])),
        "record_status": draw(st.sampled_from(["1", "2", "3"])),
        "encoding": encoding,
    }
    return facts, build_document(**facts)


@st.composite
def authorizations(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """The facts of an authorization (as :func:`build_authorization` takes them), and the document."""
    first, length = draw(DAYS), draw(st.integers(0, 3000))
    facts: dict[str, Any] = {
        "oid": draw(OIDS),
        "version": draw(st.integers(1, 99)),
        "replaces": draw(st.just("") | OIDS),
        "patient": draw(st.just("") | HETUS),
        "valid": (f"{first:%Y%m%d}", f"{first + timedelta(length):%Y%m%d}"),
        "search": draw(st.sampled_from(["", "2", "3"])),
        "events": tuple(draw(st.lists(OIDS, max_size=2, unique=True))),
    }
    return facts, build_authorization(**facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Codes and a file that lists them; ``bad`` are the lines that nobody can trust."""

    periods: list[CodePeriod]
    bad: list[int]
    data: bytes


_CODES = st.from_regex(r"[A-Z]{2}[0-9][A-Z]{2}", fullmatch=True)


@st.composite
def _periods(draw: st.DrawFn) -> CodePeriod:
    begin = draw(DAYS)
    abbreviation = draw(WORDS)
    return CodePeriod(
        code=draw(_CODES),
        name=draw(WORDS),
        abbreviation=abbreviation,
        valid_from=begin,
        valid_to=draw(st.none() | st.integers(0, 300).map(lambda days: begin + timedelta(days))),
        replaced_by=tuple(draw(st.lists(_CODES, max_size=2, unique=True))),
        radiology=draw(st.booleans()),
        leaf=draw(st.booleans()),
        level=draw(st.none() | st.integers(0, 9)),
    )


_COLUMNS = (
    *("CodeId", "Abbreviation", "LongName", "BeginningDate", "ExpiringDate", "Status", "HierarchyLevel"),
    *("A:Korvaava koodi", "A:Lehtisolmu", "A:Radiologia"),
)
_BAD_CELLS = (
    ["x"],
    [""] * 30,
    ["GD1AA", "", "b", "32.13.2020", *[""] * 6],
    ["", "", "no code", "01.01.2000", *[""] * 6],
    ["GD1AA", "", "ended before it began", "02.01.2000", "01.01.2000", *[""] * 5],
)


def _cells(draw: st.DrawFn, one: CodePeriod) -> list[str]:
    dates = draw(st.sampled_from(["%d.%m.%Y", "%Y-%m-%d", "%d/%m/%Y"]))
    end = one.valid_to.strftime(dates) if one.valid_to else draw(st.sampled_from(["", "31.12.2030", "2099-12-31"]))
    level = "" if one.level is None else draw(st.sampled_from([f"{one.level}", f"{one.level}.0"]))
    return [
        *(one.code, one.abbreviation, one.name, one.valid_from.strftime(dates), end, draw(st.sampled_from(["1", ""]))),
        *(level, ",".join(one.replaced_by), "TF"[not one.leaf], "TF"[not one.radiology]),
    ]


@st.composite
def code_lists(draw: st.DrawFn) -> Listed:
    """A list as text, its columns in any order, with lines between that are none."""
    periods = draw(st.lists(_periods(), min_size=1, max_size=6, unique_by=lambda one: (one.code, one.valid_from)))
    order = draw(st.permutations(range(len(_COLUMNS))))
    rows: list[list[str]] = [list(_COLUMNS)]
    bad = []
    for one in periods:
        if draw(st.booleans()):
            rows.append(draw(st.sampled_from(_BAD_CELLS)))
            bad.append(len(rows))
        rows.append(_cells(draw, one))
    lines = [";".join(row[place] for place in order) if len(row) == len(order) else ";".join(row) for row in rows]
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines)
    codec = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    return Listed(periods=periods, bad=bad, data=text.encode(codec))


@st.composite
def code_pages(draw: st.DrawFn) -> Listed:
    """The same codes as pages of the REST interface."""
    periods = draw(st.lists(_periods(), min_size=1, max_size=6, unique_by=lambda one: (one.code, one.valid_from)))
    concepts = []
    for one in periods:
        cells = dict(zip(_COLUMNS, _cells(draw, one), strict=True))
        kept = {name: cells.pop(name) for name in ("Status", "HierarchyLevel")}
        concepts.append(
            {
                "conceptCodeId": cells.pop("CodeId"),
                "beginDate": cells.pop("BeginningDate"),
                "expirationDate": cells.pop("ExpiringDate") or None,
                **kept,
                "attributes": [
                    {"attributeName": name.removeprefix("A:"), "attributeValue": [value]}
                    for name, value in cells.items()
                ],
            }
        )
    cut = draw(st.integers(0, len(concepts)))
    pages = [{"totalItems": len(concepts), "conceptCodes": part} for part in (concepts[:cut], concepts[cut:]) if part]
    text = draw(st.sampled_from(["\n", ""])).join(json.dumps(page) for page in pages)
    return Listed(periods=periods, bad=[], data=text.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One patient of a message, and the ids that she had before."""

    name: str
    birth_date: str
    sex: str
    old: tuple[tuple[str, str], ...]


@st.composite
def adt_messages(draw: st.DrawFn) -> tuple[str, str, list[Person], bytes]:
    """The event, the id that counts, the persons and the message, in any separators and character set."""
    event = draw(st.sampled_from(["A40", "A08"]))
    marks = draw(st.permutations("|^~\\&#*!?@")).copy()[:5]
    field, component, repetition, escape, subcomponent = marks
    codec, named = draw(st.sampled_from([("utf-8", "UNICODE UTF-8"), ("latin-1", "8859/1"), ("iso8859-15", "8859/15")]))
    hetu = draw(HETUS)

    def written(text: str) -> str:
        known = {field: "F", component: "S", repetition: "R", escape: "E", subcomponent: "T"}
        return "".join(f"{escape}{known[one]}{escape}" if one in known else one for one in text)

    def identifier(value: str, issuer: str) -> str:
        return component.join([written(value), "", "", subcomponent.join(["X", issuer, "ISO"])])

    ids = st.tuples(st.text("AB12-|^~&?#", min_size=1, max_size=10).filter(lambda one: one.strip()), OIDS)
    people, segments = [], [f"EVN{field}{event}"]
    for _ in range(draw(st.integers(1, 2))):
        names = draw(st.lists(st.text("ABCåäöxyz", min_size=1, max_size=8), min_size=1, max_size=2))
        old = tuple(draw(st.lists(ids, min_size=1, max_size=2, unique=True)))
        person = Person(
            name="^".join(names),
            birth_date=draw(st.just("") | DAYS.map(lambda day: f"{day:%Y%m%d}")),
            sex=draw(st.sampled_from(["", "M", "F", "O"])),
            old=old,
        )
        people.append(person)
        identity = identifier(hetu, "1.2.246.21")
        segments.append(
            field.join(["PID", "1", "", identity, "", component.join(names), "", person.birth_date, person.sex])
        )
        segments.append(field.join(["MRG", repetition.join(identifier(value, issuer) for value, issuer in old)]))
    kind = component.join(["ADT", event, "ADT_A39"])
    head = ["MSH", "".join(marks[1:]), "a", "b", "c", "d", "2026", "", kind, "1", "P", "2.5", *[""] * 5, named]
    text = draw(st.sampled_from(["\r", "\n", "\r\n"])).join([field.join(head), *segments, ""])
    return event, hetu, people, text.encode(codec)
