"""One running gateway and one well-behaved archive, for the tests that need nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.gateway import Gateway
from tests.stand_in import StandIn
from tests.support import free_port

Pair = tuple[Gateway, StandIn]


@pytest.fixture
def start_pair(tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    """Start a gateway and a stand-in archive with the given options; both end with the test."""
    with ExitStack() as stack:

        def start(*archive_options: str, **changes: Any) -> Pair:
            port = free_port()
            archive = stack.enter_context(StandIn("--report-to", f"127.0.0.1:{port}", *archive_options))
            gateway = Gateway(tmp_path / "gateway", archive_port=archive.port, port=port, **changes)
            stack.enter_context(gateway)
            return gateway, archive

        yield start


@pytest.fixture
def pair(start_pair: Callable[..., Pair]) -> Pair:
    """A gateway and an archive without faults."""
    return start_pair(processes=1)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway without a destination."""
    with Gateway(tmp_path / "gateway") as running:
        yield running
