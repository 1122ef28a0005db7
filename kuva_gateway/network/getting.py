"""C-GET and C-MOVE as their requestor (PS3.4 C.4.3, C.4.2): instances come on the association that asked, or elsewhere.

Promises bounded memory, an answer to each sub-operation whatever becomes of it here, and an end: when no instance comes
for several times the response's deadline, responses alone do not keep it going.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol

from kuva_gateway.network import commands
from kuva_gateway.network.allowance import Allowance
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import Command
from kuva_gateway.network.errors import ProtocolViolation, TimedOut
from kuva_gateway.network.records import AcceptedContext, FindAnswer

_PENDING = 0xFF00
_PATIENCE = 5
"""Times the response's deadline within which an instance must come."""
_LOOK_EVERY = 0.1
_OUT_OF_RESOURCES, _NOT_AUTHORISED, _PROCESSING_FAILURE = 0xA700, 0x0124, 0x0110


class Taking(Protocol):
    """Where one instance goes."""

    def write(self, view: memoryview) -> None:
        """The next bytes of its data set; what it raises refuses the instance."""

    def keep(self) -> object:
        """It is whole."""

    def drop(self) -> None:
        """It is not, or could not be kept."""


def get(
    association: Association,
    context: AcceptedContext,
    identifier: bytes,
    *,
    message_id: int,
    begin: Callable[[AcceptedContext, Command], Taking | None],
    kept: Callable[[object], None],
    enough: Callable[[], bool],
) -> FindAnswer:
    """Ask by C-GET, take what comes, and return the final answer.

    Parameters
    ----------
    begin
        Where an instance goes; None refuses it: nobody asked for it. What it raises refuses it for want of room.
    kept
        Told what ``keep`` returned, once the instance is there.
    enough
        Asked some times a second; when it says yes the request is cancelled (C-CANCEL).

    Raises
    ------
    NetworkError
        The association ended, or nothing came in time.
    """
    taken = 0

    def take(where: AcceptedContext, command: Command, allowance: Allowance) -> None:
        nonlocal taken
        taken += 1
        _take(association, where, command, allowance, begin, kept)

    request = _request(commands.C_GET_RQ, context, message_id)
    return _follow(association, context, request, identifier, take=take, progress=lambda: taken, enough=enough)


def move(
    association: Association,
    context: AcceptedContext,
    identifier: bytes,
    *,
    message_id: int,
    destination: str,
    progress: Callable[[], object],
    enough: Callable[[], bool],
) -> FindAnswer:
    """Ask by C-MOVE for instances to be sent to the AE title ``destination``, and return the final answer.

    Parameters
    ----------
    progress
        Asked some times a second: a value that is another one whenever an instance has come.
    enough
        Asked as often; when it says yes the request is cancelled (C-CANCEL).

    Raises
    ------
    NetworkError
        The association ended, or nothing came in time.
    """
    request = _request(commands.C_MOVE_RQ, context, message_id)
    request.move_destination = destination
    return _follow(association, context, request, identifier, take=None, progress=progress, enough=enough)


def _request(field: int, context: AcceptedContext, message_id: int) -> Command:
    return Command(
        field=field,
        affected_class=context.abstract_syntax,
        priority=commands.PRIORITY_MEDIUM,
        has_data_set=True,
        message_id=message_id,
    )


def _follow(
    association: Association,
    context: AcceptedContext,
    request: Command,
    identifier: bytes,
    *,
    take: Callable[[AcceptedContext, Command, Allowance], None] | None,
    progress: Callable[[], object],
    enough: Callable[[], bool],
) -> FindAnswer:
    """Send the request, hear what comes until the final answer, and see to it that there is an end."""
    association.write_message(context, request, identifier)
    watch = _Watch(progress, enough)
    while True:
        patience = Allowance("response", association.timers.response)
        while not association.input_waits(_LOOK_EVERY) and patience.remaining():
            if watch.came_on():
                patience = Allowance("response", association.timers.response)
            if watch.cancels():
                _cancel(association, context, request)
        where, command, allowance = association.read_command(patience)
        if take is not None and command.field == commands.C_STORE_RQ:
            take(where, command, allowance)
            continue
        if command.field != request.field | commands.RESPONSE_BIT or command.responded_to != request.message_id:
            raise ProtocolViolation(f"{command.name} came out of turn", source=0)
        data_set = association.collect_data_set(where, allowance) if command.has_data_set else None
        if command.status != _PENDING:
            return FindAnswer(
                status=command.status or 0,
                comment=command.error_comment,
                offending=command.offending,
                data_set=data_set,
            )
        watch.came_on()
        if watch.cancels():
            _cancel(association, context, request)
        if watch.idle > _PATIENCE * association.timers.response:
            raise TimedOut("response")


def _cancel(association: Association, context: AcceptedContext, request: Command) -> None:
    command = Command(field=commands.C_CANCEL_RQ, responded_to=request.message_id)
    association.write_message(context, command, None)


class _Watch:
    """Whether instances come, and whether they are still wanted; looked at some times a second, however much comes."""

    def __init__(self, progress: Callable[[], object], enough: Callable[[], bool]) -> None:
        self._progress = progress
        self._enough = enough
        self._seen = progress()
        self._looked = self._moved = monotonic()
        self._cancelled = False

    @property
    def idle(self) -> float:
        """Seconds since something came."""
        return monotonic() - self._moved

    def came_on(self) -> bool:
        """Whether something has come since the last look."""
        if monotonic() - self._looked < _LOOK_EVERY:
            return False
        seen, self._seen = self._seen, self._progress()
        self._looked = monotonic()
        if self._seen == seen:
            return False
        self._moved = self._looked
        return True

    def cancels(self) -> bool:
        """Whether the request is to be cancelled now; said once."""
        if self._cancelled or not self._enough():
            return False
        self._cancelled = True
        return True


def _take(
    association: Association,
    context: AcceptedContext,
    command: Command,
    allowance: Allowance,
    begin: Callable[[AcceptedContext, Command], Taking | None],
    kept: Callable[[object], None],
) -> None:
    taking: Taking | None = None
    try:
        taking = begin(context, command)
        status = _NOT_AUTHORISED if taking is None else 0
    except Exception:
        status = _OUT_OF_RESOURCES

    def take(piece: memoryview) -> None:
        nonlocal status
        if taking is not None and not status:
            try:
                taking.write(piece)
            except Exception:  # the association stays in step; the archive hears that it was not taken
                status = _OUT_OF_RESOURCES

    try:
        if command.has_data_set:
            association.read_data_set(context, allowance, take)
    except BaseException:
        if taking is not None:
            taking.drop()
        raise
    if taking is not None and not status:
        try:
            kept(taking.keep())
        except Exception:
            status = _PROCESSING_FAILURE
    if taking is not None and status:
        taking.drop()
    answer = Command(
        field=commands.C_STORE_RQ | commands.RESPONSE_BIT,
        responded_to=command.message_id,
        affected_class=command.affected_class,
        affected_instance=command.affected_instance,
        status=status,
    )
    association.write_message(context, answer)
