"""A day's arrivals in a minute leak nothing; and a leak is seen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.studies import load_script

plain_modality = load_script("plain_modality")
gateway_process = load_script("gateway_process")
soak_day = load_script("soak_day")
soak = load_script("soak")
with_faults = load_script("soak_with_faults")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_compressed_day_leaks_no_memory_no_threads_and_no_descriptors(tmp_path: Path) -> None:
    soaked = soak.soak(tmp_path, studies=120, minutes=0.75, workers=8, seed=7)
    assert soaked.leaks == [], soaked.report()
    assert soaked.after.stored > 1000, soaked.report()
    assert {"released", "refused", "silent", "aborted in the middle"} <= soaked.associations.keys(), soaked.report()


def sample(number: int, **grown: float) -> Any:
    values = {"resident": 100 << 20, "threads": 20, "descriptors": 30, "catalog": 3, "pending": 0}
    rows = {name: value + grown.get(name, 0) * number for name, value in values.items()}
    return soak.Sample(seconds=float(number), stored=500 * number, **rows)


def soaked(*, failed: dict[str, int] | None = None, catalogued: int = 20_000, **grown: float) -> Any:
    return soak.Soaked(
        before=sample(0),
        under_load=[sample(number, **grown) for number in range(1, 41)],
        after=sample(40, **grown),
        associations={"released": 400},
        failed=failed or {},
        catalogued=catalogued,
    )


@pytest.mark.parametrize(
    ("day", "leak"),
    [
        ({}, ""),
        ({"resident": 10_000}, ""),
        ({"resident": 2_000_000}, "resident memory grew by"),
        ({"threads": 1}, "40 threads more at rest"),
        ({"descriptors": 1}, "40 descriptors more at rest"),
        ({"catalog": 0.5}, ""),
        ({"catalog": 1}, "43 descriptors of the catalog's at rest"),
        ({"pending": 1}, "40 images wait for the catalog"),
        ({"catalogued": 19_999}, "20000 images were acknowledged, 19999 are catalogued"),
        ({"failed": {"0110": 3}}, "3 answers 0110"),
    ],
)
def test_what_grows_is_told(day: dict[str, Any], leak: str) -> None:
    found = soaked(**day)
    assert [leak in sentence for sentence in found.leaks] == ([True] if leak else [])
    assert "per 100,000 images" in found.report()


def endured(*, lost: int = 0, wrong: list[str] | None = None, **grown: float) -> Any:
    found = load_script("kill_checks").Findings(acknowledged=20_000, lost=lost, wrong=wrong or [])
    return with_faults.Endured(
        top=200.0,
        seconds=40.0,
        faults=Counter({"daemon killed": 2}),
        when=[(3.0, "daemon killed"), (9.0, "daemon killed")],
        before=sample(0),
        samples=[sample(number, **grown) for number in range(1, 41)],
        after=sample(40, **grown),
        refused=Counter({"A700": 3}),
        found=found,
    )


@pytest.mark.parametrize(
    ("soak_had", "told"),
    [
        ({}, []),
        ({"lost": 2}, ["2 lost"]),
        ({"wrong": ["1.2.3 was delivered twice"]}, ["1.2.3 was delivered twice"]),
        ({"threads": 1}, ["40 threads more at rest after the soak than before it"]),
        ({"descriptors": 1}, ["40 descriptors more at rest after the soak than before it"]),
        ({"resident": 2 << 20}, ["resident memory grew by 40.0 MiB"]),
    ],
)
def test_what_faults_cost_is_told(soak_had: dict[str, Any], told: list[str]) -> None:
    done = endured(**soak_had)
    assert done.leaks == told
    assert "2 faults: 2 daemon killed" in done.report()
    assert "refused: 3 x A700" in done.report()
