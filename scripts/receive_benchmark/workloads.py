"""What is sent: workloads (how many images of which size) and cases (a workload in one way of sending it)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

KIB, MIB = 1 << 10, 1 << 20
ASSOCIATIONS = (1, 4, 16)
SENDERS = ("nodelay", "nagle", "bare")
TRANSPORTS = ("plain", "tls")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """``count`` images with ``pixel_bytes`` of pixel data each; ``each``: a new association for every image.

    ``slow`` ones are measured in fewer rounds.
    """

    name: str
    count: int
    pixel_bytes: int
    each: bool = False
    slow: bool = False

    def title(self, count: int | None = None) -> str:
        """For people: ``1000 x 512 KiB``, or with another ``count``."""
        size = f"{self.pixel_bytes // MIB} MiB" if self.pixel_bytes >= MIB else f"{self.pixel_bytes // KIB} KiB"
        return f"{count or self.count} x {size}" + (", an association each" if self.each else "")


WORKLOADS = (
    Workload(name="512KiB", count=1000, pixel_bytes=512 * KIB),
    Workload(name="8KiB", count=1000, pixel_bytes=8 * KIB),
    Workload(name="100MiB", count=20, pixel_bytes=100 * MIB, slow=True),
    Workload(name="8KiB-each", count=1000, pixel_bytes=8 * KIB, each=True),
    Workload(name="512KiB-each", count=200, pixel_bytes=512 * KIB, each=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way of sending a workload: over how many associations at once, by which sender, with or without TLS."""

    workload: str
    associations: int
    sender: str = "nodelay"
    transport: str = "plain"

    def __str__(self) -> str:
        return f"{self.workload} {self.associations} assoc {self.sender} {self.transport}"


def cases(
    *,
    workloads: Collection[str],
    associations: Collection[int],
    senders: Collection[str],
    transports: Collection[str],
    combined: bool = False,
) -> Iterator[Case]:
    """The selected cases, those with floors first.

    Nagle's algorithm is for plain transport and many images in one association, unless it is to be ``combined`` with
    the others. The bare sender is for what storescu's own start would drown: an association for each image, plain.
    """
    for transport in TRANSPORTS:
        for sender in SENDERS:
            for workload in WORKLOADS:
                for number in sorted(set(associations)):
                    if sender not in senders or transport not in transports or workload.name not in workloads:
                        continue
                    if sender == "bare" and (transport == "tls" or not workload.each):
                        continue
                    if sender == "nagle" and (transport == "tls" or workload.each) and not combined:
                        continue
                    yield Case(workload=workload.name, associations=number, sender=sender, transport=transport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How many times as fast as a peer the gateway must be (floor) and should be (goal)."""

    floor: float
    goal: float


_COMMON = {
    "storescp+fsync": Target(floor=1.0, goal=1.5),
    "orthanc": Target(floor=3.0, goal=5.0),
    "pynetdicom": Target(floor=3.0, goal=5.0),
}
_STORESCP = {
    ("512KiB", 1): Target(floor=0.75, goal=1.0),
    ("512KiB", 4): Target(floor=1.0, goal=1.25),
    ("8KiB", 1): Target(floor=0.5, goal=1.0),
    ("8KiB", 4): Target(floor=0.8, goal=1.0),
}
_NAGLE = {"512KiB": Target(floor=5.0, goal=10.0), "8KiB": Target(floor=20.0, goal=40.0)}


def target(case: Case, peer: str) -> Target | None:
    """The floor and the goal for ``case`` against ``peer``; None where none was set.

    They were set for 1 and 4 associations without TLS; the one for Nagle's algorithm, for 1.
    """
    if case.transport != "plain":
        return None
    if case.sender == "nodelay" and (storescp := _STORESCP.get((case.workload, case.associations))) is not None:
        return storescp if peer == "storescp" else _COMMON.get(peer)
    if case.sender == "nagle" and peer == "storescp" and case.associations == 1:
        return _NAGLE.get(case.workload)
    return None
