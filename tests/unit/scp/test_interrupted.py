"""C-STORE under bad luck: senders that go away or pause in the middle, disks that fail now and then."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from kuva_gateway.dicom.part10 import read_meta
from tests.support import wait_until
from tests.unit.network.peers import ABORT, p_data, pdv
from tests.unit.scp.conftest import (
    Gateway,
    encode,
    image,
    read_file,
    serve,
    store,
    store_command,
)

# -- the peer goes away ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("farewell", [ABORT, b""], ids=["abort", "connection closed"])
def test_a_peer_that_goes_away_half_way_leaves_nothing(gateway: Gateway, farewell: bytes) -> None:
    with gateway.raw() as peer:
        peer.send(store_command(), p_data(pdv(1, 0, encode(image(pixels=8192))[:8000])))
        wait_until(lambda: gateway.kept().get("incoming"), what="an image half-way")
        peer.send(farewell)
    wait_until(lambda: not gateway.kept(), what="nothing is left")
    assert gateway.receipts == []


def test_a_peer_that_goes_away_after_a_failed_write_leaves_nothing(gateway: Gateway) -> None:
    gateway.files.fail("write", errno.EIO)
    with gateway.raw() as peer:
        peer.send(store_command(), *[p_data(pdv(1, 0, bytes(8000)))] * 20)
        wait_until(lambda: gateway.files.calls["write"], what="a failed write")
    gateway.closed()
    assert gateway.kept() == {}


# -- in flight -------------------------------------------------------------------------------------------------------


def test_a_study_is_in_flight_while_a_sender_of_it_is_in_the_middle_of_an_image(gateway: Gateway) -> None:
    with gateway.raw() as peer:
        data = encode(image())
        peer.send(store_command(), p_data(pdv(1, 2, data)))
        assert peer.response().status == 0x0000
        wait_until(lambda: not gateway.dispatcher.in_flight("1.2.3"), what="a pause between images")
        peer.send(store_command(), p_data(pdv(1, 0, data[:100])))
        wait_until(lambda: gateway.dispatcher.in_flight("1.2.3"), what="the next image in the middle")
        assert not gateway.dispatcher.in_flight("1.2.4")
        peer.send(p_data(pdv(1, 2, data[100:])))
        assert peer.response().status == 0x0000
        wait_until(lambda: not gateway.dispatcher.in_flight("1.2.3"), what="the end of the image")
        peer.send(store_command(), p_data(pdv(1, 0, data[:100])))
        wait_until(lambda: gateway.dispatcher.in_flight("1.2.3"), what="another image in the middle")
    wait_until(lambda: not gateway.dispatcher.in_flight("1.2.3"), what="the end of the association")


def test_an_association_holds_back_the_studies_that_it_stored_last_only(gateway: Gateway) -> None:
    with gateway.raw() as peer:
        for number in range(20):
            data_set: Dataset = image(StudyInstanceUID=f"1.2.3.{number + 1}")
            peer.send(store_command(), p_data(pdv(1, 2, encode(data_set))))
            assert peer.response().status == 0x0000
        peer.send(store_command(), p_data(pdv(1, 0, b"\x08\x00")))
        wait_until(lambda: gateway.dispatcher.in_flight("1.2.3.20"), what="an image in the middle")
        held = [number for number in range(1, 21) if gateway.dispatcher.in_flight(f"1.2.3.{number}")]
    assert held == list(range(5, 21))


# -- durability of the promise ---------------------------------------------------------------------------------------


def test_nothing_is_lost_that_was_acknowledged_however_often_the_disk_fails(tmp_path: Path) -> None:
    """Every fourth fsync and every fifth rename fails; what got 0000 is in arrived/, and only that."""
    acknowledged: set[str] = set()

    with serve(tmp_path / "spool") as gateway:
        for nth in range(4, 40, 4):
            gateway.files.fail("fsync", errno.EIO, nth=nth)
        for nth in range(5, 50, 5):
            gateway.files.fail("rename_new", errno.EIO, nth=nth)
        with gateway.associate() as association:
            for number in range(40):
                uid = f"1.2.3.{number + 1}"
                answer = store(association, encode(image(SOPInstanceUID=uid)), sop_instance=uid)
                assert answer.status in (0x0000, 0x0110)
                if answer.status == 0x0000:
                    acknowledged.add(uid)
        found: dict[str, Any] = {}
        for arrival in gateway.spool.arrivals():
            gateway.spool.adopt(arrival)
            found[read_meta(read_file(arrival.path)).sop_instance] = arrival
        assert 15 < len(acknowledged) < 40
        assert set(found) == acknowledged
