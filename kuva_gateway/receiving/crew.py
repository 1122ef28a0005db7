"""Receiving in several processes: the daemon listens, counts and hands connections over, the crew serves them.

Each process has an interpreter of its own, so associations use all processors and never wait for the indexer or the
queue. Promises that a process which dies is replaced, that its connections are counted no more, and that whatever it
made safe is found; and that limits hold for all processes together.
"""

from __future__ import annotations

import pickle
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from kuva_gateway import log, parts
from kuva_gateway.config import Configuration
from kuva_gateway.errors import DeferredError
from kuva_gateway.metrics.tally import Tally
from kuva_gateway.metrics.usage import SharedUsage, Usage
from kuva_gateway.network.census import Census
from kuva_gateway.network.listening import Listening
from kuva_gateway.receiving.member import Member
from kuva_gateway.receiving.notices import Plain, read_notice
from kuva_gateway.receiving.reception import ACCEPTING, RECEIVING, Hooks, Passed, Receivers
from kuva_gateway.receiving.services import listeners
from kuva_gateway.spool import Spool

START_PATIENCE = 60.0
"""Seconds for the first processes to be ready."""
TAKE_PATIENCE = 30.0
"""Seconds that an accepted connection waits for a process that can take it."""
WATCH_EVERY = 5.0
"""Seconds between two looks whether every process answers."""
LAST_WORDS = 5.0
"""Seconds that a process gets beyond its drain before it is killed."""


