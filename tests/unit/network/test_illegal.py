"""Peers that break the rules of PS3.8 and PS3.7, byte by byte, and what they get for it."""

from __future__ import annotations

import struct
from time import monotonic

import pytest

from kuva_gateway.errors import NoSpaceError
from kuva_gateway.network import Command, Limits, Response, commands
from tests.support import wait_until
from tests.unit.network.peers import (
    ABORT,
    COMMITMENT,
    CT,
    ECHO,
    IMPLICIT,
    RELEASE,
    STORE,
    VERIFICATION,
    RawPeer,
    RecordingServices,
    associate_request,
    echo_command,
    listening,
    p_data,
    pdv,
    store_command,
)

RP = (6, bytes(4))


def aborted(peer: RawPeer, source: int, reason: int) -> None:
    """The peer sees exactly this A-ABORT and then the end of the connection."""
    kind, body = peer.pdu()
    assert (kind, *body[2:]) == (7, source, reason)
    assert peer.pdu() == (0, b"")


@pytest.mark.parametrize(
    ("sent", "source", "reason"),
    [
        (b"\x01\0\xff\xff\xff\xff", 2, 6),
        (b"\x04\0\xff\xff\xff\xff", 2, 6),
        (b"GET / HTTP/1.1\r\n\r\n", 2, 1),
        (b"\x16\x03\x01\x02\x00\x01\x00", 2, 1),
        (ECHO, 0, 0),
        (RELEASE, 0, 0),
        (associate_request()[:2] + b"\0\0\0\x10" + bytes(16), 2, 6),
        (associate_request()[:-3] + b"\xff\xff\xff", 2, 6),
    ],
)
def test_before_the_association_nonsense_is_aborted_at_once(sent, source, reason):
    services = RecordingServices()
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]) as peer:
        started = monotonic()
        peer.send(sent)
        if sent.startswith(associate_request()[:6]):
            kind, _ = peer.pdu()
            assert kind in (2, 7)
            return
        aborted(peer, source, reason)
        assert monotonic() - started < 0.9
    assert not services.ended


@pytest.mark.parametrize(
    ("sent", "source", "reason"),
    [
        (b"\x04\0\xff\xff\xff\xff", 2, 6),
        (b"\x99\0\0\0\0\x04abcd", 2, 1),
        (associate_request(), 2, 2),
        (b"\x06\0\0\0\0\x04\0\0\0\0", 2, 2),
        (b"\x03\0\0\0\0\x04\0\1\1\1", 2, 2),
        (p_data(pdv(9, 3, echo_command())), 2, 6),
        (p_data(pdv(3, 2, b"data without a command")), 2, 2),
        (STORE + p_data(pdv(3, 3, echo_command())), 2, 2),
        (STORE + p_data(pdv(1, 2, b"on another context")), 2, 2),
        (STORE + p_data(pdv(3, 0, b"begun")) + p_data(pdv(1, 2, b"other")), 2, 2),
        (STORE + p_data(pdv(3, 0, b"begun")) + p_data(pdv(3, 3, echo_command())), 2, 2),
        (p_data(pdv(1, 1, echo_command()[:20])) + p_data(pdv(3, 3, echo_command()[20:])), 2, 2),
        (p_data(pdv(1, 1, echo_command()[:20])) + p_data(pdv(1, 2, b"data")), 2, 2),
        (p_data(b"\0\0\0\x01\x01\x03"), 2, 6),
        (p_data(b"\0\0\xff\xff\x01\x03"), 2, 6),
        (p_data(pdv(1, 3, b"no command set")), 0, 0),
        (p_data(pdv(1, 3, commands.encode(Command(field=commands.C_ECHO_RSP, responded_to=1, status=0)))), 0, 0),
    ],
)
def test_on_an_association_what_is_out_of_place_is_aborted(sent, source, reason):
    services = RecordingServices()
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(sent)
        aborted(peer, source, reason)
        wait_until(lambda: services.ended)
    assert services.ended[0][1].startswith("aborted by us")
    assert all(received.ended == "abandoned" for received in services.stored)


def test_a_command_set_that_never_ends_is_cut_at_its_limit():
    services = RecordingServices()
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        for _ in range(5):
            peer.send(p_data(pdv(1, 1, bytes(16000))))
        aborted(peer, 2, 6)


@pytest.mark.parametrize("fragment", [1, 7, 100])
def test_fragments_of_any_size_are_put_together(fragment):
    services = RecordingServices()
    raw, data = store_command(), bytes(range(256)) * 4
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        for start in range(0, len(raw), fragment):
            last = 2 if start + fragment >= len(raw) else 0
            peer.send(p_data(pdv(3, 1 | last, raw[start : start + fragment])))
        for start in range(0, len(data), fragment):
            last = 2 if start + fragment >= len(data) else 0
            peer.send(p_data(pdv(3, last, data[start : start + fragment])))
        assert peer.response().status == 0
        peer.send(RELEASE)
        assert peer.pdu() == RP
    assert services.stored[0].data == data


