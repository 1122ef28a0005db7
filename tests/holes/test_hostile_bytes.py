"""Peers that lie about lengths, names and shapes: told so, or cut off, and nothing is believed or left behind."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from pathlib import Path

import pytest

from tests.holes.compare import against_both
from tests.holes.raw import ECHO, Peer, StillOpen, announce, associate, data_set
from tests.holes.receivers import Identity, Receiver, plain
from tests.support import wait_until
from tests.unit.network.peers import ABORT, CT, RELEASE, p_data, pdv

EVERYTHING = 0xFFFFFFFF
UNDEFINED = b"\xff\xff\xff\xff"


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """One element with a short length, explicit little endian (PS3.5 7.1.2)."""
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def image(sop_instance: str = "1.2.3.4", *, study: str = "1.2.3", series: str = "1.2.3.1", more: bytes = b"") -> bytes:
    """A data set that is filed under these UIDs; ``more`` comes behind them, from group 0040 on."""
    return b"".join(
        (
            element(0x0008, 0x0016, b"UI", CT.encode()),
            element(0x0008, 0x0018, b"UI", sop_instance.encode()),
            element(0x0010, 0x0020, b"LO", b"4711"),
            element(0x0020, 0x000D, b"UI", study.encode()),
            element(0x0020, 0x000E, b"UI", series.encode()),
            more,
        )
    )


def nested(depth: int) -> bytes:
    """Content sequences (0040,A730) inside each other, all of undefined length."""
    begin = struct.pack("<HH2sxx", 0x0040, 0xA730, b"SQ") + UNDEFINED + b"\xfe\xff\x00\xe0" + UNDEFINED
    end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return begin * depth + end * depth


@against_both("believes a header that claims 4 GiB, and reads")
def test_a_pdu_that_claims_4_gib_is_aborted_before_any_of_it_is_taken(receiver: Receiver) -> None:
    with Peer(receiver.port, timeout=receiver.patience).open() as peer:
        peer.send(struct.pack(">BxL", 4, EVERYTHING))
        try:
            said = peer.pdu()
        except TimeoutError:
            raise StillOpen("it waits for 4 GiB") from None
        # PS3.8 9.3.8: by the service provider, because of an invalid PDU parameter value
        if said != (7, b"\0\0\2\6"):
            raise StillOpen(f"a PDU of type {said[0]} instead of A-ABORT")


@pytest.mark.parametrize("kind", range(1, 8))
def test_no_kind_of_pdu_may_claim_4_gib_before_or_after_the_association(one_gateway: Receiver, kind: int) -> None:
    for opened in (False, True):
        with Peer(one_gateway.port) as peer:
            if opened:
                peer.open()
            peer.send(struct.pack(">BxL", kind, EVERYTHING))
            assert peer.pdu() == (7, b"\0\0\2\6")
            assert peer.has_ended()


@against_both("fails with a recursion that it does not tell of")
def test_300_nested_sequences_are_refused_with_a_reason_and_the_association_goes_on(receiver: Receiver) -> None:
    with Peer(receiver.port).open() as peer:
        peer.send(announce(), data_set(image(more=nested(300))))
        answer = peer.response()
        peer.echo()
    assert 0xC000 <= (answer.status or 0) <= 0xCFFF
    if "nested" not in answer.error_comment:
        raise StillOpen(f"status {answer.status:04X}, and no word on it")
    assert not receiver.files()


@against_both("gives its handlers the UID as it came, and they name files after it")
def test_a_sop_instance_uid_that_is_a_path_leads_nowhere(receiver: Receiver) -> None:
    before = set(receiver.folder.rglob("*"))
    with Peer(receiver.port).open() as peer:
        peer.send(announce("../../x"), data_set(image("../../x")))
        status = peer.response().status
        peer.send(RELEASE)
        assert peer.pdu()[0] == 6
    new = {path for path in set(receiver.folder.rglob("*")) - before if path.is_file()}
    if any(path.name == "x" for path in new):
        raise StillOpen("a file lies where the peer wanted it")
    assert status == 0x0117  # PS3.7 C.5.13, invalid object instance
    assert not receiver.files()


def kept(receiver: Receiver) -> set[str]:
    """The digests of what the gateway keeps, wherever that lies at the moment."""
    return {path.name.rpartition(".")[2] for path in receiver.files()}


PATHS = ["../../x", "/etc/passwd", "1.2/../3", "..", ".", "1.2.3\0/../x", "1.2.3\n", "-rf", "%2e%2e", "1" * 65]


@pytest.mark.parametrize("uid", PATHS, ids=[repr(uid) for uid in PATHS])
def test_no_uid_of_a_data_set_names_a_file(one_gateway: Receiver, uid: str) -> None:
    """Not where command and data set agree on it, nor where the data set alone says it, of study or series either."""
    before = kept(one_gateway)
    with Peer(one_gateway.port).open() as peer:
        for sop_instance, data in (
            (uid, image(uid)),
            ("1.2.3.4", image(uid)),
            ("1.2.3.4", image(study=uid)),
            ("1.2.3.4", image(series=uid)),
        ):
            peer.send(announce(sop_instance), data_set(data))
            assert peer.response().status in (0x0117, 0xA900)
        peer.echo()
    assert kept(one_gateway) == before


ENDS = {
    "aborted": ABORT,
    "hung up": b"",
    "released": RELEASE,
    "another request": ECHO,
    "nonsense": b"GET / HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("how", ENDS)
def test_nothing_stays_behind_of_a_transfer_that_ends_half_way(one_gateway: Receiver, how: str) -> None:
    before = kept(one_gateway)
    with Peer(one_gateway.port).open() as peer:
        peer.send(announce(), data_set(bytes(400_000), last=False))
        wait_until(one_gateway.leftovers, what="the beginning of a file")
        peer.send(ENDS[how])
        peer.socket.close()
        wait_until(lambda: not one_gateway.leftovers(), what="no more of that file")
    assert kept(one_gateway) == before


@pytest.mark.xfail(strict=True, raises=StillOpen, reason="pynetdicom leaves the beginning of a file for ever")
def test_pynetdicom_leaves_half_a_transfer_behind(identity: Identity, tmp_path: Path) -> None:
    """In the one mode in which its memory is bounded; the gateway's counterpart is the test above."""
    with plain(tmp_path, identity, chunked=True) as receiver:
        with Peer(receiver.port).open() as peer:
            peer.send(announce(), data_set(bytes(400_000), last=False))
            wait_until(receiver.leftovers, what="the beginning of a file")
            peer.send(ABORT)
            assert peer.has_ended()
        with Peer(receiver.port).open() as peer:
            peer.echo()
        if receiver.leftovers():
            raise StillOpen("half a file lies about")


