"""Peers that say nothing, too little, too slowly, or do not listen: each costs its own connection and no more."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from tests.holes.compare import against_both
from tests.holes.raw import ECHO, Peer, StillOpen, announce, associate, data_set
from tests.holes.receivers import Receiver

STARTED = announce() + data_set(bytes(20_000), last=False)
SILENCES = {
    "a header's first three bytes": b"\x04\0\0",
    "a command cut short": ECHO[:40],
    "a command without its data set": announce(),
    "a data set that does not go on": STARTED,
    "a fragment cut short": STARTED + data_set(bytes(9000))[:5000],
}


@against_both("does the TLS handshake in its accept loop")
def test_one_silent_client_does_not_keep_others_from_the_tls_port(receiver: Receiver) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Peer(receiver.tls_port))
        try:
            other = stack.enter_context(Peer(receiver.tls_port, timeout=2, tls=receiver.tls))
            other.open().echo()
        except OSError:
            raise StillOpen("a silent client keeps the TLS port to itself") from None


def test_a_silent_client_of_the_tls_port_is_closed(one_gateway: Receiver) -> None:
    with Peer(one_gateway.tls_port) as silent, Peer(one_gateway.tls_port) as dripping:
        assert silent.has_ended()
        assert dripping.drip(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"), "a ClientHello, byte by byte"


@against_both("waits for the rest of a PDU without a limit")
@pytest.mark.parametrize("said", ["a header's first three bytes", "a command cut short", "a fragment cut short"])
def test_who_falls_silent_in_the_middle_of_a_pdu_is_cut_off(receiver: Receiver, said: str) -> None:
    with Peer(receiver.port).open() as peer:
        peer.send(SILENCES[said])
        if not peer.has_ended(receiver.patience):
            raise StillOpen("it is still waiting")


@pytest.mark.parametrize("said", ["a command without its data set", "a data set that does not go on"])
def test_who_falls_silent_between_pdus_is_cut_off(one_gateway: Receiver, said: str) -> None:
    with Peer(one_gateway.port).open() as peer:
        peer.send(SILENCES[said])
        assert peer.has_ended(one_gateway.patience)


@against_both("starts its wait anew for each byte, and has no limit for a PDU")
@pytest.mark.parametrize("said", [b"", STARTED], ids=["a command", "a data set"])
def test_who_sends_a_byte_now_and_then_is_cut_off(receiver: Receiver, said: bytes) -> None:
    with Peer(receiver.port).open() as peer:
        peer.send(said)
        following = data_set(bytes(9000)) if said else ECHO
        if not peer.drip(following, seconds=receiver.patience):
            raise StillOpen("it takes a byte now and then for ever")


@pytest.mark.parametrize("said", [b"", b"\x01\0\0", associate()[:100]], ids=["nothing", "three bytes", "a beginning"])
def test_who_does_not_come_to_an_association_is_closed(one_gateway: Receiver, said: bytes) -> None:
    with Peer(one_gateway.port) as silent, Peer(one_gateway.port) as dripping:
        silent.send(said)
        dripping.send(said)
        assert dripping.drip(associate()[len(said) :])
        assert silent.has_ended()


@pytest.mark.slow
@against_both("writes to a peer that does not read without a limit")
def test_who_does_not_read_the_answers_is_cut_off(receiver: Receiver) -> None:
    with Peer(receiver.port) as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.open()
        for _ in range(10):  # on a busy machine it may only have stood still
            peer.fill(ECHO)  # it stops reading our requests when it cannot write its answers
            if peer.breaks(receiver.patience / 5):
                return
        raise StillOpen("it is still writing")


@against_both("counts the seconds of a message and not its bytes")
def test_who_keeps_up_may_take_longer_than_any_timer(receiver: Receiver) -> None:
    image = data_set(bytes(120_000), fragment=60_000)
    with Peer(receiver.port).open() as peer:
        peer.send(announce())
        pieces = [image[at : at + 4000] for at in range(0, len(image), 4000)]
        try:
            for piece in pieces[:-1]:
                peer.send(piece)
                if peer.has_ended(0.06):
                    raise StillOpen("it hung up on a peer that was sending all the time")
            peer.send(pieces[-1])
        except OSError:
            raise StillOpen("it hung up on a peer that was sending all the time") from None
        peer.socket.settimeout(receiver.patience)
        # The data set is none, which is for the store to say: what counts is that it was taken to its end.
        kind, _ = peer.pdu()
        if kind != 4:
            raise StillOpen(f"no answer but a PDU of type {kind}")