def test_command_and_data_may_share_a_pdu_and_the_next_message_may_follow_at_once():
    services = RecordingServices()
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        both = p_data(pdv(3, 3, store_command(1)), pdv(3, 2, b"abcd"))
        peer.send(both, p_data(pdv(3, 3, store_command(2)), pdv(3, 0, b"ef"), pdv(3, 2, b"gh")), ECHO, RELEASE)
        answers = [peer.response() for _ in range(3)]
        assert peer.pdu() == RP
        wait_until(lambda: services.ended)
    assert [answer.responded_to for answer in answers] == [1, 2, 1]
    assert [received.data for received in services.stored] == [b"abcd", b"efgh"]
    assert services.ended[0][1] == "released"


def test_requests_sent_without_waiting_are_answered_in_turn():
    with listening() as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(*(p_data(pdv(1, 3, echo_command(number))) for number in range(1, 51)))
        assert [peer.response().responded_to for _ in range(50)] == list(range(1, 51))


def test_a_cancel_that_came_too_late_does_not_cancel_the_next_request_with_that_id():
    cancel = p_data(pdv(1, 3, commands.encode(Command(field=commands.C_CANCEL_RQ, responded_to=1))))
    looked: list[bool] = []

    def find(association, context, command, data_set):
        yield Response(status=0xFF00)
        if not looked:
            wait_until(lambda: association.cancelled(command.message_id))
        looked.append(association.cancelled(command.message_id))
        yield Response(status=0)

    services = RecordingServices(on_request=find)
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        for _ in range(2):
            peer.send(ECHO)
            assert peer.response().status == 0xFF00
            if not looked:
                peer.send(cancel)
            assert peer.response().status == 0
    assert looked == [True, False]


def test_a_request_may_cross_ours_that_follows_a_response():
    """After N-ACTION is answered the peer may go on storing while we report the result (PS3.4 J.3.3)."""
    answers = []

    def request(association, context, command, data_set):
        def after(association):
            answers.append(
                association.event_report(context, sop_class=CT, sop_instance="1.2", event_type=1, data_set=b"ab")
            )

        yield Response(status=0, after=after if command.field == commands.N_ACTION_RQ else None)

    action = Command(field=commands.N_ACTION_RQ, message_id=5, requested_class=CT, requested_instance="1.2")
    services = RecordingServices(on_request=request)
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(p_data(pdv(1, 3, commands.encode(action))), STORE, p_data(pdv(3, 2, b"data")), ECHO)
        assert peer.response().field == commands.N_ACTION_RSP
        report = peer.response()
        assert report.field == commands.N_EVENT_REPORT_RQ
        assert peer.pdu()[1][6:] == b"ab"
        assert peer.response().field == commands.C_STORE_RSP
        assert peer.response().field == commands.C_ECHO_RSP
        done = Command(field=commands.N_EVENT_REPORT_RSP, responded_to=report.message_id, status=0x0112)
        peer.send(p_data(pdv(1, 3, commands.encode(done))), ECHO)
        assert peer.response().field == commands.C_ECHO_RSP
    assert [answer.status for answer in answers] == [0x0112]


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        (ABORT, "aborted the association"),
        (RELEASE, "released in the middle of a message"),
        (b"", "connection was lost"),
    ],
)
def test_a_transfer_that_ends_half_way_is_abandoned(ending, how):
    services = RecordingServices()
    with listening(services) as acceptor:
        with RawPeer(acceptor.ports[0]).associate() as peer:
            peer.send(STORE, p_data(pdv(3, 0, bytes(5000))))
            assert services.writing.wait(10)
            peer.send(ending)
            if ending == RELEASE:
                assert peer.pdu() == RP
        wait_until(lambda: services.ended)
    assert [received.ended for received in services.stored] == ["abandoned"]
    assert how in services.ended[0][1]


def test_a_full_disk_costs_one_instance_and_not_the_association():
    services = RecordingServices(write_fails=NoSpaceError("full"))
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(STORE)
        for number in range(100):
            peer.send(p_data(pdv(3, 2 if number == 99 else 0, bytes(16000))))
        answer = peer.response()
        assert (answer.status, answer.error_comment) == (0xA700, "out of space")
        services.write_fails = None
        peer.send(STORE, p_data(pdv(3, 2, b"ok")))
        assert peer.response().status == 0
    assert [received.ended for received in services.stored] == ["failed: full", "finished"]


def test_a_sink_that_cannot_finish_says_what_to_answer():
    services = RecordingServices(finish_fails=OSError("fsync"))
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(STORE, p_data(pdv(3, 2, b"data")))
        assert peer.response().status == 0xA700


