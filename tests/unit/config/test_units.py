"""Durations and sizes are read as people write them, and written so that they can be read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuva_gateway.config.units import parse_duration, parse_share, parse_size, write_duration, write_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("2h", 7200), ("30d", 2592000), ("500ms", 0.5), (5, 5), ("1.5m", 90), ("0s", 0)]
)
def test_durations(text: str | int, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(("text", "size"), [("5GiB", 5 * 2**30), ("512kB", 512000), ("1B", 1), (4096, 4096)])
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5x", None, True, -1, [], "5 GiBs"])
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected|negative"):
        parse_duration(text)
    with pytest.raises(ValueError, match="expected|negative"):
        parse_size(text)


@pytest.mark.parametrize("value", ["9" * 400 + "d", "9" * 400 + "GiB", 10**400, float("nan"), float("inf"), 1e300])
def test_a_quantity_that_nobody_means_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_duration(value)
    with pytest.raises(ValueError, match="expected"):
        parse_size(value)


@pytest.mark.parametrize("text", ["20", "120%", None, 0.2])
def test_what_is_no_share_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="percentage"):
        parse_share(text)


@given(st.integers(min_value=0, max_value=10**7))
def test_a_written_duration_reads_as_the_same(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(write_duration(seconds)) == pytest.approx(seconds)


@given(st.integers(min_value=0, max_value=10**15))
def test_a_written_size_reads_as_the_same(size: int) -> None:
    assert parse_size(write_size(size)) == size
