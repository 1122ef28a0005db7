"""SECURITY.rst: every row names a test, and every test that is named exists."""

from __future__ import annotations

import re

import pytest

from tests.support import ROOT

PAGE = (ROOT / "SECURITY.rst").read_text(encoding="utf-8")
NAMED = re.findall(r"``([\w/]+\.py)::(\w+)``", PAGE)


def rows() -> list[str]:
    """The rows of the tables of threats, each as one text; what is left to others has no test."""
    tables = re.findall(r"^threat .*\n=+ +=+\n((?:.+\n)+?)=+ +=+$", PAGE.partition("What is left to others")[0], re.M)
    return [row for table in tables for row in re.split(r"\n(?=\S)", table.rstrip())]


def test_every_threat_has_its_test() -> None:
    assert len(rows()) >= 25
    assert [row for row in rows() if "::" not in row] == []
    assert sum(row.count("::") for row in rows()) == len(NAMED)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")
