"""Whoever abuses the gateway, a modality beside them is let in and its images are stored; and nothing is left of it."""

from __future__ import annotations

import pytest

from tests.studies import load_script

abuse = load_script("abuse")
KINDS = (
    "slow connections from one",
    "slow connections from as",
    "handshakes from as",
    "a second",
    "scanners",
    "every rule",
)
PATIENCE = 5.0
"""Seconds that an image may take here: how fast it is, is for scripts/abuse to tell on a quiet machine."""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_modality_works_on_beside_every_kind_of_abuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abuse, "AT_MOST", PATIENCE)
    rows = abuse.run(2.5, KINDS)
    assert len(rows) == len(KINDS)
    assert {row.abuse: row.faults for row in rows if row.faults} == {}
    assert all(row.attempts > 20 for row in rows)
