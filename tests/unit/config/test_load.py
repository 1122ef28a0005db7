"""Reading the configuration: all faults at once, each with its line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuva_gateway.config import Configuration, load, locate, parse
from kuva_gateway.errors import ConfigurationError

HERE = Path("/etc/kuva/kuva-gateway.yaml")


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, HERE)
    return [str(problem) for problem in caught.value.problems]


def test_all_faults_are_reported_at_once_with_their_lines() -> None:
    text = "environment: tst\nlisten: {host: 127.0.0.1, prt: 1}\nsettle_after: 5 parsecs\nae_title: A\nae_title: B\n"
    assert faults(text) == [
        "line 1: environment: Input should be 'test' or 'production'",
        "line 2: listen.prt: unknown key",
        "line 3: settle_after: expected a duration such as 500ms, 60s, 5m, 2h or 30d",
        "line 5: ae_title: stands twice",
    ]


def test_a_missing_environment_is_a_fault() -> None:
    assert faults("ae_title: KUVAGW") == ["environment: must be written"]


def test_an_empty_file_is_told_what_is_missing() -> None:
    assert faults("") == ["environment: must be written"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b", "line 1: expected keys and values"),
        ("a: [", "line 1: expected the node content, but found '<stream end>'"),
        ("environment: test\npeers:\n  - {name: x}", "line 3: peers[0].ae_title: must be written"),
        ("environment: test\nrules: {PID01: hold}", "PID01"),
        ("environment: test\npeers: [{name: ../x, ae_title: A}]", "a name has 1 to 32"),
        ("environment: test\npeers: [{name: x, ae_title: 'A\\B'}]", "an AE title has"),
        ("environment: test\npeers: [{name: x, ae_title: A}, {name: x, ae_title: B}]", "stands twice"),
        ("environment: test\npeers: [{name: x, ae_title: A, networks: [nowhere]}]", "expected a network"),
        ("environment: test\ntls: {port: 2762}", "a TLS port needs certificate and key"),
        ("environment: test\ncatalog: {url: mysql://x}", "expected postgresql://"),
        ("environment: test\ntimezone: Mars/Base", "expected a time zone"),
        ("environment: test\nprivate_storage_classes: [1.02.3]", "is no UID"),
        ("environment: test\ndestinations: [{name: a, ae_title: A, host: h, port: 1, retry: often}]", "expected steps"),
        ("? [a]\n: b", "a key is plain text"),
    ],
)
def test_wrong_values_are_explained(text: str, expected: str) -> None:
    assert any(expected in fault for fault in faults(text)), faults(text)


def test_off_needs_no_quotes() -> None:
    assert parse("environment: test\nrules: {COD-04: off}", HERE).rules == {"COD-04": "off"}


def test_state_directory_is_seen_from_the_files_folder() -> None:
    configuration = parse("environment: test\nstate_directory: ../state", HERE)
    assert configuration.state_directory == Path("/etc/state")
    assert configuration.path(Path("documents/incoming")) == Path("/etc/state/documents/incoming")
    assert configuration.path(Path("/elsewhere")) == Path("/elsewhere")


def test_units_are_read() -> None:
    configuration = parse(
        "environment: test\nsettle_after: 90s\nspool: {minimum_free: 2GiB}\ndrain_timeout: 1.5m", HERE
    )
    assert (configuration.settle_after, configuration.spool.minimum_free, configuration.drain_timeout) == (
        90,
        2**31,
        90,
    )


def test_a_peers_own_severity_wins() -> None:
    peer = "{name: x, ae_title: A, rules: {PID-01: hold}}"
    text = f"environment: test\nrules: {{PID-01: warning, ACC-01: off}}\npeers: [{peer}]"
    assert parse(text, HERE).severities("x") == {"PID-01": "hold", "ACC-01": "off"}
    assert parse(text, HERE).severities("nobody") == {"PID-01": "warning", "ACC-01": "off"}


def test_an_unreadable_file_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load(tmp_path / "absent.yaml")


def test_the_file_is_found_by_option_then_environment_then_default() -> None:
    assert locate("a.yaml", {"KUVA_GATEWAY_CONFIG": "b.yaml"}) == Path("a.yaml")
    assert locate(None, {"KUVA_GATEWAY_CONFIG": "b.yaml"}) == Path("b.yaml")
    assert locate(None, {}) == Path("/etc/kuva-gateway/kuva-gateway.yaml")


def test_keys_that_do_nothing_yet_are_said() -> None:
    assert parse("environment: test", HERE).notices() == [
        "destinations: none is required, so no study is ever archived",
    ]


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_no_text_makes_anything_but_a_configuration_or_faults(text: str | bytes) -> None:
    try:
        assert isinstance(parse(text, HERE), Configuration)
    except ConfigurationError as error:
        assert error.problems


@pytest.mark.parametrize("value", ["!!bool maybe", "!!int ''", "!!float ''", "!!int '0x'", "!!set x", "!!map x"])
def test_a_value_that_is_none_of_its_tag_is_a_fault(value: str) -> None:
    for text in (f"environment: test\nae_title: {value}\n", f"environment: test\n? {value}\n: x\n"):
        assert faults(text)


def test_aliases_of_aliases_do_not_stand_for_more_values_than_any_file_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[parse.__module__], "_MOST_VALUES", 5000)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 20)]
    assert faults("\n".join(lines)) == ["line 1: more than 5000 values, aliases counted as often as they stand"]
