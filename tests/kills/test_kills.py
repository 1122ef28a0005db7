"""``kill -9`` at random moments: what was acknowledged is kept, accounted for and delivered, once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.studies import load_script

plain_modality = load_script("plain_modality")
gateway_process = load_script("gateway_process")
kill_senders = load_script("kill_senders")
kill_checks = load_script("kill_checks")
kill_runs = load_script("kill_runs")

KILLS = 50


def seed() -> int:
    """Another one for every run; a failure tells it."""
    return random.SystemRandom().randrange(10**6)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fifty_kills_lose_nothing_that_was_acknowledged_and_deliver_nothing_twice(tmp_path: Path) -> None:
    options = kill_runs.Options(kills=KILLS, seed=seed(), at_most=600)
    campaign = kill_runs.Run(tmp_path, options).go()
    assert campaign.found.wrong == [], campaign.line
    assert campaign.kills >= KILLS, campaign.line
    assert campaign.while_receiving >= KILLS // 3, campaign.line
    assert campaign.while_delivering >= KILLS // 5, campaign.line
    assert campaign.found.acknowledged > 10 * KILLS, campaign.line
