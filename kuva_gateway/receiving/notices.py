"""An arrival and its header as plain values, and back: what a receiving process tells the daemon for each instance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kuva_gateway.dicom.header import Header, from_plain, to_plain
from kuva_gateway.spool.receipt import Arrival, Receipt

Plain = tuple[int, int, int, str, str, int, str, tuple[Any, ...]]


def write_notice(arrival: Arrival, header: Header) -> Plain:
    """Time, association and number of the receipt, peer, digest, size in bytes, file name, and the header's values."""
    receipt = arrival.receipt
    return (
        receipt.time_ns,
        receipt.association,
        receipt.number,
        arrival.peer,
        arrival.digest,
        arrival.size,
        arrival.path.name,
        to_plain(header),
    )


def read_notice(arrived: Path, plain: Plain) -> tuple[Arrival, Header]:
    """The arrival in the folder ``arrived`` and its header."""
    time_ns, association, number, peer, digest, size, name, values = plain
    arrival = Arrival(
        receipt=Receipt(time_ns=time_ns, association=association, number=number),
        peer=peer,
        digest=digest,
        path=arrived / name,
        size=size,
    )
    return arrival, from_plain(values)
