"""A crew of real receiving processes on a spool of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kuva_gateway import parts
from kuva_gateway.config import Configuration
from kuva_gateway.dicom.header import Header
from kuva_gateway.network import ProposedContext, RequestorAssociation, Target, connect
from kuva_gateway.receiving import Crew, Hooks
from kuva_gateway.spool import Arrival
from tests.unit.scp.conftest import COMMITMENT, CT, EXPLICIT, IMPLICIT, TIMERS, VERIFICATION, Asked


class Told:
    """What the crew told, and what it was answered."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.receipts: list[tuple[Arrival, Header]] = []
        self.results: list[tuple[Any, ...]] = []
        self.requests = Asked()
        self.lost = 0
        self.waited: list[tuple[datetime, float]] = []
        self.indexed = True
        self.result_error: Exception | None = None
        self.beats: list[str] = []

    def on_receipt(self, arrival: Arrival, header: Header) -> None:
        with self.lock:
            self.receipts.append((arrival, header))

    def on_result(self, *result: Any) -> None:
        if self.result_error is not None:
            raise self.result_error
        self.results.append(result)

    def wait_indexed(self, moment: datetime, seconds: float) -> bool:
        self.waited.append((moment, seconds))
        return self.indexed

    def on_lost(self) -> None:
        with self.lock:
            self.lost += 1


def configuration(folder: Path, **changes: Any) -> Configuration:
    """One plain port, two modalities and an archive."""
    values: dict[str, Any] = {
        "environment": "test",
        "state_directory": folder,
        "listen": {"host": "127.0.0.1", "port": 0},
        "drain_timeout": 5,
        "spool": {"minimum_free": 1 << 20},
        "log": {"level": "warning", "format": "json"},
        "peers": [
            {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store", "commit"], "limits": {"associations": 3}},
            {"name": "mr1", "ae_title": "MR1", "allow": ["echo", "store"]},
        ],
        "destinations": [{"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 9}],
        **changes,
    }
    return Configuration.model_validate(values)


@contextmanager
def crew(folder: Path, *, count: int = 2, **changes: Any) -> Iterator[tuple[Crew, Told]]:
    """A started crew; it is drained at the end."""
    settings = configuration(folder, **changes)
    parts.make_state_directory(folder)
    told = Told()
    hooks = Hooks(
        on_receipt=told.on_receipt,
        on_commitment_result=told.on_result,
        commitment_requests=told.requests,
        wait_indexed=told.wait_indexed,
        on_lost_notices=told.on_lost,
        beat=told.beats.append,
    )
    found = Crew(settings, parts.open_spool(settings), hooks, count=count)
    try:
        found.start()
        yield found, told
    finally:
        found.drain(5)


def associate(found: Crew, *, calling: str = "CT1", patience: float = 30) -> RequestorAssociation:
    """An association for CT images and C-ECHO; the caller ends it. A killed process may have to be replaced first."""
    contexts = [
        ProposedContext(id=1, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,)),
        ProposedContext(id=3, abstract_syntax=VERIFICATION, transfer_syntaxes=(EXPLICIT,)),
        ProposedContext(id=5, abstract_syntax=COMMITMENT, transfer_syntaxes=(IMPLICIT,)),
    ]
    target = Target(host="127.0.0.1", port=found.ports[0], called_ae="KUVAGW", calling_ae=calling)
    return connect(target, contexts, timers=replace(TIMERS, associate=patience))


def now() -> datetime:
    return datetime.now(UTC)
