"""Messages that are right, nearly right and wrong, in any order: each association ends, and nothing else does."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest

from kuva_gateway.network import Acceptor, Command, Timers, commands
from tests.holes.raw import Peer, associate
from tests.support import wait_until
from tests.unit.network.peers import (
    ABORT,
    CT,
    RELEASE,
    RecordingServices,
    echo_command,
    listening,
    p_data,
    pdv,
    store_command,
)
from tests.unit.scp.conftest import Lines

QUICK = Timers(associate=0.3, idle=0.3, message=0.3, send_stall=0.3, response=0.3, release=0.3, closing=0.05)
CONVERSATIONS = 150


def split_command(chance: random.Random) -> bytes:
    """A command in two fragments."""
    command = store_command()
    cut = chance.randrange(1, len(command))
    return p_data(pdv(3, 1, command[:cut]), pdv(3, 3, command[cut:]))


def damaged_command(chance: random.Random) -> bytes:
    """A command with one wrong byte."""
    command = bytearray(store_command())
    command[chance.randrange(len(command))] = chance.randrange(256)
    return p_data(pdv(3, 3, bytes(command)))


def any_command(chance: random.Random) -> bytes:
    """Any request or response, with or without a data set to follow."""
    field = chance.choice([*sorted(commands.REQUESTS), commands.C_CANCEL_RQ, commands.C_STORE_RSP, 0x7777])
    command = Command(
        field=field,
        message_id=1,
        responded_to=1,
        status=0,
        affected_class=CT,
        has_data_set=chance.random() < 0.5,
    )
    return p_data(pdv(1, 3, commands.encode(command)))


def any_fragments(chance: random.Random) -> bytes:
    """Fragments of any context, kind and length."""
    return p_data(
        *(
            pdv(
                chance.choice([1, 3, 3, 5, 0]), chance.randrange(4), chance.randbytes(chance.choice([0, 1, 2, 7, 3000]))
            )
            for _ in range(chance.randrange(1, 5))
        )
    )


def any_header(chance: random.Random) -> bytes:
    """A PDU header that may say anything."""
    length = chance.choice([0, 1, 4, 6, 7, 100, 2**18, 2**32 - 1])
    return struct.pack(">BxL", chance.randrange(9), length) + chance.randbytes(chance.randrange(20))


PIECES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda chance: p_data(pdv(1, 3, echo_command())),
    lambda chance: p_data(pdv(3, 3, store_command())),
    lambda chance: p_data(pdv(3, chance.choice([0, 2]), chance.randbytes(chance.choice([0, 1, 500, 20_000])))),
    split_command,
    damaged_command,
    any_command,
    any_fragments,
    any_header,
    lambda chance: RELEASE,
    lambda chance: ABORT,
    lambda chance: associate(),
)


def converse(acceptor: Acceptor, chance: random.Random) -> None:
    """One connection: perhaps an association, some pieces, perhaps a wait for the other side to hang up."""
    pieces = [chance.choice(PIECES)(chance) for _ in range(chance.randrange(1, 8))]
    if chance.random() < 0.9:
        pieces.insert(0, associate())
    if chance.random() < 0.2:
        wrong = bytearray(pieces.pop())
        wrong[chance.randrange(len(wrong))] = chance.randrange(256)
        pieces.append(bytes(wrong))
    with Peer(acceptor.ports[0]) as peer:
        try:
            peer.send(*pieces)
        except OSError:
            return
        if chance.random() < 0.5:
            assert peer.has_ended(), f"it waits after {[piece[:40].hex() for piece in pieces]}"


@pytest.mark.parametrize("part", range(4))
def test_whatever_is_said_the_association_ends_without_a_fault_of_ours(part: int) -> None:
    seed = random.SystemRandom().randrange(10**9)
    chance = random.Random(seed)
    services, log = RecordingServices(), Lines()
    with listening(services, timers=QUICK, log=log) as acceptor:
        for _ in range(CONVERSATIONS // 4):
            converse(acceptor, chance)
        wait_until(lambda: not acceptor.associations(), what="the end of every association")
        wait_until(lambda: not acceptor.census._half_open, what="the end of every connection")
        wait_until(lambda: not +acceptor.census._peers, what="every place to be free")
        with Peer(acceptor.ports[0]).open() as bystander:
            bystander.echo()
    faults = [line for line in log.lines if line["event"] in ("connection_failed", "request_failed")]
    assert not faults, f"seed {seed}"