class Crew:
    """A :class:`~kuva_gateway.receiving.reception.Reception` of ``count`` processes."""

    def __init__(
        self, configuration: Configuration, spool: Spool, hooks: Hooks, *, count: int, passed: Passed | None = None
    ) -> None:
        self.hooks = hooks
        self._spool = spool
        self._log = log.get_logger("receiving")
        self.census = Census(parts.limits(configuration))
        self._changed = threading.Condition()
        self._stopping = False
        self.shared = SharedUsage()
        self.lost = Tally()
        """Counts the associations that ended with their process."""
        pickled = pickle.dumps(configuration)
        self._members = [Member(number, self, pickled, self._log) for number in range(1, count + 1)]
        self._listening = Listening(
            listeners(configuration, passed),
            self._hand_over,
            self._give_way,
            census=self.census,
            log=log.limited(log.get_logger("network")),
            beat=partial(hooks.beat, ACCEPTING),
        )
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="receiving-watch", daemon=True)
        self.kept_out: frozenset[str] = frozenset()
        self._told_until = datetime.min.replace(tzinfo=UTC)

    # -- Reception ------------------------------------------------------------------------------------------------

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports on which peers reach the gateway."""
        return self._listening.ports

    @property
    def associations(self) -> int:
        """How many associations there are."""
        return self.census.associations

    @property
    def receivers(self) -> Receivers:
        """How many processes there are, and should be."""
        members = self._members
        return Receivers(
            wanted=len(members),
            ready=sum(member.ready for member in members) if self._listening.ports else 0,
            replaced=sum(member.replaced for member in members),
            pids=tuple(self.pids),
        )

    @property
    def open_associations(self) -> dict[str, int]:
        """How many associations each peer has."""
        return self.census.peers

    @property
    def tallies(self) -> list[Tally]:
        """What was counted, by whichever process."""
        return [self.lost, *(member.tally for member in self._members)]

    @property
    def usage(self) -> Usage:
        """What limited peers have used up."""
        return self.shared.usage

    @property
    def pids(self) -> list[int]:
        """The process ids of the crew."""
        return [member.pid for member in self._members if member.pid is not None]

    def start(self) -> None:
        """Bind the ports, start the processes, and accept once one of them is ready.

        Raises
        ------
        OSError
            A port cannot be bound.
        DeferredError
            No process became ready.
        """
        self._listening.bind()
        for member in self._members:
            member.start()
        if not self._wait(lambda: all(member.ready or member.failed for member in self._members), START_PATIENCE):
            self._log.error("receiving processes are slow to start")
        if not any(member.ready for member in self._members):
            self.drain(0.0)
            raise DeferredError("no receiving process could be started")
        self._watching.start()
        self._listening.start()

    def in_flight(self, study_uid: str) -> bool:
        """Whether an association that stored into the study is in the middle of a message."""
        return any(member.ask("in_flight", study_uid, otherwise=True) for member in self._members if member.ready)

    def told_until(self, moment: datetime) -> bool:
        """Whether everything that was acknowledged before ``moment`` was told of.

        Each process is asked: its answer comes after all that it has told before.
        """
        asked = datetime.now(UTC)
        if self._told_until > asked:  # the clock was set back
            self._told_until = datetime.min.replace(tzinfo=UTC)
        if moment <= self._told_until:
            return True
        if not all(member.ask("ping", otherwise=False) for member in self._members if member.ready):
            return False
        self._told_until = max(self._told_until, asked)
        return moment <= self._told_until

    def keep_out(self, sop_instances: frozenset[str]) -> None:
        """Refuse instances with these UIDs from now on (A771), and no others; processes to come are told as well."""
        self.kept_out = sop_instances
        for member in self._members:
            member.keep_out(sop_instances)

    def prepare(self, configuration: Configuration) -> Callable[[], None]:
        """See :class:`~kuva_gateway.receiving.reception.Reception`.

        A process that dies meanwhile is no obstacle: its successor begins with what counts then.
        """
        pickled = pickle.dumps(configuration)
        for member in self._members:
            member.prepare(pickled)

        def take_on() -> None:
            self.census.limits = parts.limits(configuration)
            for member in self._members:
                member.take_on(pickled)

        return take_on

    def drain(self, timeout: float) -> None:
        """Stop listening, finish messages in progress, end everything else."""
        self._stopping = True
        self._ended.set()
        self.on_change()
        self._listening.stop()
        for member in self._members:
            member.drain(timeout)
        deadline = time.monotonic() + timeout + LAST_WORDS
        for member in self._members:
            member.join(deadline - time.monotonic())
            member.close()

    # -- connections ----------------------------------------------------------------------------------------------

    def _hand_over(self, connection: socket.socket, address: str, listener: int, number: int) -> None:
        """To the process with the fewest; one that dies in that moment gives way to the next."""
        deadline = time.monotonic() + TAKE_PATIENCE
        while True:
            self._wait(lambda: self._stopping or any(one.ready for one in self._members), deadline - time.monotonic())
            ready = sorted((member for member in self._members if member.ready), key=lambda member: member.load)
            if not ready:
                raise RuntimeError("no receiving process can take it")
            if ready[0].take(connection, address, listener, number):
                connection.close()
                return

    def _give_way(self, number: int) -> None:
        """Cut a half-open connection, whichever process has it."""
        any(member.give_way(number) for member in self._members)

    # -- watching -----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Receiving goes round while one process answers; one that stands still is replaced (:meth:`Member.look`)."""
        while not self._ended.is_set():
            answering = sum(member.look() for member in self._members)
            if answering:
                self.hooks.beat(RECEIVING)
            self._ended.wait(WATCH_EVERY)

    # -- what members tell ----------------------------------------------------------------------------------------

    def on_notice(self, plain: Plain) -> None:
        """An instance is safe."""
        self.hooks.on_receipt(*read_notice(self._spool.arrived, plain))

    def on_change(self) -> None:
        """A process became ready, or is no more."""
        with self._changed:
            self._changed.notify_all()

    def on_end(self) -> None:
        """A process has ended; what it left half-done is swept, what it made safe is looked for."""
        try:
            self._spool.sweep()
        except OSError as error:
            self._log.error("incoming/ could not be swept", why=error.strerror)
        self.hooks.on_lost_notices()

    def _wait(self, reached: Callable[[], bool], seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(reached, max(0.0, seconds))
