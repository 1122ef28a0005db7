"""Delivery to a peer that fails at each step of a C-STORE: what is known afterwards, and what is not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE
from kuva_gateway.forward.deliver import Delivery, deliver
from kuva_gateway.forward.outcome import Kind, Outcome, Scope, classify
from kuva_gateway.forward.outgoing import Sendable
from kuva_gateway.network import commands, pdus
from kuva_gateway.network.commands import C_STORE_RSP, Command, decode, encode
from kuva_gateway.network.negotiation import accept_bytes, read_items
from kuva_gateway.network.records import Answer
from tests.unit.forward.archive import Script, running
from tests.unit.forward.instances import CT, Shelf
from tests.unit.forward.test_deliver import call_to
from tests.unit.network.scripted import ScriptedServer

COMMAND, LAST = 1, 2
ABORT = pdus.abort_bytes(0, 0)
MPEG_2 = "1.2.840.10008.1.2.4.100"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@dataclass
class Seen:
    """One C-STORE as the peer read it."""

    context: int
    request: Command


def read_message(server: ScriptedServer, *, whole: bool = True) -> Seen:
    """Read a command, and its data set to the end or only as far as the first PDU that has some of it."""
    command = b""
    while True:
        kind, body = server.pdu()
        assert kind == pdus.P_DATA
        while body:
            (length,) = struct.unpack(">I", body[:4])
            context, control, fragment = body[4], body[5], body[6 : 4 + length]
            body = body[4 + length :]
            if control & COMMAND:
                command += fragment
            elif control & LAST or not whole:
                return Seen(context, decode(command))


def answer(server: ScriptedServer, seen: Seen, **changes: object) -> None:
    """Answer with success, or with something else."""
    said = {
        "field": C_STORE_RSP,
        "responded_to": seen.request.message_id,
        "affected_class": CT,
        "affected_instance": seen.request.affected_instance,
        "status": 0,
        **changes,
    }
    body = encode(Command(**said))  # type: ignore[arg-type]
    item = struct.pack(">IBB", len(body) + 2, seen.context, COMMAND | LAST) + body
    server.send(struct.pack(">BBI", pdus.P_DATA, 0, len(item)) + item)


def call_only(
    then: Callable[[ScriptedServer], None], shelf: Shelf, *, syntax: str = EXPLICIT_LITTLE
) -> tuple[Delivery, list[Outcome]]:
    """Deliver to a peer that does ``then`` instead of accepting the association."""
    heard: list[Outcome] = []
    with ScriptedServer(then, accept=False) as server:
        delivery = deliver(
            call_to(server.port, response=1.0, associate=1.0),
            [shelf.put(1, syntax=syntax)],
            open_file=shelf.open,
            on_answer=lambda instance, found: heard.append(found),
        )
    return delivery, heard


# PS3.8 9.3.4: every pair of source and reason, reserved ones among them, and values that the standard does not have.
REJECTIONS = [(1, reason) for reason in range(1, 11)] + [(2, 1), (2, 2), (2, 3)] + [(3, r) for r in range(8)] + [(0, 0)]


def test_a_rejection_of_every_kind_is_the_destinations_matter_and_nothing_was_tried(shelf: Shelf) -> None:
    for result in (1, 2, 3):
        for source, reason in REJECTIONS:

            def reject(server: ScriptedServer, said: tuple[int, int, int] = (result, source, reason)) -> None:
                server.pdu()
                server.send(pdus.reject_bytes(*said))
                server.until_closed()

            delivery, heard = call_only(reject, shelf)
            found = delivery.ended
            assert found is not None
            assert (found.scope, found.code) == (Scope.DESTINATION, f"rejected-{result}-{source}-{reason}")
            assert found.kind is (Kind.PERSON if result == 1 else Kind.TEMPORARY)
            assert (heard, delivery.failures, delivery.unknown) == ([], [], [])


@pytest.mark.parametrize("said", [ABORT, pdus.abort_bytes(2, 1), b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_whatever_comes_instead_of_an_acceptance_is_the_destinations_matter(shelf: Shelf, said: bytes) -> None:
    def answer_so(server: ScriptedServer) -> None:
        server.pdu()
        server.send(said)

    delivery, heard = call_only(answer_so, shelf)
    assert delivery.ended is not None
    assert (delivery.ended.kind, delivery.ended.scope) == (Kind.TEMPORARY, Scope.DESTINATION)
    assert (heard, delivery.unknown) == ([], [])


@pytest.mark.parametrize("result", [1, 2, 3, 4, 9])
def test_a_context_rejected_in_any_way_is_told_with_its_class_and_syntax(shelf: Shelf, result: int) -> None:
    """PS3.8 9.3.3.2: user rejection, no reason, abstract syntax, transfer syntaxes; and one that is none of these."""

    def accept_nothing(server: ScriptedServer) -> None:
        _, body = server.pdu()
        contexts = read_items(body, accept=False).contexts
        answers = {context.id: Answer(result=result) for context in contexts}
        server.send(accept_bytes(body, answers, roles={}, length=16384, identity=None))
        kind, _ = server.pdu()
        assert kind == pdus.RELEASE_RQ, "nothing is sent on a context that was not accepted"
        server.send(pdus.RELEASE_RP_BYTES)

    delivery, [found] = call_only(accept_nothing, shelf, syntax=MPEG_2)  # which cannot go in another one
    assert (found.kind, found.scope, found.code) == (Kind.PERSON, Scope.INSTANCE, "context")
    assert "CT Image Storage" in found.comment
    assert len(delivery.failures) == 1


def store_one(then: Callable[[ScriptedServer], None], shelf: Shelf, *, size: int = 4096, count: int = 1) -> Delivery:
    """Deliver to a peer that does ``then`` once it is associated."""

    def unheard(instance: Sendable, found: Outcome) -> None:
        pass

    with ScriptedServer(then) as server:
        return deliver(
            call_to(server.port, response=1.0),
            [shelf.put(number, size=size) for number in range(count)],
            open_file=shelf.open,
            on_answer=unheard,
        )


def abort_at_once(server: ScriptedServer) -> None:
    server.send(ABORT)
    server.until_closed()


def abort_after_the_command(server: ScriptedServer) -> None:
    """The command set alone has come: its last fragment, before any of the data's is read."""
    while True:
        _, body = server.pdu()
        if body[5] == COMMAND | LAST:
            break
    server.send(ABORT)
    server.until_closed()


