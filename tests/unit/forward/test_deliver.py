"""Delivery to real archives: a scripted one on pynetdicom, and DCMTK's storescp with its own faults."""

from __future__ import annotations

import errno
import os
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from pynetdicom import AllStoragePresentationContexts

from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from kuva_gateway.forward.call import Call, echo, probe
from kuva_gateway.forward.deliver import Delivery, deliver
from kuva_gateway.forward.outcome import Kind, Outcome, Scope
from kuva_gateway.forward.outgoing import Sendable
from kuva_gateway.network.timers import Timers
from tests.support import dcmtk, dcmtk_environment, free_port, program, wait_until
from tests.unit.forward.archive import Script, running
from tests.unit.forward.instances import CT, MR, SECONDARY_CAPTURE, Shelf, Stored

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    folder = tmp_path / "shelf"
    folder.mkdir()
    return Shelf(folder)


def call_to(port: int, **timers: float) -> Call:
    return Call(
        name="archive",
        host="127.0.0.1",
        port=port,
        called_ae="ARCHIVE",
        calling_ae="KUVAGW",
        timers=Timers(**{"response": 10.0, **timers}),  # type: ignore[arg-type]
    )


class Notes:
    """What delivery told while it went on."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Outcome]] = []

    def __call__(self, instance: Sendable, found: Outcome) -> None:
        self.answers.append((instance.instance_id, found))

    @property
    def stored(self) -> list[int]:
        return [number for number, found in self.answers if found.stored]


def send(port: int, shelf: Shelf, instances: Sequence[Stored], **options: object) -> tuple[Delivery, Notes]:
    notes = Notes()
    timers = {"response": options.pop("response", 10.0)}
    delivery = deliver(
        call_to(port, **timers),  # type: ignore[arg-type]
        instances,
        open_file=shelf.open,
        on_answer=notes,
        **options,  # type: ignore[arg-type]
    )
    return delivery, notes


def test_every_instance_arrives_as_the_bytes_that_are_stored_each_in_its_own_syntax(shelf: Shelf) -> None:
    instances = [
        shelf.put(1),
        shelf.put(2, syntax=IMPLICIT_LITTLE, size=700_000),
        shelf.put(3, sop_class=MR, syntax=IMPLICIT_LITTLE),
        shelf.put(4, sop_class=SECONDARY_CAPTURE, syntax=JPEG_LOSSLESS),
        shelf.put(5),
    ]
    with running() as archive:
        delivery, notes = send(archive.port, shelf, instances)
    assert delivery.complete
    assert delivery.cause is None
    assert delivery.stored == 5
    assert notes.stored == [1, 2, 3, 4, 5]
    assert archive.stored == [(i.sop_instance, i.transfer_syntax, i.data_set_digest) for i in instances]
    assert archive.associations == 1


def test_more_kinds_than_an_association_holds_are_all_delivered(shelf: Shelf) -> None:
    syntaxes = [EXPLICIT_LITTLE, IMPLICIT_LITTLE]
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts[:73]]
    instances = [
        shelf.put(number, sop_class=sop_class, syntax=syntax, size=64)
        for number, (sop_class, syntax) in enumerate((c, s) for c in classes for s in syntaxes)
    ]
    with running(Script(classes=classes)) as archive:
        delivery, notes = send(archive.port, shelf, instances)
    assert delivery.complete
    assert sorted(notes.stored) == list(range(146))
    assert archive.associations == 2


def test_one_refused_instance_stays_behind_and_the_others_go(shelf: Shelf) -> None:
    instances = [shelf.put(n) for n in range(6)]
    bad = instances[2].sop_instance
    with running(Script(status=lambda uid: 0xC000 if uid == bad else 0)) as archive:
        delivery, notes = send(archive.port, shelf, instances)
    assert notes.stored == [0, 1, 3, 4, 5]
    assert [(i.instance_id, o.code) for i, o in delivery.failures] == [(2, "C000")]
    assert not delivery.complete
    assert delivery.person is not None


def test_a_warning_counts_as_stored(shelf: Shelf) -> None:
    with running(Script(status=lambda uid: 0xB000)) as archive:
        delivery, _ = send(archive.port, shelf, [shelf.put(1)])
    assert delivery.complete


def test_a_refused_class_is_not_sent_again_and_other_classes_go(shelf: Shelf) -> None:
    instances = [shelf.put(1), shelf.put(2, sop_class=MR), shelf.put(3), shelf.put(4, sop_class=MR)]
    first, third = instances[0].sop_instance, instances[2].sop_instance
    with running(Script(status=lambda uid: 0x0122 if uid in (first, third) else 0)) as archive:
        delivery, notes = send(archive.port, shelf, instances)
    assert notes.stored == [2, 4]
    assert first in archive.requests
    assert third not in archive.requests
    assert {i.instance_id for i, _ in delivery.failures} == {1, 3}


@pytest.mark.parametrize("status", [0xA700, 0xA777, 0x0124])
def test_what_concerns_the_study_or_destination_stops_the_rest(shelf: Shelf, status: int) -> None:
    instances = [shelf.put(n) for n in range(4)]
    second = instances[1].sop_instance
    with running(Script(status=lambda uid: status if uid == second else 0)) as archive:
        delivery, notes = send(archive.port, shelf, instances)
    assert notes.stored == [0]
    assert archive.requests == [instances[0].sop_instance, second]
    assert delivery.ended is not None
    assert delivery.ended.code == f"{status:04X}"


def test_a_rejected_context_is_for_a_person_and_the_others_are_delivered(shelf: Shelf) -> None:
    instances = [shelf.put(1), shelf.put(2, syntax=JPEG_LOSSLESS), shelf.put(3, sop_class=MR), shelf.put(4)]
    with running(Script(classes=[CT], syntaxes=[EXPLICIT_LITTLE])) as archive:
        delivery, notes = send(archive.port, shelf, instances)
    assert notes.stored == [1, 4]
    found = {i.instance_id: o for i, o in delivery.failures}
    assert found[2].kind is found[3].kind is Kind.PERSON
    assert CT in found[2].comment
    assert JPEG_LOSSLESS in found[2].comment
    assert MR in found[3].comment


def test_no_accepted_context_at_all_is_for_a_person(shelf: Shelf) -> None:
    with running(Script(classes=[MR])) as archive:
        delivery, _ = send(archive.port, shelf, [shelf.put(1), shelf.put(2)])
    assert delivery.person is not None
    assert {i.instance_id for i, _ in delivery.failures} == {1, 2}


def test_nobody_there_is_the_destinations_matter(shelf: Shelf) -> None:
    delivery, notes = send(free_port(), shelf, [shelf.put(1)])
    assert notes.answers == []
    assert delivery.ended is not None
    assert (delivery.ended.kind, delivery.ended.scope) == (Kind.TEMPORARY, Scope.DESTINATION)


def test_a_rejected_association_is_the_destinations_matter(shelf: Shelf) -> None:
    with running(Script(calling=["SOMEBODY"])) as archive:
        delivery, notes = send(archive.port, shelf, [shelf.put(1)])
    assert notes.answers == []
    assert delivery.ended is not None
    assert delivery.ended.scope is Scope.DESTINATION
    assert delivery.ended.code.startswith("rejected-1-")


def test_a_tls_handshake_that_fails_is_the_destinations_matter_and_a_persons(shelf: Shelf) -> None:
    notes = Notes()
    with running() as archive:
        call = replace(call_to(archive.port, handshake=2.0), tls=ssl.create_default_context())
        delivery = deliver(call, [shelf.put(1)], open_file=shelf.open, on_answer=notes)
    assert notes.answers == []
    assert delivery.ended is not None
    assert delivery.ended.scope is Scope.DESTINATION
    assert delivery.cause is delivery.ended


def test_a_connection_closed_instead_of_an_answer_leaves_that_instance_unknown(shelf: Shelf) -> None:
    instances = [shelf.put(n) for n in range(4)]
    third = instances[2].sop_instance
    with running(Script(close_at=lambda uid: uid == third)) as archive:
        delivery, notes = send(archive.port, shelf, instances)
    assert notes.stored == [0, 1]
    assert [i.instance_id for i in delivery.unknown] == [2]
    assert delivery.ended is not None
    assert delivery.ended.kind is Kind.UNKNOWN
    assert delivery.person is None


def test_silence_after_everything_was_sent_leaves_that_instance_unknown(shelf: Shelf) -> None:
    instances = [shelf.put(1), shelf.put(2)]
    second = instances[1].sop_instance
    with running(Script(silent_at=lambda uid: uid == second)) as archive:
        delivery, notes = send(archive.port, shelf, instances, response=1.0)
    assert notes.stored == [1]
    assert [i.instance_id for i in delivery.unknown] == [2]


def test_a_missing_or_damaged_file_is_for_a_person_and_the_others_go(shelf: Shelf) -> None:
    instances = [shelf.put(n) for n in range(4)]
    shelf.path(instances[1].digest).unlink()
    shelf.path(instances[2].digest).write_bytes(b"no DICOM at all")
    with running() as archive:
        delivery, notes = send(archive.port, shelf, instances)
    assert notes.stored == [0, 3]
    assert {o.code for _, o in delivery.failures} == {"unreadable"}
    assert archive.associations == 1


def test_a_file_that_cannot_be_opened_now_is_tried_again_and_the_others_go(shelf: Shelf) -> None:
    instances = [shelf.put(n) for n in range(3)]

    def open_file(digest: str) -> BinaryIO:
        if digest == instances[1].digest:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return shelf.open(digest)

    notes = Notes()
    with running() as archive:
        delivery = deliver(call_to(archive.port), instances, open_file=open_file, on_answer=notes)
    assert notes.stored == [0, 2]
    assert [(o.kind, o.code) for _, o in delivery.failures] == [(Kind.TEMPORARY, "not-read")]
    assert delivery.person is None


def test_a_file_that_fails_while_it_is_sent_is_tried_again_and_the_others_go(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    instances = [shelf.put(n, size=2_000_000) for n in range(3)]
    bad = os.stat(shelf.path(instances[1].digest)).st_ino
    preadv = os.preadv

    def failing(descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        if offset > 1_000_000 and os.fstat(descriptor).st_ino == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", failing)
    with running() as archive:
        delivery, notes = send(archive.port, shelf, instances)
    assert notes.stored == [0, 2]
    assert [(o.kind, o.code) for _, o in delivery.failures] == [(Kind.TEMPORARY, "not-read")]


def test_a_file_of_another_instance_is_never_sent(shelf: Shelf) -> None:
    first, second = shelf.put(1), shelf.put(2)
    shelf.path(first.digest).write_bytes(shelf.path(second.digest).read_bytes())
    with running() as archive:
        delivery, _ = send(archive.port, shelf, [first])
    assert archive.requests == []
    assert delivery.person is not None


def test_stopping_finishes_the_instance_in_hand(shelf: Shelf) -> None:
    instances = [shelf.put(n) for n in range(5)]
    stopped: list[str] = []

    def status(uid: str) -> int:
        if uid == instances[1].sop_instance:
            stopped.append(uid)
        return 0

    with running(Script(status=status)) as archive:
        delivery, notes = send(archive.port, shelf, instances, stopping=lambda: bool(stopped))
    assert notes.stored == [0, 1]
    assert delivery.stopped
    assert not delivery.complete


def test_echo_says_whether_the_destination_is_there() -> None:
    with running() as archive:
        assert echo(call_to(archive.port)).stored
        assert archive.echoes == 1
    assert echo(call_to(free_port())).scope is Scope.DESTINATION


def test_one_that_answers_without_offering_echo_is_there_all_the_same() -> None:
    with running(Script(verification=False)) as archive:
        assert not echo(call_to(archive.port)).stored
        assert probe(call_to(archive.port)).stored
    assert not probe(call_to(free_port())).stored


@contextmanager
def storescp(folder: Path, *options: str, largest_file: int | None = None) -> Iterator[int]:
    """DCMTK's storage provider, with its own fault options, and perhaps with a limit of bytes to its files."""
    port = free_port()
    folder.mkdir(exist_ok=True)
    command = [dcmtk("storescp"), "-v", "+B", "-aet", "ARCHIVE", "-od", str(folder), "+xa", *options, str(port)]
    if largest_file is not None:
        command = [program("prlimit"), f"--fsize={largest_file}", *command]
    with subprocess.Popen(
        command,
        env=dict(dcmtk_environment()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        restore_signals=False,  # Python ignores SIGXFSZ, and so does what it starts: write(2) fails instead
    ) as process:
        try:
            _listening(port)
            yield port
        finally:
            process.terminate()


def _listening(port: int) -> None:
    table = f":{port:04X} 00000000:0000 0A"
    wait_until(lambda: table in Path("/proc/net/tcp").read_text(), what="storescp listens")


def test_storescp_gets_the_stored_bytes(shelf: Shelf, tmp_path: Path) -> None:
    instances = [shelf.put(1), shelf.put(2, syntax=IMPLICIT_LITTLE), shelf.put(3, sop_class=MR, size=600_000)]
    with storescp(tmp_path / "received") as port:
        delivery, _ = send(port, shelf, instances)
    assert delivery.complete
    received = {path.name.split(".", 1)[1]: path.read_bytes() for path in (tmp_path / "received").iterdir()}
    for instance in instances:
        [body] = [data for name, data in received.items() if name.startswith(instance.sop_instance)]
        stored = shelf.path(instance.digest).read_bytes()
        assert body[-4000:] == stored[-4000:]


def test_storescp_that_refuses_the_association_rests(shelf: Shelf, tmp_path: Path) -> None:
    with storescp(tmp_path / "received", "--refuse") as port:
        delivery, _ = send(port, shelf, [shelf.put(1)])
    assert delivery.ended is not None
    assert delivery.ended.scope is Scope.DESTINATION


@pytest.mark.parametrize("option", ["--abort-after", "--abort-during"])
def test_storescp_that_aborts_is_tried_again_later(shelf: Shelf, tmp_path: Path, option: str) -> None:
    with storescp(tmp_path / "received", option) as port:
        delivery, notes = send(port, shelf, [shelf.put(1, size=2_000_000), shelf.put(2)])
    assert notes.stored == []
    assert delivery.ended is not None
    assert delivery.ended.scope is Scope.STUDY
    assert delivery.ended.kind in (Kind.TEMPORARY, Kind.UNKNOWN)
    assert delivery.person is None


def test_storescp_that_rejects_those_without_an_implementation_takes_us(shelf: Shelf, tmp_path: Path) -> None:
    with storescp(tmp_path / "received", "--reject") as port:
        delivery, _ = send(port, shelf, [shelf.put(1)])
    assert delivery.complete


def test_storescp_with_a_full_disk_keeps_the_study_waiting_until_it_has_room(shelf: Shelf, tmp_path: Path) -> None:
    """Its files may not grow beyond 100 KB, which is told by write(2) as a full disk is: by an error in the middle."""
    instances = [shelf.put(1, size=300_000), shelf.put(2)]
    with storescp(tmp_path / "received", largest_file=100_000) as port:
        delivery, notes = send(port, shelf, instances)
    assert delivery.ended is not None
    assert (delivery.ended.code, delivery.ended.kind, delivery.ended.scope) == ("A700", Kind.TEMPORARY, Scope.STUDY)
    assert len(notes.answers) == 1, "what follows would meet the same"
    with storescp(tmp_path / "received") as port:
        assert send(port, shelf, instances)[0].complete


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--sleep-during", "--sleep-after"])
def test_storescp_that_is_slow_is_waited_for(shelf: Shelf, tmp_path: Path, option: str) -> None:
    with storescp(tmp_path / "received", option, "1") as port:
        delivery, _ = send(port, shelf, [shelf.put(1, size=20_000)])
    assert delivery.complete
