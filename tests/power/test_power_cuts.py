"""Power cuts at random moments: what was acknowledged before is there afterwards, with its bytes and its receipt."""

from __future__ import annotations

import random

import pytest

from tests.power.cuts import Campaign, Options, Run
from tests.power.disk import FILE_SYSTEMS, CannotCutError, Shelf, missing
from tests.support import skip_or_fail

CUTS = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def campaign(file_system: str, **options: object) -> Campaign:
    """Run one, on a shelf of its own; a visible skip (in CI a failure) where this machine cannot."""
    if reason := missing(file_system):
        skip_or_fail(reason)
    seed = random.SystemRandom().randrange(10**6)
    try:
        with Shelf() as shelf:
            done = Run(shelf, Options(file_system=file_system, seed=seed, **options)).go()  # type: ignore[arg-type]
    except CannotCutError as error:
        skip_or_fail(f"power cuts on {file_system}: {error}")
        raise
    print(done.line)
    return done


@pytest.mark.parametrize("file_system", FILE_SYSTEMS)
def test_twenty_power_cuts_lose_nothing_that_was_acknowledged(file_system: str) -> None:
    done = campaign(file_system, cuts=CUTS)
    assert done.wrong == [], done.line
    assert len(done.verdicts) == CUTS
    assert done.total("acknowledged") > 10 * CUTS, "the cuts fell before anything was received"