def abort_inside_the_data(server: ScriptedServer) -> None:
    read_message(server, whole=False)
    server.send(ABORT)
    server.until_closed()


def close_inside_the_data(server: ScriptedServer) -> None:
    read_message(server, whole=False)


@pytest.mark.parametrize(
    "fault", [abort_at_once, abort_after_the_command, abort_inside_the_data, close_inside_the_data]
)
def test_what_was_not_sent_whole_was_not_stored_and_is_tried_again(
    shelf: Shelf, fault: Callable[[ScriptedServer], None]
) -> None:
    delivery = store_one(fault, shelf, size=24_000_000)
    assert delivery.ended is not None
    assert (delivery.ended.kind, delivery.ended.scope, delivery.ended.code) == (Kind.TEMPORARY, Scope.STUDY, "lost")
    assert (delivery.stored, delivery.unknown) == (0, [])


def abort_before_the_answer(server: ScriptedServer) -> None:
    read_message(server)
    server.send(ABORT)
    server.until_closed()


def close_before_the_answer(server: ScriptedServer) -> None:
    read_message(server)


def release_before_the_answer(server: ScriptedServer) -> None:
    read_message(server)
    server.send(pdus.RELEASE_RQ_BYTES)
    server.until_closed()


def say_nothing(server: ScriptedServer) -> None:
    read_message(server)
    server.until_closed()


