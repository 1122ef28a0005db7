"""A full, sick or read-only disk at every step of receiving: the answer, what is left, and that it ends with the fault.

The table is the whole truth: a step that :class:`~kuva_gateway.spool.files.Files` has and this table lacks fails it.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

import pytest

from kuva_gateway.errors import DamageError
from kuva_gateway.network import StoreAnswer
from kuva_gateway.spool import Spool
from tests.faults import OPERATIONS
from tests.unit.scp.conftest import Gateway, encode, image, store

FULL = (errno.ENOSPC, errno.EDQUOT)
SICK = (errno.EIO, errno.EROFS, errno.ENOMEM)
ANSWERS = {
    0x0000: "",
    0xA700: "the gateway's disk is full: send again later",
    0x0110: "the gateway could not store it safely: send again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A call of receiving one image: what its failure is answered with, and the folders in which something is left."""

    operation: str
    nth: int = 1
    full: int = 0xA700
    sick: int = 0x0110
    left: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What pytest calls it."""
        return f"{self.operation}-{self.nth}"


STEPS = (
    Step(operation="free_bytes"),
    Step(operation="open_new"),
    Step(operation="write"),
    Step(operation="write", nth=5),
    Step(operation="open_read"),  # the header goes on beyond its first 256 KiB
    Step(operation="rename_new"),
    # fsync has the last word on bytes that may be anywhere by now: they are kept aside and never acknowledged.
    Step(operation="fsync", full=0x0110, left=("corrupt",)),
    Step(operation="fsync_directory", full=0x0110, left=("corrupt",)),
    # After a good fsync close(2) has nothing to say.
    Step(operation="close", full=0x0000, sick=0x0000, left=("arrived",)),
)
NOT_WHEN_RECEIVING = {
    "start_writing": "of long objects only, and without consequence: tests/unit/spool/test_incoming.py",
    "make_directory": "at the start",
    "open_directory": "indexing",
    "sync_file_system": "indexing",
    "link": "indexing, where the kernel has no renameat2",
    "unlink": "when something else failed before: tested below",
    "truncate": "when an fsync failed and the file can be neither set aside nor removed: tested below",
    "size": "listing",
    "in_use": "listing",
    "written_at": "sweeping by the clock",
    "total_bytes": "retention",
    "names": "listing",
}
CASES = [(step, number) for step in STEPS for number in (*FULL, *SICK)]
NAMES = [f"{step.id}-{errno.errorcode[number]}" for step, number in CASES]


def long_image() -> bytes:
    """An image whose header does not end in the first 256 KiB, and whose pixels take several writes."""
    data_set = image(pixels=2 << 20)
    data_set.add_new(0x00091010, "OB", bytes(300_000))
    data_set.add_new(0x00090010, "LO", "KUVA TEST")
    return encode(data_set)


@pytest.fixture(scope="module")
def data() -> bytes:
    return long_image()


def assert_answer(answer: StoreAnswer, status: int) -> None:
    assert (f"{answer.status:04X}", answer.comment) == (f"{status:04X}", ANSWERS[status])


def test_the_table_has_every_operation_that_there_is() -> None:
    assert {step.operation for step in STEPS} | NOT_WHEN_RECEIVING.keys() == OPERATIONS


@pytest.mark.parametrize(("step", "number"), CASES, ids=NAMES)
def test_the_fault_has_its_answer_leaves_nothing_half_done_and_is_over_when_it_is_over(
    gateway: Gateway, data: bytes, step: Step, number: int
) -> None:
    gateway.spool.fsync_folders = True
    gateway.files.fail(step.operation, number, nth=step.nth)
    with gateway.associate() as association:
        assert_answer(store(association, data), step.full if number in FULL else step.sick)
        assert gateway.files.calls[step.operation] >= step.nth, "the step was never reached"
        assert tuple(gateway.kept()) == step.left
        assert len(gateway.receipts) == (step.left == ("arrived",))
        assert_answer(store(association, data), 0x0000)
    assert_answer(gateway.store(data), 0x0000)
    assert len(gateway.kept()["arrived"]) == 2 + (step.left == ("arrived",))
    assert gateway.kept().get("incoming") is None


@pytest.mark.parametrize("number", [*FULL, *SICK], ids=errno.errorcode.get)
def test_a_disk_that_stays_sick_is_answered_with_every_image_and_serves_again_when_it_is_well(
    gateway: Gateway, data: bytes, number: int
) -> None:
    with gateway.associate() as association:
        for operation in ("open_new", "write", "rename_new", "fsync", "unlink"):
            gateway.files.fail(operation, number, always=True)
        for _ in range(3):
            assert_answer(store(association, data), 0xA700 if number in FULL else 0x0110)
        assert gateway.kept() == {}
        gateway.files.heal()
        assert_answer(store(association, data), 0x0000)
    assert gateway.kept().keys() == {"arrived"}


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("operation", ["write", "rename_new", "open_read"])
def test_a_file_that_cannot_be_removed_either_goes_when_the_disk_is_well_and_not_at_the_next_start_only(
    gateway: Gateway, data: bytes, operation: str, number: int
) -> None:
    gateway.files.fail(operation, number)
    gateway.files.fail("unlink", number)
    assert_answer(gateway.store(data), 0x0110)
    assert gateway.kept().keys() == {"incoming"}
    assert_answer(gateway.store(data), 0x0000)
    assert gateway.kept().keys() == {"arrived"}


@pytest.mark.parametrize("number", [*FULL, *SICK], ids=errno.errorcode.get)
def test_an_image_whose_fsync_failed_is_never_indexed_though_it_can_be_neither_set_aside_nor_removed(
    gateway: Gateway, data: bytes, number: int
) -> None:
    gateway.files.fail("fsync", number)
    gateway.files.fail("rename_new", number, nth=2)
    gateway.files.fail("unlink", number)
    assert_answer(gateway.store(data), 0x0110)
    assert gateway.receipts == []
    assert gateway.files.calls["fsync"] == 1
    assert list(gateway.spool.arrivals()) == []
    assert_answer(gateway.store(data), 0x0000)
    assert len(gateway.kept()["arrived"]) == 1, "what was refused has gone"


@pytest.mark.parametrize("truncates", [True, False])
def test_no_other_process_takes_such_an_image_for_one_and_nothing_keeps_its_file_system_busy(
    gateway: Gateway, data: bytes, truncates: bool
) -> None:
    for operation in ("fsync", "unlink", *(() if truncates else ("truncate",))):
        gateway.files.fail(operation, errno.EIO)
    gateway.files.fail("rename_new", errno.EIO, nth=2)
    assert_answer(gateway.store(data), 0x0110)
    (name,) = gateway.kept()["arrived"]
    path = gateway.spool.arrived / name
    assert not gateway.spool.files.in_use(path), "no descriptor is left open"
    assert (path.stat().st_size == 0) is truncates
    if truncates:
        (found,) = Spool(gateway.spool.root, minimum_free=0).arrivals()
        with pytest.raises(DamageError):
            gateway.spool.adopt(found)
        assert gateway.kept().keys() == {"corrupt"}
