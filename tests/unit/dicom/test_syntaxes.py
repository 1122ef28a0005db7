"""Which transfer syntaxes are taken, and which of several is chosen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom._uid_dict import UID_dictionary

from kuva_gateway.dicom import syntaxes

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
ELSEWHERE = ("JPIP", "SMPTE", "MIME", "XML", "Papyrus")


def test_every_syntax_of_the_standard_but_those_that_live_elsewhere_is_accepted() -> None:
    standard = {
        uid
        for uid, (title, kind, *_rest) in UID_dictionary.items()
        if kind == "Transfer Syntax" and not any(word in title for word in ELSEWHERE)
    }
    assert set(syntaxes.ACCEPTED) == standard
    assert len(syntaxes.ACCEPTED) == len(set(syntaxes.ACCEPTED))


def test_accepted_syntaxes_stand_in_the_order_of_choice() -> None:
    ranks = [syntaxes.rank(uid) for uid in syntaxes.ACCEPTED]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([syntaxes.IMPLICIT_LITTLE, syntaxes.EXPLICIT_LITTLE], syntaxes.EXPLICIT_LITTLE),
        ([syntaxes.EXPLICIT_LITTLE, JPEG_LOSSLESS, JPEG_BASELINE], JPEG_LOSSLESS),
        ([JPEG_BASELINE, syntaxes.EXPLICIT_BIG], syntaxes.EXPLICIT_BIG),
        ([JPEG_BASELINE, syntaxes.DEFLATED, syntaxes.EXPLICIT_BIG], syntaxes.DEFLATED),
        ([syntaxes.IMPLICIT_LITTLE, syntaxes.DEFLATED], syntaxes.IMPLICIT_LITTLE),
        ([JPEG_BASELINE], JPEG_BASELINE),
        (["1.2.840.10008.1.2.4.90", JPEG_LOSSLESS], "1.2.840.10008.1.2.4.90"),
        (["1.2.840.10008.1.2.4.94"], None),
        ([], None),
    ],
)
def test_the_syntax_that_keeps_most_is_chosen(offered: list[str], chosen: str | None) -> None:
    assert syntaxes.choose(offered, None, syntaxes.ACCEPTED) == chosen


def test_a_configured_preference_comes_before_the_ranks() -> None:
    offered = [JPEG_LOSSLESS, syntaxes.IMPLICIT_LITTLE, syntaxes.EXPLICIT_LITTLE]
    assert syntaxes.choose(offered, [syntaxes.IMPLICIT_LITTLE], syntaxes.ACCEPTED) == syntaxes.IMPLICIT_LITTLE
    assert syntaxes.choose(offered, [JPEG_BASELINE], syntaxes.ACCEPTED) == JPEG_LOSSLESS


def test_a_preferred_syntax_that_is_not_supported_is_not_chosen() -> None:
    offered = [JPEG_LOSSLESS, syntaxes.IMPLICIT_LITTLE]
    assert syntaxes.choose(offered, [JPEG_LOSSLESS], {syntaxes.IMPLICIT_LITTLE}) == syntaxes.IMPLICIT_LITTLE


@given(
    st.lists(st.sampled_from(syntaxes.ACCEPTED), min_size=1, max_size=8), st.lists(st.sampled_from(syntaxes.ACCEPTED))
)
def test_what_is_chosen_was_offered(offered: list[str], preference: list[str]) -> None:
    assert syntaxes.choose(offered, preference, syntaxes.ACCEPTED) in offered


def test_a_private_syntax_can_be_supported_and_comes_last() -> None:
    private = "1.2.840.113619.5.2"
    assert syntaxes.choose([private], None, {private}) == private
    assert syntaxes.choose([private, JPEG_BASELINE], None, {private, JPEG_BASELINE}) == JPEG_BASELINE
    assert syntaxes.name(private) == private


def test_encodings_are_told_apart() -> None:
    assert [uid for uid in syntaxes.ACCEPTED if syntaxes.is_implicit(uid)] == ["1.2.840.10008.1.2"]
    assert [uid for uid in syntaxes.ACCEPTED if syntaxes.is_big_endian(uid)] == ["1.2.840.10008.1.2.2"]
    assert [uid for uid in syntaxes.ACCEPTED if syntaxes.is_deflated(uid)] == ["1.2.840.10008.1.2.1.99"]
    assert not any(syntaxes.is_lossy(uid) for uid in syntaxes.LOSSLESS)
    assert all(syntaxes.is_lossy(uid) and syntaxes.is_compressed(uid) for uid in syntaxes.LOSSY)
    assert not syntaxes.is_compressed(syntaxes.DEFLATED)
    assert syntaxes.name(syntaxes.EXPLICIT_LITTLE) == "Explicit VR Little Endian"


def test_the_archives_lists_are_part_of_what_is_accepted() -> None:
    for listed in (syntaxes.ARCHIVE_IMAGE, syntaxes.ARCHIVE_VIDEO, syntaxes.ARCHIVE_SR, syntaxes.ARCHIVE_OTHER):
        assert listed <= set(syntaxes.ACCEPTED)
    assert "1.2.840.10008.1.2.4.57" in syntaxes.ARCHIVE_IMAGE
    assert syntaxes.EXPLICIT_BIG not in syntaxes.ARCHIVE_IMAGE
    assert syntaxes.ARCHIVE_OTHER < syntaxes.ARCHIVE_SR
