"""The channel between the daemon and a receiving process, over real socket pairs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kuva_gateway.errors import DeferredError
from kuva_gateway.receiving.channel import Channel, read_frame, write_frame
from kuva_gateway.receiving.handover import hand_over, receive_connection


@contextmanager
def channels(
    left: dict[str, Callable[..., object]], right: dict[str, Callable[..., object]], apart: frozenset[str] = frozenset()
) -> Iterator[tuple[Channel, Channel]]:
    """Two ends that read."""
    one, other = socket.socketpair()
    ends = Channel(one, left, apart=apart), Channel(other, right, apart=apart)
    threads = [threading.Thread(target=end.run) for end in ends]
    for thread in threads:
        thread.start()
    try:
        yield ends
    finally:
        for end in ends:
            end.close()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


def test_an_answer_comes_after_everything_that_was_told_before_it():
    heard: list[int] = []
    with channels({"word": heard.append}, {"ping": lambda: True}) as (ours, theirs):
        for number in range(500):
            theirs.tell("word", number)
        assert ours.ask("ping", timeout=10) is True
        # ping was answered by the other side after its words; the reader took them in that order.
        assert heard == list(range(500))


def test_questions_cross_from_both_sides_and_many_threads():
    def double(number: int) -> int:
        return 2 * number

    wrong: list[int] = []
    with channels({"double": double}, {"double": double}) as ends:

        def ask(end: Channel, start: int) -> None:
            for number in range(start, start + 200):
                if end.ask("double", number, timeout=10) != 2 * number:
                    wrong.append(number)

        threads = [threading.Thread(target=ask, args=(ends[k % 2], 1000 * k)) for k in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
    assert not wrong


def test_a_failure_on_the_other_side_is_raised_at_the_asker_with_its_code():
    def away() -> None:
        raise DeferredError("the catalog is away", code="busy")

    with channels({}, {"away": away}) as (ours, _), pytest.raises(DeferredError, match="the catalog is away") as raised:
        ours.ask("away", timeout=10)
    assert raised.value.code == "busy"


def test_of_a_fault_only_its_kind_is_told():
    def fault() -> None:
        raise ValueError("Virtanen^Aino")

    with channels({}, {"fault": fault}) as (ours, _), pytest.raises(DeferredError) as raised:
        ours.ask("fault", timeout=10)
    assert "ValueError" in str(raised.value)
    assert "Virtanen" not in str(raised.value)


def test_an_answer_that_takes_time_keeps_nobody_else_waiting():
    goes_on = threading.Event()
    with channels({}, {"slow": lambda: goes_on.wait(30), "ping": lambda: 1}, frozenset({"slow"})) as (ours, _):
        slow: list[object] = []
        thread = threading.Thread(target=lambda: slow.append(ours.ask("slow", timeout=30)))
        thread.start()
        assert ours.ask("ping", timeout=10) == 1
        assert not slow
        goes_on.set()
        thread.join(30)
        assert slow == [True]


def test_who_waits_for_an_answer_hears_that_the_other_is_gone():
    asked = threading.Event()
    never = threading.Event()

    def silent() -> None:
        asked.set()
        never.wait(30)

    with channels({}, {"silent": silent}, frozenset({"silent"})) as (ours, theirs):
        raised: list[str] = []

        def ask() -> None:
            try:
                ours.ask("silent", timeout=30)
            except DeferredError as error:
                raised.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        assert asked.wait(10)
        theirs.close()
        thread.join(10)
        assert raised == ["the other process is gone"]
        with pytest.raises(DeferredError):
            ours.ask("silent", timeout=10)
        never.set()


def test_a_question_without_an_answer_ends_in_time():
    never = threading.Event()
    with channels({}, {"silent": lambda: never.wait(30)}, frozenset({"silent"})) as (ours, _):
        with pytest.raises(DeferredError, match="no answer in time"):
            ours.ask("silent", timeout=0.05)
        never.set()


def test_one_frame_is_read_and_what_follows_is_left_to_the_channel():
    one, other = socket.socketpair()
    with one, other:
        write_frame(one, b"x" * 100_000)
        heard = threading.Event()
        end = Channel(one, {})
        end.tell("word")
        assert read_frame(other) == b"x" * 100_000
        reader = threading.Thread(target=Channel(other, {"word": heard.set}).run)
        reader.start()
        assert heard.wait(10)
        end.close()
        reader.join(10)


def test_a_frame_that_breaks_off_is_the_end():
    one, other = socket.socketpair()
    with other:
        with one:
            one.sendall(b"\x10\0\0\0abc")
        with pytest.raises(EOFError):
            read_frame(other)


def test_a_connection_is_handed_over_with_what_is_known_of_it():
    give, take = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one, other = socket.socketpair()
    with give, take, other:
        with one:
            hand_over(give, one, "::1", 1, 42)
        found = receive_connection(take)
        assert found is not None
        connection, *known = found
        with connection:
            assert known == ["::1", 1, 42]
            connection.sendall(b"served elsewhere")
            assert other.recv(100) == b"served elsewhere"
        give.close()
        assert receive_connection(take) is None
