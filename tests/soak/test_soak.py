"""A short soak, and that a leak would be seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.studies import load_script

for _name in ("studymaker", "plain_modality", "gateway_process"):
    load_script(_name)
script = load_script("soak")
Sample, judge, soak = script.Sample, script.judge, script.soak


def samples(**last: float) -> list[object]:
    """A run of sixty looks, of which the last twenty are different."""
    steady = {"memory_mib": 150.0, "threads": 40, "descriptors": 60}
    return [
        Sample(seconds=number, pending=0, **({**steady, **last} if number >= 40 else steady)) for number in range(60)
    ]


def test_what_stays_as_it_was_is_no_leak():
    assert judge(samples()) == []


@pytest.mark.parametrize(("name", "value"), [("memory_mib", 190.0), ("threads", 60), ("descriptors", 80)])
def test_what_grows_is_named(name: str, value: float):
    (problem,) = judge(samples(**{name: value}))
    assert problem.startswith(name)


@pytest.mark.slow
def test_half_a_minute_of_a_hospitals_day_leaks_nothing_and_loses_nothing(tmp_path: Path):
    done = soak(tmp_path, images=100_000, minutes=0.6, modalities=12, every=0.5, pause=0.05)
    assert done["problems"] == []
    assert done["images"] > 200
    assert done["aborted"] > 0
    assert done["refused"] > 0
