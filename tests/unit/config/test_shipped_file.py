"""The shipped configuration file says everything, and says what is true."""

from __future__ import annotations

import re

import yaml

from kuva_gateway.config import Configuration, Destination, Peer, load
from tests.support import ROOT

SHIPPED = ROOT / "conf" / "kuva-gateway.yaml"


def test_shipped_file_equals_the_defaults() -> None:
    shipped = load(SHIPPED)
    defaults = Configuration(environment="test")
    assert shipped.model_copy(update={"state_directory": defaults.state_directory}) == defaults
    assert shipped.state_directory == ROOT / "conf" / "var"


def test_shipped_file_writes_every_key() -> None:
    written = yaml.safe_load(SHIPPED.read_text())
    for name, field in Configuration.model_fields.items():
        assert name in written, name
        section = getattr(Configuration(environment="test"), name)
        if hasattr(type(section), "model_fields"):
            assert set(written[name]) == set(type(section).model_fields), (name, field)


def example(name: str) -> dict[str, object]:
    """The commented example under ``peers`` or ``destinations``, read as YAML."""
    text = SHIPPED.read_text()
    block = text[: text.index(f"\n{name}: []")].rsplit("\n\n", 1)[1]
    lines = [line.removeprefix("#") for line in block.splitlines() if re.match(r"#   ", line)]
    (entry,) = yaml.safe_load("\n".join(lines))
    return entry


def test_every_key_of_a_peer_is_documented_with_its_default() -> None:
    entry = example("peers")
    assert set(entry) == set(Peer.model_fields)
    assert Peer.model_validate(entry) == Peer(name="ct1", ae_title="CT1")


def test_every_key_of_a_destination_is_documented_with_its_default() -> None:
    entry = example("destinations")
    assert set(entry) == set(Destination.model_fields)
    expected = Destination(name="national-archive", ae_title="ARCHIVE", host="127.0.0.1", port=11115)
    assert Destination.model_validate(entry) == expected
