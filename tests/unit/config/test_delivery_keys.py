"""Filters, hours and judgements as operators write them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from kuva_gateway.config import Configuration, parse
from kuva_gateway.config.delivery import Filter, Hours
from kuva_gateway.errors import ConfigurationError

HELSINKI = ZoneInfo("Europe/Helsinki")


def written(text: str) -> Configuration:
    head = "environment: test\ndestinations:\n  - {name: archive, ae_title: A, host: h, port: 1, "
    return parse(f"{head}{text}}}\n", Path("/etc/kuva.yaml"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=HELSINKI)


def test_a_filter_has_one_value_or_many_for_each_key_and_an_exception() -> None:
    found = written("filter: {modality: CT, procedure_code: [GD1*, AA1AD], unless: {peer: research-ct}}")
    assert found.destinations[0].filter == Filter.model_validate(
        {"modality": ["CT"], "procedure_code": ["GD1*", "AA1AD"], "unless": {"peer": ["research-ct"]}}
    )
    assert found.destinations[0].filter.peers == {"research-ct"}


def test_a_destination_without_a_filter_takes_everything() -> None:
    assert not written("filter: {}").destinations[0].filter
    assert written("filter: {unless: {modality: US}}").destinations[0].filter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("filter: {modalty: CT}", "destinations[0].filter.modalty: unknown key"),
        ("filter: {modality: ct}", "expected modalities such as CT"),
        ("filter: {procedure_code: '*1'}", "expected codes such as GD1AD"),
        ("filter: {unless: {unless: {}}}", "unknown key"),
        ("window: nights", "expected hours such as 18:00-06:00"),
        ("window: 25:00-06:00", "expected hours such as 18:00-06:00"),
        ("window: 06:00-06:00", "the hours begin when they end"),
        ("bandwidth: 10B", "greater than or equal to 1024"),
        ("statuses: {A77: person}", "'A77' is no status"),
        ("statuses: {0110: person}", "in quotes"),
        ("statuses: {A77x: wait}", "expected one of delivered, warning, temporary, person"),
        ("statuses: {A77x: person everybody}", "and then perhaps one of instance, study"),
        ("statuses: {no-answer: temporary}", "is no status"),
        ("statuses: [A700]", "expected statuses and judgements"),
    ],
)
def test_what_cannot_mean_anything_is_a_fault_with_its_line(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        written(text)
    (problem,) = caught.value.problems
    assert expected in str(problem)
    assert problem.line == 3


def test_judgements_are_kept_as_one_reads_them() -> None:
    found = written('statuses: {a77X: "person, study", "0110": person, context: temporary}')
    assert found.destinations[0].statuses == {"A77x": "person study", "0110": "person", "context": "temporary"}


@pytest.mark.parametrize(
    ("hours", "moment", "is_open"),
    [
        ("18:00-06:00", "2024-03-04T17:59:59", False),
        ("18:00-06:00", "2024-03-04T18:00:00", True),
        ("18:00-06:00", "2024-03-05T05:59:59", True),
        ("18:00-06:00", "2024-03-05T06:00:00", False),
        ("08:00-12:00,13:00-16:00", "2024-03-04T12:30:00", False),
        ("08:00-12:00,13:00-16:00", "2024-03-04T13:30:00", True),
        ("20:00-24:00", "2024-03-04T23:59:00", True),
        ("20:00-24:00", "2024-03-04T00:00:00", False),
    ],
)
def test_hours_may_go_over_midnight_and_be_several(hours: str, moment: str, is_open: bool) -> None:
    assert Hours.parse(hours).open(at(moment)) is is_open


@pytest.mark.parametrize(
    ("hours", "moment", "opens"),
    [
        ("18:00-06:00", "2024-03-04T09:00", "2024-03-04T18:00"),
        ("18:00-06:00", "2024-03-04T18:00", "2024-03-05T18:00"),
        ("08:00-12:00,13:00-16:00", "2024-03-04T12:30", "2024-03-04T13:00"),
        ("08:00-12:00,13:00-16:00", "2024-03-04T17:00", "2024-03-05T08:00"),
        ("08:00-12:00", "2024-03-30T17:00", "2024-03-31T08:00"),
    ],
)
def test_hours_begin_at_the_wall_clocks_time(hours: str, moment: str, opens: str) -> None:
    """The last one is the night in which summer time begins: eight o'clock is an hour nearer."""
    assert Hours.parse(hours).opens(at(moment)) == at(opens)
