"""A spool in a fresh folder, whose files fail when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kuva_gateway.spool import Arrival, Incoming, Spool
from tests.faults import FaultyFiles

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

Receive = Callable[..., Arrival]


def contents(spool: Spool) -> dict[str, list[str]]:
    """The files in each of the spool's folders, by name; folders without files are left out."""
    found: dict[str, list[str]] = {}
    for path in sorted(spool.root.rglob("*")):
        if path.is_file():
            found.setdefault(path.relative_to(spool.root).parts[0], []).append(path.name)
    return found


def write_all(incoming: Incoming, data: bytes, step: int) -> None:
    """Write ``data`` in pieces of ``step`` bytes."""
    for start in range(0, len(data), step):
        incoming.write(memoryview(data)[start : start + step])


@pytest.fixture
def files() -> FaultyFiles:
    return FaultyFiles()


@pytest.fixture
def spool(tmp_path: Path, files: FaultyFiles) -> Spool:
    return Spool(tmp_path / "var", minimum_free=0, files=files)


@pytest.fixture
def receive(spool: Spool) -> Receive:
    """Receive a data set in pieces of 100,000 bytes."""

    def receive(
        data: bytes, *, peer: str = "ct1", association: int = 7, number: int = 3, into: Spool = spool
    ) -> Arrival:
        incoming = into.begin(CT, "1.2.3.4", EXPLICIT)
        write_all(incoming, data, 100_000)
        return incoming.commit(peer, association, number)

    return receive
