"""What a destination has, by C-FIND."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuva_gateway.forward.deliver import deliver
from kuva_gateway.forward.presence import CannotAskError, instances_there
from tests.support import free_port
from tests.unit.forward.archive import Script, running
from tests.unit.forward.instances import Shelf
from tests.unit.forward.orthanc import orthanc
from tests.unit.forward.test_deliver import Notes, call_to


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "shelf").mkdir()
    return Shelf(tmp_path / "shelf")


def test_orthanc_says_what_it_has_of_a_series(tmp_path: Path, shelf: Shelf) -> None:
    instances = [shelf.put(1), shelf.put(8), shelf.put(2)]
    with orthanc(tmp_path / "orthanc", report_port=free_port()) as archive:
        call = call_to(archive.port)
        study, series = shelf.study, "1.2.246.99.1"
        assert instances_there(call, study, [series]) == frozenset()
        deliver(call, instances, open_file=shelf.open, on_answer=Notes())
        assert instances_there(call, study, [series, "1.2.404"]) == {one.sop_instance for one in instances[:2]}
        assert instances_there(call, "1.2.404", [series]) == frozenset()


@pytest.mark.parametrize("script", [Script(find_status=0xA700), Script(find_status=None)], ids=["A700", "no query"])
def test_who_does_not_say_cannot_be_asked(shelf: Shelf, script: Script) -> None:
    with running(script) as archive, pytest.raises(CannotAskError):
        instances_there(call_to(archive.port), "1.2.1", ["1.2.1.1"])


def test_who_is_not_there_cannot_be_asked() -> None:
    with pytest.raises(CannotAskError) as told:
        instances_there(call_to(free_port()), "1.2.1", ["1.2.1.1"])
    assert told.value.why.code == "unreachable"
