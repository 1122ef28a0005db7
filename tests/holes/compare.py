"""How a scenario is run against both sides: one must pass, and if the other did, the comparison would be wrong."""

from __future__ import annotations

import pytest

from tests.holes.raw import StillOpen


def against_both(hole: str) -> pytest.MarkDecorator:
    """Run a test with ``receiver`` as the gateway, and as pynetdicom 3.0.4, of which ``hole`` is known.

    Only :class:`StillOpen` counts as the hole: any other error, or none, fails the comparison.
    """
    return pytest.mark.parametrize("receiver", both(hole), indirect=True)


def both(hole: str) -> list[object]:
    """The names of the two sides, the second expected to fail."""
    known = pytest.mark.xfail(strict=True, raises=StillOpen, reason=f"pynetdicom {hole}")
    return ["gateway", pytest.param("pynetdicom", marks=[known, pytest.mark.slow])]
