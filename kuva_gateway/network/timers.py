"""How long each phase of an association may take and how much of everything there may be; seconds and bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """Seconds for each phase; every one is enforced against a peer that sends a byte now and then.

    ``message`` and ``send_stall`` say how far a peer may fall behind ``minimum_rate`` (bytes per second): the time left
    grows with every byte that passes, never beyond the figure itself, so a large object has as long as it needs and a
    stalled one has not.
    """

    connect: float = 10.0
    handshake: float = 10.0
    associate: float = 30.0
    idle: float = 600.0
    message: float = 60.0
    send_stall: float = 60.0
    response: float = 120.0
    release: float = 10.0
    closing: float = 2.0
    minimum_rate: float = 16384.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Counts of connections, and sizes in bytes, beyond which a peer is turned away or cut off."""

    associations: int = 200
    half_open: int = 256
    half_open_per_address: int = 16
    contexts: int = 128
    pdu_length: int = 262_144
    associate_pdu: int = 262_144
    command_set: int = 65_536
    data_set: int = 1_048_576
