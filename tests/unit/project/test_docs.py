"""The docs are held to the code: a command, a setting or a rule that nobody wrote about fails here."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest
import yaml

from kuva_gateway.cli.main import commands
from kuva_gateway.cli.studies import STATES
from kuva_gateway.config import Configuration, Destination, Peer
from kuva_gateway.dicom import statuses
from kuva_gateway.monitoring.families import FAMILIES, full_name
from kuva_gateway.network.timers import Timers
from tests.studies import load_script
from tests.support import ROOT, module

README = (ROOT / "README.rst").read_text(encoding="utf-8")
CONFIG = (ROOT / "conf" / "kuva-gateway.yaml").read_text(encoding="utf-8")


def prose() -> str:
    return README + "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.rst")))


def command_lines(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command of the tree as the words one types."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from command_lines(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(command_lines(commands))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_in_the_readme(words: tuple[str, ...]) -> None:
    *group, name = words
    # "queue hold|release|cancel" documents three; "documents show" may stand without the program's name.
    pattern = r"\b" + r"\s+".join([*map(re.escape, group), rf"(?:[a-z]+\|)*{re.escape(name)}"]) + r"\b"
    assert re.search(pattern, README), f"kuva-gateway {' '.join(words)} is not documented"


def test_every_command_in_the_readme_exists() -> None:
    known = {" ".join(words) for words in COMMANDS} | {words[0] for words in COMMANDS}
    for line in re.findall(r"(?:``|^    )kuva-gateway ((?:[a-z|]+ ?){1,2})", README, re.MULTILINE):
        first, *rest = line.split()
        names = (
            rest[0].split("|") if rest and any(words[0] == first and len(words) > 1 for words in COMMANDS) else [None]
        )
        for name in names:
            assert (first if name is None else f"{first} {name}") in known, f"there is no kuva-gateway {line}"


def keys(value: dict[str, object], path: str = "") -> Iterator[str]:
    """Every key of a nested mapping, with dots."""
    for key, inner in value.items():
        yield f"{path}{key}"
        if isinstance(inner, dict) and inner:
            yield from keys(inner, f"{path}{key}.")


def shipped() -> dict[str, object]:
    value: dict[str, object] = yaml.safe_load(CONFIG)
    return value


def test_the_shipped_configuration_has_every_key() -> None:
    model = Configuration(environment="test").model_dump(mode="json")
    assert set(keys(shipped())) == set(keys(model))


def test_the_shipped_configuration_equals_the_defaults() -> None:
    assert Configuration.model_validate(shipped()) == Configuration(environment="test")


def test_every_top_level_key_has_a_comment_above_it() -> None:
    lines = CONFIG.splitlines()
    for key in shipped():
        (at,) = [number for number, line in enumerate(lines) if line.startswith(f"{key}:")]
        above = lines[at - 1]
        assert above.startswith("#") or re.match(r"[a-z_]+:", above), f"{key} has no comment above it"


@pytest.mark.parametrize("model", [Peer, Destination], ids=["peer", "destination"])
def test_every_key_of_a_list_entry_is_shown_in_the_shipped_configuration(model: type[Peer] | type[Destination]) -> None:
    for key in model.model_fields:
        assert re.search(rf"^#\s+(- )?{key}:", CONFIG, re.MULTILINE), f"{key} is not documented"


def test_examples_in_the_shipped_configuration_are_ones_that_load() -> None:
    examples = re.findall(r"(?:^#   .*\n)+", CONFIG, re.MULTILINE)
    assert len(examples) >= 2
    for example, model in zip(examples, (Peer, Destination), strict=False):
        (entry,) = yaml.safe_load("\n".join(line[2:] for line in example.splitlines()))
        model.model_validate(entry)


def test_every_state_is_explained_in_the_flow() -> None:
    flow = (ROOT / "docs" / "flow.rst").read_text(encoding="utf-8")
    for state in STATES:
        assert state in flow, f"the state {state} is not in docs/flow.rst"


def test_the_page_of_states_is_the_one_that_the_tables_give() -> None:
    page = (ROOT / "docs" / "states.rst").read_text(encoding="utf-8")
    assert page == load_script("make_states_doc").render(), "run scripts/make-states-doc"


def test_the_page_of_answers_is_the_one_that_the_tables_give() -> None:
    page = (ROOT / "docs" / "answers.rst").read_text(encoding="utf-8")
    assert page == load_script("make_answers_doc").render(), "run scripts/make-answers-doc"


def test_the_page_of_settings_is_the_one_that_the_model_and_the_shipped_file_give() -> None:
    page = (ROOT / "docs" / "configuration.rst").read_text(encoding="utf-8")
    assert page == load_script("make_configuration_doc").render(), "run scripts/make-configuration-doc"


def test_every_key_of_the_model_is_in_the_page_of_settings() -> None:
    page = (ROOT / "docs" / "configuration.rst").read_text(encoding="utf-8")
    model = Configuration(environment="test").model_dump(mode="json")
    named = set(re.findall(r"^``([a-z_.]+)``: ", page, re.MULTILINE))
    brief = set(re.findall(r"^ +- ``([a-z_]+)``: ", page, re.MULTILINE))
    for key in keys(model):
        inside = any(one.startswith(f"{key}.") for one in named)
        assert key in named or inside or key.rpartition(".")[2] in brief or f"\n{key}\n===" in page, key
    for entry, fields in (("peers", Peer.model_fields), ("destinations", Destination.model_fields)):
        for key in fields:
            assert f"{entry}.{key}" in named or f"{entry}.{key}.associations" in named, f"{entry}.{key}"


def test_a_key_without_a_comment_is_a_fault_of_the_page_of_settings() -> None:
    writer = load_script("make_configuration_doc")
    page = writer.Page()
    del page.comments.sections["drain_timeout"]
    with pytest.raises(writer.Undescribed, match="drain_timeout"):
        page.render()


def test_the_conformance_statement_is_the_one_that_the_tables_give() -> None:
    page = (ROOT / "docs" / "conformance.rst").read_text(encoding="utf-8")
    assert page == load_script("make_conformance_doc").render(), "run scripts/make-conformance-doc"


def test_the_conformance_statement_has_every_status_that_a_service_names() -> None:
    page = (ROOT / "docs" / "conformance.rst").read_text(encoding="utf-8")
    told = set(re.findall(r"^([0-9A-F]{4}) +\S", page, re.MULTILINE))
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "kuva_gateway" / "scp").glob("*.py"))
    named = {getattr(statuses, name) for name in re.findall(r"statuses\.([A-Z_]+)\b", source)}
    assert len(named) > 15
    assert {f"{code:04X}" for code in named} <= told


def test_the_conformance_statement_has_every_deadline() -> None:
    writer = load_script("make_conformance_doc")
    known = {one.name for one in dataclasses.fields(Timers)} - {"minimum_rate"}
    assert set(writer.PHASES) == known


def test_a_mark_that_nothing_fills_is_a_fault_of_the_conformance_statement() -> None:
    writer = load_script("make_conformance_doc")
    template = writer.TEMPLATE.read_text(encoding="utf-8")
    with pytest.raises(KeyError, match="nothing_like_it"):
        "".join(writer.parts(template + "@nothing_like_it@"))
    with pytest.raises(KeyError, match="timers"):
        "".join(writer.parts(template.replace("@timers@", "")))


def test_figures_in_the_readme_are_those_of_the_page_that_each_names() -> None:
    rows = re.findall(r"^(\S.*?)  +(\d.*?)  +(.*?) *``(docs/[a-z]+\.rst)``$", README, re.MULTILINE)
    assert len(rows) >= 7
    for what, ours, others, name in rows:
        page = (ROOT / name).read_text(encoding="utf-8")
        for figure in re.findall(r"[\d.]+", f"{ours} {others}"):
            assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", page), f"{what}: {figure} is not in {name}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   ([a-z-]+)$", index, re.MULTILINE))
    assert listed == {path.stem for path in (ROOT / "docs").glob("*.rst")} - {"index"}


def test_every_page_that_is_named_is_there() -> None:
    paths = [*ROOT.glob("*.rst"), *(ROOT / "docs").rglob("*.rst*"), *(ROOT / "conf").iterdir()]
    paths += [*(ROOT / "kuva_gateway").rglob("*.py"), *(ROOT / "systemd").glob("kuva*")]
    named = {
        (name, path.name)
        for path in paths
        for name in re.findall(r"docs/([a-z-]+)\.rst", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 100
    assert [one for one in sorted(named) if not (ROOT / "docs" / f"{one[0]}.rst").is_file()] == []


@pytest.mark.slow
def test_a_site_is_made_of_the_pages_without_a_warning(tmp_path: Path) -> None:
    module("sphinx")
    options = ["-q", "-n", "-W", "--keep-going", "-b", "html", "-d", str(tmp_path / "read")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(tmp_path / "site")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    front = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.rst"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert (tmp_path / "site" / name).is_file(), name
        assert str(name) in front, f"{name} is not in the index"
    settings = (tmp_path / "site" / "configuration.html").read_text(encoding="utf-8")
    assert 'href="reload.html"' in settings, "what names a page is no link"


@pytest.mark.slow
def test_the_readme_reads_without_a_warning_where_there_is_no_sphinx() -> None:
    module("docutils")
    command = [sys.executable, "-m", "docutils", "--report=2", "--halt=2", "--writer=null", str(ROOT / "README.rst")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_every_script_named_in_the_docs_is_there_and_can_be_run() -> None:
    text = prose() + (ROOT / "CONTRIBUTING.rst").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:scripts/|\.ci/)[a-z][a-z/-]*[a-z]\b(?!\.py)", text))
    assert {"scripts/test", "scripts/quickstart", ".ci/run"} <= named
    for script in named:
        path = ROOT / script
        assert path.is_file(), script
        assert path.stat().st_mode & 0o111, f"{script} is not executable"


def test_every_figure_is_explained_in_the_page_of_figures_and_no_other() -> None:
    page = (ROOT / "docs" / "metrics.rst").read_text(encoding="utf-8")
    told = dict(re.findall(r"^``(kuva_gateway_[a-z_]+)``((?: ``\{[a-z_, ]+\}``)?, [a-z]+)$", page, re.MULTILINE))
    labels = {one.name: f" ``{{{', '.join(one.labels)}}}``" if one.labels else "" for one in FAMILIES.values()}
    assert told == {full_name(one): f"{labels[one.name]}, {one.kind}" for one in FAMILIES.values()}


SHELL_SCRIPTS = [
    path
    for path in (*sorted((ROOT / "scripts").iterdir()), ROOT / ".ci" / "run")
    if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh\n")
]


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_are_ones_that_a_plain_sh_can_read(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=10)


def test_every_table_has_its_cells_within_their_columns() -> None:
    rule = re.compile(r" *=+( +=+)+")
    for path in [*ROOT.glob("*.rst"), *(ROOT / "docs").rglob("*.rst")]:
        gaps: list[int] = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if rule.fullmatch(line):
                gaps = [place for place, sign in enumerate(line) if sign == " " and place > line.index("=")]
            elif not line.strip():
                gaps = []
            assert all(line[place : place + 1] in ("", " ") for place in gaps), f"{path.name}:{number}: {line}"


def test_every_page_has_titles_that_are_underlined_in_full() -> None:
    for path in [*ROOT.glob("*.rst"), *(ROOT / "docs").rglob("*.rst")]:
        lines = path.read_text(encoding="utf-8").splitlines()
        for title, under in pairwise(lines):
            if title.strip() and not title.startswith((" ", "=")) and re.fullmatch(r"(=|-){4,}", under):
                assert len(under) >= len(title), f"{path.name}: {title}"
