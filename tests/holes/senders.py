"""Two ways to send one object to a peer that misbehaves: our requestor's, and pynetdicom's."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset, FileMetaDataset
from pynetdicom import AE

from kuva_gateway.network import NetworkError, Timers, connect
from kuva_gateway.network.sending import FileSlice
from tests.unit.network.peers import CT, EXPLICIT, propose, target

TIME = 0.5
"""Seconds: every timer of both senders."""
STORED, UNKNOWN, NOT_SENT = "stored", "unknown, sent", "not sent"
TIMERS = Timers(connect=5, handshake=5, associate=5, send_stall=TIME, response=TIME, release=TIME, closing=0.2)


@dataclass
class Sending:
    """One object on its way, on a thread; ``outcome`` is what the caller of the sender can know of it."""

    port: int
    size: int
    outcome: str = ""
    error: BaseException | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send, and note how it ended."""
        try:
            self.outcome = self.send()
        except BaseException as error:
            self.error = error
        finally:
            self.over.set()

    def send(self) -> str:
        """Send the object; what became of it."""
        raise NotImplementedError


class Ours(Sending):
    """The requestor of the gateway."""

    def send(self) -> str:
        descriptor = os.memfd_create("data-set")
        try:
            os.truncate(descriptor, self.size)
            with connect(target(self.port), propose((CT, EXPLICIT)), timers=TIMERS) as association:
                answer = association.store(
                    association.contexts[1],
                    sop_class=CT,
                    sop_instance="1.2.3.4",
                    data=[FileSlice(descriptor=descriptor, offset=0, length=self.size)],
                )
                return STORED if answer.status == 0 else NOT_SENT
        except NetworkError as error:
            return UNKNOWN if error.sent else NOT_SENT
        finally:
            os.close(descriptor)


class Pynetdicom(Sending):
    """``send_c_store`` of an AE; an empty answer is all that it says of whatever went wrong."""

    def send(self) -> str:
        data_set = Dataset()
        data_set.file_meta = FileMetaDataset()
        data_set.file_meta.TransferSyntaxUID = EXPLICIT
        data_set.SOPClassUID, data_set.SOPInstanceUID = CT, "1.2.3.4"
        data_set.BitsAllocated = 8
        data_set.add_new(0x7FE00010, "OB", bytes(self.size))
        ae = AE()
        ae.acse_timeout = ae.connection_timeout = 5
        ae.dimse_timeout = ae.network_timeout = TIME
        ae.add_requested_context(CT, EXPLICIT)
        association = ae.associate("127.0.0.1", self.port)
        assert association.is_established
        connection = association.dul.socket.socket
        try:
            status = association.send_c_store(data_set)
        finally:
            association.abort()
            connection.close()  # it forgets to when the other side was faster
        return STORED if status and status.Status == 0 else "failed"


@contextmanager
def sending(name: str, port: int, size: int) -> Iterator[Sending]:
    """Send with ``gateway`` or ``pynetdicom``, beside the test."""
    one = {"gateway": Ours, "pynetdicom": Pynetdicom}[name](port, size)
    thread = threading.Thread(target=one.run, name=f"sending-{name}")
    thread.start()
    try:
        yield one
    finally:
        thread.join(20)
        assert not thread.is_alive(), "the sender never came back, though nobody is there any more"
