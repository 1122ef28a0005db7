"""Transfer syntaxes: which ones the gateway takes, how they encode a data set, and which of several offers is chosen.

Promises the order of choice that keeps the most of what the sender has: lossless compressed, explicit little endian,
implicit little endian, deflated, big endian, lossy last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import IntEnum

from kuva_gateway.dicom.registry import TRANSFER_SYNTAXES

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"
DEFLATED_IMAGE_FRAME = "1.2.840.10008.1.2.8.1"
_COMPRESSED = "1.2.840.10008.1.2.4."


class Rank(IntEnum):
    """Groups of transfer syntaxes; the lower one is chosen first."""

    LOSSLESS = 0
    EXPLICIT_LITTLE = 1
    IMPLICIT_LITTLE = 2
    DEFLATED = 3
    BIG_ENDIAN = 4
    LOSSY = 5
    UNKNOWN = 6


def _compressed(*arcs: str) -> tuple[str, ...]:
    return tuple(_COMPRESSED + arc for arc in arcs)


LOSSLESS: tuple[str, ...] = (
    # JPEG processes 14, 14 SV1, 15, 28 and 29; JPEG-LS; JPEG 2000 parts 1 and 2; HTJ2K; JPEG XL
    *_compressed("70", "57", "58", "65", "66", "80", "90", "92", "201", "202", "110"),
    RLE_LOSSLESS,
    DEFLATED_IMAGE_FRAME,
)

LOSSY: tuple[str, ...] = (
    *_compressed("50", "51", "52", "53", "54", "55", "56", "59", "60", "61", "62", "63", "64"),
    *_compressed("81", "91", "93", "203", "111", "112"),
    *_compressed("100", "100.1", "101", "101.1", "102", "102.1", "103", "103.1", "104", "104.1"),
    *_compressed("105", "105.1", "106", "106.1", "107", "108"),
)
"""Syntaxes whose pixels may have lost something, those that allow both included (.91, .203, .112)."""

ACCEPTED: tuple[str, ...] = (
    *LOSSLESS,
    EXPLICIT_LITTLE,
    ENCAPSULATED_UNCOMPRESSED,
    IMPLICIT_LITTLE,
    DEFLATED,
    EXPLICIT_BIG,
    *LOSSY,
)
"""All transfer syntaxes of the standard for objects over the network, in the order of choice.

Not JPIP (the pixels live elsewhere), not SMPTE ST 2110 (streams), not the retired MIME and XML ones (media only).
"""

_VIDEO_ARCS = ("100", "100.1", "101", "101.1", "102", "102.1", "103", "103.1", "104", "104.1", "105", "105.1")

ARCHIVE_IMAGE: frozenset[str] = frozenset(
    {
        IMPLICIT_LITTLE,
        EXPLICIT_LITTLE,
        RLE_LOSSLESS,
        *_compressed("50", "51", "57", "70", "80", "81", "90", "91", "201", "202", "203"),
    }
)
"""What dcm4chee-arc's conformance statement takes for images by default; a national archive's own list may differ."""

ARCHIVE_VIDEO: frozenset[str] = frozenset(_compressed(*_VIDEO_ARCS, "106", "106.1", "107", "108"))
"""The same for video."""

ARCHIVE_SR: frozenset[str] = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED})
"""The same for structured reports."""

ARCHIVE_OTHER: frozenset[str] = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE})
"""The same for everything else: waveforms (ECG), encapsulated PDF."""

_RANKS: dict[str, Rank] = {
    **dict.fromkeys(LOSSLESS, Rank.LOSSLESS),
    **dict.fromkeys(LOSSY, Rank.LOSSY),
    EXPLICIT_LITTLE: Rank.EXPLICIT_LITTLE,
    ENCAPSULATED_UNCOMPRESSED: Rank.EXPLICIT_LITTLE,
    IMPLICIT_LITTLE: Rank.IMPLICIT_LITTLE,
    DEFLATED: Rank.DEFLATED,
    EXPLICIT_BIG: Rank.BIG_ENDIAN,
}
_UNCOMPRESSED = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED, ENCAPSULATED_UNCOMPRESSED})


def rank(uid: str) -> int:
    """The group of ``uid`` in the order of choice, 0 first; one that nobody knows comes last."""
    return int(_RANKS.get(uid, Rank.UNKNOWN))


def choose(offered: Sequence[str], preference: Sequence[str] | None, supported: Collection[str]) -> str | None:
    """The transfer syntax to accept out of one presentation context's offers (PS3.8 9.3.3.2).

    Parameters
    ----------
    offered
        The peer's list, in its order.
    preference
        A configured order; syntaxes that it does not name come after it, by :func:`rank`. None: by rank alone.
    supported
        What may be accepted at all.

    Returns
    -------
    str | None
        None when nothing offered is supported. Inside one group the peer's own order stands.
    """
    wished = {uid: place for place, uid in reversed(list(enumerate(preference or ())))}
    candidates = [uid for uid in offered if uid in supported]
    return min(candidates, key=lambda uid: (wished.get(uid, len(wished)), rank(uid)), default=None)


def is_implicit(uid: str) -> bool:
    """Whether data sets carry no value representations (PS3.5 A.1)."""
    return uid == IMPLICIT_LITTLE


def is_big_endian(uid: str) -> bool:
    """Whether data sets are big endian (PS3.5 A.3, retired)."""
    return uid == EXPLICIT_BIG


def is_deflated(uid: str) -> bool:
    """Whether the whole data set is one deflated stream (PS3.5 A.5)."""
    return uid == DEFLATED


def is_lossy(uid: str) -> bool:
    """Whether the pixels may have lost something by this syntax."""
    return _RANKS.get(uid) is Rank.LOSSY


def is_compressed(uid: str) -> bool:
    """Whether pixel data is compressed; a syntax that nobody knows is taken to be."""
    return uid not in _UNCOMPRESSED


def name(uid: str) -> str:
    """The standard's name of a transfer syntax, or the UID itself."""
    return TRANSFER_SYNTAXES.get(uid, uid)
