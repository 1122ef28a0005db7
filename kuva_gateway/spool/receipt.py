"""What is known of an acknowledged C-STORE from its file name alone: when, from whom, and the digest of its bytes.

Names sort by the time of receipt, so that a plain listing of ``arrived/`` is the order in which things came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PEER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
DIGEST = re.compile(r"[0-9a-f]{64}")

_RECEIPT = re.compile(r"(\d{20})-(\d{10})-(\d{10})")
_NAME = re.compile(rf"({_RECEIPT.pattern})\.({PEER_NAME.pattern})\.({DIGEST.pattern})")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Receipt:
    """One acknowledged C-STORE: nanoseconds since 1970, the association's id, the number of the receipt in it."""

    time_ns: int
    association: int
    number: int

    def __str__(self) -> str:
        return f"{self.time_ns:020d}-{self.association:010d}-{self.number:010d}"

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """The receipt that ``str`` wrote.

        Raises
        ------
        ValueError
            It is none.
        """
        match = _RECEIPT.fullmatch(text)
        if match is None:
            raise ValueError("this is no receipt")
        time_ns, association, number = (int(part) for part in match.groups())
        return cls(time_ns=time_ns, association=association, number=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One file in ``arrived/``: a receipt that the catalog does not have yet."""

    receipt: Receipt
    peer: str
    """The configured name of the peer."""
    digest: str
    """SHA-256 of the whole file, in hexadecimal."""
    path: Path
    size: int
    """Bytes of the whole file, preamble included."""
    confirmed: bool = True
    """Its bytes are known to be on stable storage. False for one found by a listing: a crash may have come between its
    name and its bytes, so :meth:`Spool.adopt` reads it first."""


def arrival_name(receipt: Receipt, peer: str, digest: str) -> str:
    """The file name of an arrival.

    Raises
    ------
    ValueError
        ``peer`` is no configured name; what a peer sends is never part of a name.
    """
    if PEER_NAME.fullmatch(peer) is None:
        raise ValueError("a peer's name has 1 to 32 of a-z, 0-9, - and _")
    return f"{receipt}.{peer}.{digest}"


def parse_name(name: str) -> tuple[Receipt, str, str] | None:
    """Receipt, peer and digest of an arrival's file name; None when it is somebody else's file."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return Receipt.parse(match[1]), match[5], match[6]