@pytest.mark.parametrize(
    ("beginning", "empty"), [(b"", pdv(3, 1, b"")), (announce(), pdv(3, 0, b""))], ids=["a command", "a data set"]
)
def test_a_message_of_nothing_but_empty_fragments_ends_with_its_deadline(
    one_gateway: Receiver, beginning: bytes, empty: bytes
) -> None:
    """Empty fragments are legal (PS3.8 E.2) and no progress, however many of them come in a second."""
    with Peer(one_gateway.port).open() as peer:
        peer.send(beginning)
        peer.flood(p_data(*[empty] * 1000))
        assert peer.breaks()


def test_what_a_stranger_sends_is_not_in_the_log(one_gateway: Receiver) -> None:
    """A library's warning about each UID that is none would quote it there, and remember each in memory for ever."""
    before = one_gateway.log.stat().st_size
    for number in range(20):
        with Peer(one_gateway.port) as peer:
            peer.send(associate().replace(b"1.2.840.10008.1.1", b"Virtanen^Ann %04d" % number))
            assert peer.pdu()[0] in (2, 7)
            peer.send(ABORT)
            assert peer.has_ended()
    said = one_gateway.log.read_bytes()[before:].decode()
    assert "Virtanen" not in said
    for line in said.splitlines():
        json.loads(line)


@pytest.mark.parametrize("said", [ECHO, announce(), data_set(bytes(100))], ids=["echo", "store", "data"])
def test_data_before_the_association_is_aborted(one_gateway: Receiver, said: bytes) -> None:
    with Peer(one_gateway.port) as peer:
        peer.send(said)
        assert peer.pdu()[0] == 7
        assert peer.has_ended()


def test_an_association_inside_an_association_is_aborted(one_gateway: Receiver) -> None:
    with Peer(one_gateway.port).open() as peer:
        peer.send(announce(), data_set(bytes(40_000), last=False), associate())
        assert peer.pdu() == (7, b"\0\0\2\2")  # PS3.8 9.3.8: an unexpected PDU
        assert peer.has_ended()


def test_the_clear_text_of_an_association_is_no_tls(one_gateway: Receiver) -> None:
    with Peer(one_gateway.tls_port) as peer:
        peer.send(associate())
        assert peer.has_ended()


def test_garbage_inside_tls_records_ends_that_connection_alone(one_gateway: Receiver) -> None:
    with Peer(one_gateway.tls_port, tls=one_gateway.tls).open() as peer:
        peer.echo()
        with socket.socket(fileno=peer.socket.detach()) as clear:
            clear.settimeout(10)
            clear.sendall(b"\x17\x03\x03\x00\x40" + bytes(64))  # a record that nobody sealed
            with contextlib.suppress(ConnectionError):
                while clear.recv(1000):
                    pass
    with Peer(one_gateway.tls_port, tls=one_gateway.tls).open() as peer:
        peer.echo()