def test_a_fault_of_the_services_is_a_processing_failure_and_no_more():
    class Log:
        def __init__(self) -> None:
            self.lines: list[tuple[str, dict[str, object]]] = []

        def error(self, event: str, **fields: object) -> None:
            self.lines.append((event, fields))

        info = warning = error

    log = Log()
    services = RecordingServices(on_request=lambda *_: 1 / 0)
    with listening(services, log=log) as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(ECHO)
        assert peer.response().status == 0x0110
        services.on_request = None
        peer.send(ECHO)
        assert peer.response().status == 0
    assert log.lines[0][0] == "request_failed"
    assert log.lines[0][1]["error"] == "ZeroDivisionError"


def test_an_unknown_command_is_unrecognised_and_a_late_cancel_is_passed_over():
    with listening() as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(p_data(pdv(1, 3, commands.encode(Command(field=0x0777, message_id=4)))))
        answer = peer.response()
        assert (answer.field, answer.status, answer.responded_to) == (0x8777, 0x0211, 4)
        peer.send(p_data(pdv(1, 3, commands.encode(Command(field=commands.C_CANCEL_RQ, responded_to=4)))))
        peer.send(ECHO)
        assert peer.response().status == 0


def test_a_store_without_a_data_set_is_not_understood():
    command = Command(field=commands.C_STORE_RQ, message_id=1, affected_class=CT, affected_instance="1.2.3")
    with listening() as acceptor, RawPeer(acceptor.ports[0]).associate() as peer:
        peer.send(p_data(pdv(3, 3, commands.encode(command))))
        assert peer.response().status == 0xC000


@pytest.mark.parametrize(("field", "status"), [(commands.N_ACTION_RQ, 0x0213), (commands.C_FIND_RQ, 0xA700)])
def test_a_query_that_is_too_long_is_read_and_refused(field, status):
    services = RecordingServices()
    command = Command(field=field, message_id=1, affected_class=COMMITMENT, has_data_set=True)
    with (
        listening(services, limits=Limits(data_set=10_000)) as acceptor,
        RawPeer(acceptor.ports[0]).associate((COMMITMENT, IMPLICIT), (VERIFICATION, IMPLICIT)) as peer,
    ):
        peer.send(p_data(pdv(1, 3, commands.encode(command))))
        peer.send(p_data(pdv(1, 0, bytes(9000))), p_data(pdv(1, 2, bytes(2000))))
        assert peer.response().status == status
        peer.send(p_data(pdv(1, 3, commands.encode(command))), p_data(pdv(1, 2, bytes(10_000))))
        assert peer.response().status == 0
    assert [len(data) for _, data in services.asked] == [10_000]


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lambda raw: raw[:6] + b"\0\x02" + raw[8:], (1, 2, 2)),
        (lambda raw: raw.replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9"), (1, 1, 2)),
    ],
)
def test_another_protocol_or_application_is_rejected(change, answer):
    with listening() as acceptor, RawPeer(acceptor.ports[0]) as peer:
        peer.send(change(associate_request()))
        kind, body = peer.pdu()
        assert (kind, *body[1:]) == (3, *answer)


def test_more_than_128_contexts_are_no_association():
    item = struct.pack(">BxHBxxx", 0x20, 4 + 8 + 8, 1) + struct.pack(">BxH", 0x30, 4) + b"1.23"
    item += struct.pack(">BxH", 0x40, 4) + b"1.24"
    raw = associate_request()
    where = raw.index(b"\x50\0", 74)
    many = b"".join(item[:4] + bytes([2 * n % 256 + 1]) + item[5:] for n in range(130))
    raw = raw[:where] + many + raw[where:]
    raw = raw[:2] + struct.pack(">L", len(raw) - 6) + raw[6:]
    with listening() as acceptor, RawPeer(acceptor.ports[0]) as peer:
        peer.send(raw)
        aborted(peer, 2, 6)


def test_a_peer_that_takes_no_bytes_gets_no_association():
    services = RecordingServices()
    with listening(services) as acceptor:
        with RawPeer(acceptor.ports[0]) as peer:
            assert peer.ask(length=5)[0] == 7
        wait_until(lambda: not acceptor.census._peers)
    assert not services.ended


def test_titles_lose_their_padding_and_strange_bytes_do_no_harm():
    services = RecordingServices()
    raw = bytearray(associate_request())
    raw[10:26] = b"  GATE\0         "
    raw[26:42] = b"\xe4\xff SCANNER      "
    with listening(services) as acceptor, RawPeer(acceptor.ports[0]) as peer:
        peer.send(bytes(raw))
        kind, body = peer.pdu()
        assert kind == 2
        assert body[4:36] == raw[10:42]
    assert services.requests[0].called_ae == "GATE"
    assert services.requests[0].calling_ae == "\ufffd\ufffd SCANNER"
