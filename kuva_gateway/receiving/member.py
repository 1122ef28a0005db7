"""One process of the crew as the daemon sees it: started, spoken with, counted, buried and started again.

A thread of its own does all of that. It also is the parent that the kernel watches: a process dies with the thread that
made it (PR_SET_PDEATHSIG), and this one lasts as long as the crew.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import kuva_gateway
from kuva_gateway import systemd
from kuva_gateway.errors import DeferredError
from kuva_gateway.metrics.tally import SharedMemory, Tally
from kuva_gateway.network.census import Room
from kuva_gateway.receiving.channel import GONE, Channel, write_frame
from kuva_gateway.receiving.handover import hand_over
from kuva_gateway.receiving.requests import REQUESTS, answerers

if TYPE_CHECKING:
    from kuva_gateway.receiving.crew import Crew

FIRST_PAUSE = 0.1  # seconds before a process that died is replaced
LONGEST_PAUSE = 10.0
HANDING = 2.0  # seconds for a process to have room for one more connection on its way
ENDING = 5.0  # seconds from a process's last word to its end
APART = frozenset({"commitment", "indexed", *REQUESTS})
QUESTION_PATIENCE = 2.0
"""Seconds for a process to say what it has in hand."""
STANDSTILL = 30.0
"""Seconds without an answer after which a process is killed: its peers send again, a standstill is for ever."""
PREPARING = 30.0
"""Seconds for a process to make ready for another configuration; one that was just started begins with less."""


class Member:
    """The process number ``number`` of the crew, whichever incarnation it is in."""

    def __init__(self, number: int, crew: Crew, configuration: bytes, log: Any) -> None:
        self._number = number
        self._crew = crew
        self._configuration = configuration  # pickled; successors begin with it
        self._sent = configuration  # what the process that there is was told last
        self._log = log
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"receiving-{number}", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._handover: socket.socket | None = None
        self._open: set[int] = set()  # the numbers of connections that were handed over and have not ended
        self._half_open: set[int] = set()  # of these, the numbers of those that are not associations yet
        self._joined: Counter[str] = Counter()
        self._counts = SharedMemory()  # of every incarnation
        self.ready = False
        self.failed = False
        self._answered_at = monotonic()
        self.replaced = 0
        """How many processes ended that should not have."""

    @property
    def pid(self) -> int | None:
        """The process id, while there is one."""
        process = self._process
        return None if process is None else process.pid

    @property
    def load(self) -> int:
        """How many connections it has."""
        return len(self._open)

    @property
    def tally(self) -> Tally:
        """What its processes have counted."""
        return self._counts.tally

    def start(self) -> None:
        """Start the process, and its successors, until :meth:`drain`."""
        self._thread.start()

    def take(self, connection: socket.socket, address: str, listener: int, number: int) -> bool:
        """Hand a connection over; False when there is nobody to take it."""
        with self._lock:
            if not self.ready or self._handover is None:
                return False
            self._open.add(number)
            self._half_open.add(number)
            try:
                hand_over(self._handover, connection, address, listener, number)
            except OSError:
                self._open.discard(number)
                self._half_open.discard(number)
                self.ready = False
                return False
        return True

    def give_way(self, number: int) -> bool:
        """Let the process cut a half-open connection, if it has it."""
        with self._lock:
            if number not in self._half_open:
                return False
        self._tell("give_way", number)
        return True

    def ask(self, name: str, *arguments: object, otherwise: bool) -> bool:
        """What the process answers; ``otherwise`` when it does not."""
        channel = self._channel
        if channel is None:
            return otherwise
        try:
            return bool(channel.ask(name, *arguments, timeout=QUESTION_PATIENCE))
        except DeferredError:
            return otherwise

    def look(self) -> bool:
        """Whether the process answers. One that is there and has not answered for long is killed, and replaced."""
        if not self.ready:
            return False
        if self.ask("ping", otherwise=False):
            self._answered_at = monotonic()
            return True
        process, silent = self._process, monotonic() - self._answered_at
        if self.ready and process is not None and silent > STANDSTILL:
            self._log.error("a receiving process stands still and is killed", number=self._number, seconds=int(silent))
            process.kill()
        return False

    def keep_out(self, sop_instances: frozenset[str]) -> None:
        """Refuse these from now on; a process that is not there yet is told when it is ready."""
        self._tell("keep_out", sop_instances)

    def prepare(self, configuration: bytes) -> None:
        """Let the process make ready for another configuration; DeferredError when it cannot, or does not answer."""
        channel = self._channel
        if channel is not None:
            try:
                channel.ask("prepare", configuration, timeout=PREPARING)
            except DeferredError as error:
                if str(error) != GONE:
                    raise DeferredError(f"receiving process {self._number}: {error}") from error

    def take_on(self, configuration: bytes) -> None:
        """Let it, and its successors, serve who connects from now on under the configuration that was prepared."""
        self._configuration = configuration
        channel = self._channel
        if channel is None:
            return
        self._sent = configuration
        try:
            channel.ask("take_on", configuration, timeout=PREPARING)
        except DeferredError as error:
            self._log.error(
                "a receiving process did not take on the configuration", number=self._number, why=str(error)
            )

    def drain(self, timeout: float) -> None:
        """Let it finish and end, without a successor."""
        self._stopping.set()
        self._tell("drain", timeout)

    def join(self, seconds: float) -> None:
        """Wait for its end; kill it when it does not come."""
        if not self._thread.is_alive():
            return
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive() and self._process is not None:
            self._log.error("a receiving process had to be killed", number=self._number)
            self._process.kill()
            self._thread.join()

    def close(self) -> None:
        """There will be no process any more."""
        self._counts.close()

    def _tell(self, name: str, *arguments: object) -> None:
        channel = self._channel
        if channel is not None:
            with contextlib.suppress(DeferredError):
                channel.tell(name, *arguments)

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            was_ready = self._live()
            if self._stopping.is_set():
                return
            pause = FIRST_PAUSE if was_ready else min(2 * pause, LONGEST_PAUSE)
            self._stopping.wait(pause)

    def _live(self) -> bool:
        """One process from start to end; True if it ever was ready."""
        ours, theirs = socket.socketpair()
        give, take = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs, give, take:
            give.settimeout(HANDING)
            try:
                process = _start(theirs, take, self._counts.descriptor, self._crew.shared.descriptor)
            except OSError as error:
                self._log.error("a receiving process cannot be started", why=error.strerror)
                self.failed = True
                self._crew.on_change()
                return False
            theirs.close()
            take.close()
            self._process, self._handover = process, give
            channel = Channel(ours, self._answerers(), apart=APART)
            self._sent = self._configuration
            with contextlib.suppress(OSError, DeferredError):
                write_frame(ours, self._sent)
                self._channel = channel  # nothing is said before the first frame
                if self._stopping.is_set():  # asked to drain just before there was a channel
                    channel.tell("drain", 0.0)
            channel.run()
            return self._bury(process)

    def _bury(self, process: subprocess.Popen[bytes]) -> bool:
        self._crew.hooks.on_lost_notices()  # before it counts as gone, or nobody would ask what it has not told
        with self._lock:
            was_ready, self.ready = self.ready or bool(self._open), False
            self._handover = self._channel = None
            lost = len(self._open)
            for number in self._half_open:
                self._crew.census.depart(number)
            for peer in self._joined.elements():
                self._crew.census.leave(peer)
                self._crew.lost.ended(peer, "lost")
            self._open.clear()
            self._half_open.clear()
            self._joined.clear()
        try:
            status = process.wait(ENDING)
        except subprocess.TimeoutExpired:  # it has closed its channel and lives on
            process.kill()
            status = process.wait()
        self._process = None
        if not self._stopping.is_set() or status != 0:
            self.failed = True
            self.replaced += 1
            self._log.error("a receiving process ended", number=self._number, status=status, connections_lost=lost)
        self._crew.on_end()
        self._crew.on_change()
        return was_ready

    # -- what the process says ----------------------------------------------------------------------------------------

    def _answerers(self) -> dict[str, Any]:
        return {
            "ready": self._on_ready,
            "notice": self._crew.on_notice,
            "commitment": self._crew.hooks.on_commitment_result,
            **answerers(self._crew.hooks.commitment_requests),
            "indexed": self._wait_indexed,
            "depart": self._on_depart,
            "join": self._on_join,
            "leave": self._on_leave,
            "ended": self._on_ended,
        }

    def _on_ready(self) -> None:
        if self._sent is not self._configuration:  # another one counts since it was started; it will be ready again
            self._sent = self._configuration
            self._tell("take_on", self._sent)
            return
        if self._crew.kept_out:
            self.keep_out(self._crew.kept_out)
        self._answered_at = monotonic()
        self.ready = True
        self._crew.on_change()

    def _wait_indexed(self, timestamp: float, seconds: float) -> bool:
        return self._crew.hooks.wait_indexed(datetime.fromtimestamp(timestamp, UTC), seconds)

    def _on_depart(self, number: int) -> None:
        with self._lock:
            if number in self._half_open:
                self._half_open.discard(number)
                self._crew.census.depart(number)

    def _on_join(self, peer: str, limit: int) -> str:
        with self._lock:
            room = self._crew.census.join(peer, limit)
            if room is Room.JOINED:
                self._joined[peer] += 1
        return room.value

    def _on_leave(self, peer: str) -> None:
        with self._lock:
            if self._joined[peer] > 0:
                self._joined[peer] -= 1
                self._crew.census.leave(peer)

    def _on_ended(self, number: int) -> None:
        with self._lock:
            self._open.discard(number)


def _start(channel: socket.socket, handover: socket.socket, tally: int, usage: int) -> subprocess.Popen[bytes]:
    """A new interpreter with this very package, whatever folder it was found in."""
    package = str(Path(kuva_gateway.__file__).resolve().parent.parent)
    known = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{known}" if known else package}
    for name in systemd.OURS_ALONE:  # the daemon speaks with systemd
        environment.pop(name, None)
    descriptors = channel.fileno(), handover.fileno(), tally, usage
    return subprocess.Popen(
        [sys.executable, "-m", "kuva_gateway.lean", "kuva_gateway.receiving", *map(str, descriptors), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=descriptors,
        env=environment,
    )