def answer_another_id(server: ScriptedServer) -> None:
    seen = read_message(server)
    answer(server, seen, responded_to=seen.request.message_id + 1)
    server.until_closed()


def answer_for_another_instance(server: ScriptedServer) -> None:
    answer(server, read_message(server), affected_instance="1.2.3.4")
    server.until_closed()


def answer_another_service(server: ScriptedServer) -> None:
    answer(server, read_message(server), field=commands.C_ECHO_RSP)
    server.until_closed()


def answer_half(server: ScriptedServer) -> None:
    read_message(server)
    server.send(struct.pack(">BBI", pdus.P_DATA, 0, 60) + b"\0\0\0\x38")


@pytest.mark.parametrize(
    "fault",
    [
        abort_before_the_answer,
        close_before_the_answer,
        release_before_the_answer,
        say_nothing,
        answer_another_id,
        answer_for_another_instance,
        answer_another_service,
        answer_half,
    ],
)
def test_what_was_sent_whole_without_its_answer_is_unknown(
    shelf: Shelf, fault: Callable[[ScriptedServer], None]
) -> None:
    delivery = store_one(fault, shelf)
    assert delivery.ended is not None
    assert (delivery.ended.kind, delivery.ended.scope) == (Kind.UNKNOWN, Scope.STUDY)
    assert len(delivery.unknown) == 1
    assert delivery.stored == 0


def test_an_abort_after_an_answer_takes_nothing_from_what_was_stored(shelf: Shelf) -> None:
    def answer_then_abort(server: ScriptedServer) -> None:
        answer(server, read_message(server))
        server.send(ABORT)
        server.until_closed()

    delivery = store_one(answer_then_abort, shelf, count=3)
    assert delivery.stored == 1
    assert delivery.ended is not None
    assert len(delivery.unknown) + len(delivery.failures) == 1, "the third was not begun"


def test_an_answer_without_the_instances_uid_is_an_answer(shelf: Shelf) -> None:
    """PS3.7 9.3.1.2: a response need not name the instance."""

    def answer_plainly(server: ScriptedServer) -> None:
        answer(server, read_message(server), affected_instance="")
        assert server.pdu()[0] == pdus.RELEASE_RQ
        server.send(pdus.RELEASE_RP_BYTES)

    assert store_one(answer_plainly, shelf).complete


EVERY_STATUS = sorted(
    {0x0000, 0x0001, 0x0107, 0x0110, 0x0111, 0x0116, 0x0117, 0x0122, 0x0124, 0x0211, 0x0212, 0xA700, 0xA7FF}
    | set(range(0xA770, 0xA77C))
    | {0xA900, 0xB000, 0xB006, 0xB007, 0xC000, 0xC409, 0xC499, 0xCFFF, 0xFE00}
)


@pytest.mark.slow
def test_each_status_of_the_tables_means_what_the_tables_say(shelf: Shelf) -> None:
    """One study for each, over the wire; the others of the association are sent as far as its scope lets them."""
    first, second = shelf.put(1, size=64), shelf.put(2, size=64)
    told = []
    answers = {first.sop_instance: 0}
    with running(Script(status=lambda uid: answers.get(uid, 0))) as archive:
        for status in EVERY_STATUS:
            answers[first.sop_instance] = status
            heard: list[Outcome] = []
            delivery = deliver(
                call_to(archive.port),
                [first, second],
                open_file=shelf.open,
                on_answer=lambda instance, found, heard=heard: heard.append(found),  # type: ignore[misc]
            )
            told.append((heard[0], delivery))
    for status, (found, delivery) in zip(EVERY_STATUS, told, strict=True):
        expected = classify(status)
        assert (found.kind, found.scope, found.code) == (expected.kind, expected.scope, expected.code)
        goes_on = expected.scope in (Scope.INSTANCE, Scope.SOP_CLASS)
        assert (delivery.ended is None) is goes_on
        assert delivery.stored == expected.stored + (expected.scope is Scope.INSTANCE)
