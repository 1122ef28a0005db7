"""Every rule of the rules' table is one of ours, or seen to by a part that is named."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from kuva_gateway.validation.rules import RULES
from kuva_gateway.validation.texts.elsewhere import ELSEWHERE
from tests.support import ROOT

TABLE = ROOT.parent / "shared" / "DOMAIN.md"
PENDING: frozenset[str] = frozenset()
"""Rules of the table that nobody speaks for yet."""
ADDED = {"QUA-03", "REJ-01", "AMD-01", "AMD-02", "MAP-01"}
"""Rules of ours that the table does not have."""


def ids() -> list[str]:
    if not TABLE.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{TABLE.name} is missing")
        pytest.skip(f"{TABLE.name} is not beside the project")
    found = re.findall(r"^\| ([A-Z]{2,3}-\d{2}) \|", Path(TABLE).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) > 35
    return found


def test_every_row_of_the_table_is_a_rule_or_has_a_part_that_sees_to_it() -> None:
    table = set(ids())
    assert table - RULES.keys() - ELSEWHERE.keys() == PENDING
    assert not RULES.keys() & ELSEWHERE.keys()
    assert ELSEWHERE.keys() <= table


def test_rules_beyond_the_table_are_known() -> None:
    assert RULES.keys() - set(ids()) == ADDED


def test_the_page_of_rules_names_what_other_parts_see_to() -> None:
    page = " ".join((ROOT / "docs" / "rules.rst").read_text(encoding="utf-8").split())
    for rule, texts in ELSEWHERE.items():
        assert f"**{rule}:" in page
        for text in texts:
            assert text.en in page
            assert text.fi in page
            assert text.en != text.fi
