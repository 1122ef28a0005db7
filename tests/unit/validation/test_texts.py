"""The words of the rules: both languages say the same, and the page is written from them."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

import pytest

from kuva_gateway.validation.findings import SEVERITIES
from kuva_gateway.validation.rules import RULES, catalogue
from kuva_gateway.validation.texts.responsible import RESPONSIBLE
from kuva_gateway.validation.wording import Rule, Text
from tests.studies import load_script
from tests.support import ROOT

ISSUE = {
    *("SOP-01", "TS-01", "UID-01", "UID-02", "PID-01", "PID-03", "PID-04", "PID-07", "ACC-01"),
    *("COD-01", "COD-02", "COD-03", "COD-05", "DOC-01", "DOC-02", "DOC-04", "DOC-05", "DUP-01", "QUA-02"),
}
ALL = pytest.mark.parametrize("rule", catalogue(), ids=lambda rule: rule.id)


def texts(rule: Rule) -> Iterator[Text]:
    yield from (rule.title, rule.looks_at, rule.remedy, RESPONSIBLE[rule.id])
    for message in rule.messages.values():
        yield message.text
        if message.remedy is not None:
            yield message.remedy


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_rule_of_the_first_issue_is_there_once() -> None:
    assert set(RULES) >= ISSUE
    assert len(RULES) == len(catalogue())


def test_every_rule_has_somebody_who_acts_and_no_other_has() -> None:
    assert set(RESPONSIBLE) == set(RULES)


@ALL
def test_both_languages_are_there_and_differ(rule: Rule) -> None:
    for text in texts(rule):
        assert text.en.strip()
        assert text.fi.strip()
        assert text.en != text.fi


@ALL
def test_both_languages_have_the_same_placeholders(rule: Rule) -> None:
    for text in texts(rule):
        assert placeholders(text.en) == placeholders(text.fi)
    for text in (rule.title, rule.looks_at, rule.remedy):
        assert not placeholders(text.en)


@ALL
def test_finnish_is_finnish(rule: Rule) -> None:
    english = re.compile(r"\b(the|is|are|of|with|and|not)\b")
    for text in texts(rule):
        plain = re.sub(r"\{[^}]*\}", "", text.fi)
        assert not english.search(plain), plain
    assert re.search(r"[äö]", " ".join(text.fi for text in texts(rule)))


@ALL
def test_ids_and_severities_are_of_the_known_form(rule: Rule) -> None:
    assert re.fullmatch(r"[A-Z]{2,3}-\d{2}", rule.id)
    assert rule.severity in SEVERITIES
    assert all(message.severity in (None, *SEVERITIES) for message in rule.messages.values())


def test_the_page_of_rules_is_the_one_that_the_texts_give() -> None:
    page = (ROOT / "docs" / "rules.rst").read_text(encoding="utf-8")
    assert page == load_script("make_rules_doc").render(), "run scripts/make-rules-doc"


@ALL
def test_the_page_has_every_message_in_both_languages(rule: Rule) -> None:
    page = " ".join((ROOT / "docs" / "rules.rst").read_text(encoding="utf-8").split())
    for text in texts(rule):
        assert text.en in page
        assert text.fi in page
