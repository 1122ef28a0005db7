"""Two receivers for every scenario: the gateway, which must pass, and a plain pynetdicom AE, which must not.

The gateway is one for all scenarios of a module, so that what one peer does to it would harm the next; pynetdicom's
AE is a new one for each, since it does not survive them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.holes.raw import Peer
from tests.holes.receivers import Identity, Receiver, gateway, plain
from tests.support import wait_until


@pytest.fixture(scope="package")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity.make(tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="module")
def one_gateway(identity: Identity, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with gateway(tmp_path_factory.mktemp("gateway"), identity) as running:
        yield running


@pytest.fixture
def receiver(request: pytest.FixtureRequest, identity: Identity, tmp_path: Path) -> Iterator[Receiver]:
    """The receiver that the test's parameter names; the gateway serves others and is tidy after every scenario."""
    if request.param == "pynetdicom":
        with plain(tmp_path, identity) as running:
            yield running
        return
    running = request.getfixturevalue("one_gateway")
    yield running
    with Peer(running.port).open() as bystander:
        bystander.echo()
    wait_until(lambda: not running.leftovers(), what="an empty incoming/")
