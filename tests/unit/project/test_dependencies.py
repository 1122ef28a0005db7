"""Every dependency is an exact version with hashes, agrees with setup.cfg, and its licence is listed and allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.studies import load_script
from tests.support import ROOT

dependencies = load_script("dependencies")
SETUP = (ROOT / "setup.cfg").read_text(encoding="utf-8")
HASH = "0" * 64


def pinned(name: str) -> str:
    text: str = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return text


def listed() -> Iterator[tuple[str, set[str], str]]:
    """The rows of docs/licences.rst."""
    page = (ROOT / "docs" / "licences.rst").read_text(encoding="utf-8")
    for line in page.partition("licence\n=")[2].splitlines()[1:-1]:
        name, versions, licence = re.split(r"(?<!,)\s+", line, maxsplit=2)
        yield name, set(versions.split(", ")), licence


@pytest.mark.parametrize("name", dependencies.SETS)
def test_everything_that_setup_asks_for_is_pinned_with_hashes_as_it_allows(name: str) -> None:
    assert dependencies.read(pinned(name))[0]
    assert dependencies.faults(name, pinned(name), SETUP, dependencies.SETS[name]) == []


def test_what_checks_dependencies_is_pinned_itself() -> None:
    pins, odd = dependencies.read(pinned("tools"))
    assert {"pip-audit", "uv"} <= {pin.name for pin in pins}
    assert odd == []
    assert all(pin.hashes for pin in pins)


def test_all_sets_have_the_same_versions() -> None:
    assert dependencies.disagreements({name: dependencies.read(pinned(name))[0] for name in dependencies.SETS}) == []


def test_the_licences_are_listed_for_exactly_what_is_pinned_and_all_are_allowed() -> None:
    rows = list(listed())
    assert {name: versions for name, versions, _ in rows} == {
        name: {pin.version for pin in pins} for name, pins in dependencies.shipped().items()
    }
    assert [row for row in rows if not dependencies.allowed(row[2])] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"click>=8.1 \\\n    --hash=sha256:{HASH}\n", "not an exact version"),
        ("click==8.5.1 \\\n", "click has no hash"),
        ("git+https://example.org/click.git\n", "not an exact version"),
        (f"click==9.0 \\\n    --hash=sha256:{HASH}\n", "click 9.0 is not what setup.cfg allows (<9,>=8.1)"),
        (f"rich==15.0.0 \\\n    --hash=sha256:{HASH}\n", "click of setup.cfg is missing"),
    ],
    ids=["loose", "hashless", "address", "too new", "missing"],
)
def test_a_fault_in_a_file_of_requirements_is_named(text: str, fault: str) -> None:
    setup = "[options]\ninstall_requires =\n    click>=8.1,<9\n[options.extras_require]\n"
    assert any(fault in line for line in dependencies.faults("run", text, setup, ()))


def test_two_versions_of_one_package_for_the_same_python_are_named() -> None:
    pins = [dependencies.Pin(name="click", version=version, marker="", hashes=1) for version in ("8.5.1", "8.5.0")]
    assert dependencies.disagreements({"test": pins[:1], "run": pins[1:]}) == ["run: click 8.5.0, but 8.5.1 in test"]


@pytest.mark.parametrize(
    ("licence", "good"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("BSD-3-Clause AND MIT", True),
        ("(MIT OR GPL-3.0-only) AND AGPL-3.0-only", False),
        ("GPL-3.0-only", False),
        ("not said", False),
    ],
)
def test_a_licence_is_allowed_when_each_part_of_it_offers_one_that_is(licence: str, good: bool) -> None:
    assert dependencies.allowed(licence) is good


def test_a_package_that_is_not_installed_as_pinned_is_named() -> None:
    pins = {
        "click": [dependencies.Pin(name="click", version="0.1", marker="", hashes=1)],
        "no-such-package": [dependencies.Pin(name="no-such-package", version="1", marker="", hashes=1)],
        "later": [dependencies.Pin(name="later", version="1", marker="python_full_version >= '4'", hashes=1)],
    }
    licences, found = dependencies.installed(pins)
    assert set(licences) == {"click"}
    assert [line.split(" is ")[1:] for line in found] == [["installed, 0.1", "pinned"], ["not installed"]]


def test_every_environment_is_installed_with_hashes() -> None:
    script = Path(ROOT / "scripts" / "make-environment").read_text(encoding="utf-8")
    commands = [line for line in script.replace("\\\n", " ").splitlines() if re.search(r"\binstall -", line)]
    fetching = [line for line in commands if "--no-deps" not in line and "apt-get" not in line]
    assert len(fetching) >= 2
    assert [line for line in fetching if "--require-hashes" not in line and "install()" not in line] == []


SOUND = {"name": "click", "version": "8.5.1", "vulns": []}
SKIPPED = {"name": "rich", "skip_reason": "not found"}
HURT = {"name": "jinja2", "version": "3.1.2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1.3"]}]}


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ([SOUND], 0, "no known vulnerability"),
        ([SOUND, HURT], 1, "jinja2 3.1.2: PYSEC-1 (mended in 3.1.3)"),
        ([SKIPPED, HURT], 1, "jinja2 3.1.2: PYSEC-1 (mended in 3.1.3)"),
        ([SOUND, SKIPPED], 3, "not checked for vulnerabilities, nobody could be asked (1): rich"),
        (None, 3, "not checked for vulnerabilities, nobody could be asked (1): everything in run"),
    ],
    ids=["sound", "vulnerable", "vulnerable and skipped", "skipped", "no answer"],
)
def test_what_was_not_asked_about_is_not_called_sound(
    answer: list[object] | None, status: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "run").write_text("" if answer is None else json.dumps({"dependencies": answer}))
    found, lines = dependencies.judge([tmp_path / "run"])
    assert found == status
    assert lines[0] == said
