"""The value representation of an element that came without one (PS3.5 A.1), and how wide the numbers of one are.

From the standard's dictionary (PS3.6); keeps what was asked. Private elements are UN, their creators LO (PS3.5 7.8.1).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pydicom.datadict import dictionary_VR

UNKNOWN: Final = b"UN"

WIDTHS: Final[dict[bytes, int]] = {
    **dict.fromkeys((b"US", b"SS", b"OW", b"AT"), 2),
    **dict.fromkeys((b"UL", b"SL", b"FL", b"OL", b"OF"), 4),
    **dict.fromkeys((b"FD", b"OD", b"OV", b"SV", b"UV"), 8),
}
"""Bytes of one number, of those whose bytes depend on the byte order; AT is two of them."""


@lru_cache(maxsize=4096)
def representation_of(tag: int, *, signed: bool) -> bytes:
    """The VR that an element has in explicit VR; ``signed``: what Pixel Representation (0028,0103) says.

    Of several that the dictionary allows: OW for pixels, overlays, lookup tables and samples, as they are in implicit
    VR (PS3.5 A.1), else US or SS by the pixels' sign.
    """
    if tag >> 16 & 1:
        return b"LO" if 0x10 <= tag & 0xFFFF <= 0xFF else UNKNOWN
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return UNKNOWN
    if "OW" in vr:
        return b"OW"
    if vr == "US or SS":
        return b"SS" if signed else b"US"
    return vr.encode("ascii") if len(vr) == 2 else UNKNOWN
