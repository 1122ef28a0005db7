"""A content class opens: the real rules, tables, catalog and admission, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from kuva_gateway import parts
from kuva_gateway.catalog import codes, studies
from kuva_gateway.clinical.codes import CodePeriod
from kuva_gateway.config import Configuration
from kuva_gateway.queue.admission import Admission
from kuva_gateway.validation.rules import RULES
from tests.unit.queue.line import Line, line

WAITING = {"StudyDescription": "GD1AD Thorax TT"}
CLASSES = """\
classes:
  - id: ct
    name: {{en: Computed tomography, fi: Tietokonetomografia}}
    codes: ["????D"]
    open_from: {opens}
"""
EVENING = datetime(2026, 11, 22, 21, 59, 58, tzinfo=UTC)
"""Two seconds before midnight in Helsinki, where it is winter."""


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Line]:
    with line(tmp_path) as made:
        period = CodePeriod(code="GD1AD", name="Thorax TT", valid_from=date(2017, 1, 1), radiology=True)
        codes.store(made.catalog, [period])
        yield made


class Gate:
    """Admission as the daemon makes it, at a time that the test sets."""

    def __init__(self, way: Line, folder: Path, opens: str) -> None:
        (folder / "classes.yaml").write_text(CLASSES.format(opens=opens))
        self.now = EVENING
        self.configuration = Configuration(
            environment="test",
            state_directory=folder,
            rules={rule: "off" for rule in RULES if rule != "CON-01"},
            archive={"content_classes": "classes.yaml"},
        )
        self.again = studies.judged_by(way.catalog, parts.judged_by(self.configuration))
        self.admission = Admission(
            way.catalog,
            judge=parts.make_judge(self.configuration, way.catalog, lambda: self.now),
            amend=lambda view: (),
            destinations=(),
            settle_after=timedelta(0),
            settle_at_most=timedelta(0),
            indexer_passed=lambda moment: True,
            in_flight=lambda uid: False,
            now=lambda: datetime.now(UTC) + timedelta(minutes=1),
            today=parts.make_today(self.configuration, lambda: self.now),
            admitted=lambda: None,
            log=way.log,
        )

    def run(self) -> int:
        return self.admission.run()


def test_a_study_goes_on_its_own_in_the_first_second_of_the_local_day_on_which_its_class_opens(
    way: Line, tmp_path: Path
) -> None:
    gate = Gate(way, tmp_path, "2026-11-23")
    sent = way.receive(1, **WAITING)
    assert gate.run() == 1
    assert way.study(sent.uid) == "held"
    (finding,) = studies.show(way.catalog, sent.uid)["findings"]
    assert "opens on 2026-11-23" in finding["message"]
    assert gate.run() == 0
    gate.now += timedelta(seconds=3)
    assert gate.run() == 1
    assert way.study(sent.uid) == "accepted"
    assert gate.run() == 0


def test_a_gateway_that_was_down_on_that_day_lets_the_study_go_when_it_is_back(way: Line, tmp_path: Path) -> None:
    gate = Gate(way, tmp_path, "2026-11-23")
    sent = way.receive(1, **WAITING)
    gate.run()
    later = Gate(way, tmp_path, "2026-11-23")
    assert later.again == 0
    later.now += timedelta(days=30)
    assert later.run() == 1
    assert way.study(sent.uid) == "accepted"


def test_another_day_in_the_file_counts_from_the_next_start(way: Line, tmp_path: Path) -> None:
    gate = Gate(way, tmp_path, "2027-06-01")
    sent = way.receive(1, **WAITING)
    gate.run()
    assert way.study(sent.uid) == "held"
    sooner = Gate(way, tmp_path, "2026-01-01")
    assert sooner.again == 1
    assert sooner.run() == 1
    assert way.study(sent.uid) == "accepted"


def test_a_class_that_is_closed_after_all_stops_what_has_not_begun(way: Line, tmp_path: Path) -> None:
    gate = Gate(way, tmp_path, "2026-01-01")
    sent = way.receive(1, **WAITING)
    gate.run()
    assert way.study(sent.uid) == "accepted"
    Gate(way, tmp_path, "null").run()
    assert way.study(sent.uid) == "held"


def test_a_released_study_stays_released_when_its_class_opens(way: Line, tmp_path: Path) -> None:
    gate = Gate(way, tmp_path, "2026-11-23")
    sent = way.receive(1, **WAITING)
    gate.run()
    studies.release(way.catalog, sent.uid, by="aino", reason="agreed", destinations=())
    released = [one for one in studies.trace(way.catalog, sent.uid) if one["event"] == "released"]
    assert [one["detail"]["overrides"] for one in released] == [["CON-01"]]
    gate.now += timedelta(seconds=3)
    assert gate.run() == 0
    assert way.study(sent.uid) == "accepted"


def test_the_digest_of_what_is_judged_by_follows_rules_and_tables_alone(way: Line, tmp_path: Path) -> None:
    gate = Gate(way, tmp_path, "2026-11-23")
    same = parts.judged_by(gate.configuration)
    assert parts.judged_by(gate.configuration.model_copy(update={"settle_after": 5.0})) == same
    assert parts.judged_by(gate.configuration.model_copy(update={"rules": {}})) != same
    (tmp_path / "classes.yaml").write_text(CLASSES.format(opens="2026-11-24"))
    assert parts.judged_by(gate.configuration) != same
