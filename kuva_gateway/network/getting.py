"""C-GET as its requestor (PS3.4 C.4.3): the instances come as C-STORE requests on the association that asked.

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
REFUSED = 0xA700


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
    """Ask, take what comes, and return the final answer.

    Parameters
    ----------
    begin
        Where an instance goes; None refuses it.
    kept
        Told what ``keep`` returned, once the instance is there.
    enough
        Asked some times a second; when it says yes the request is cancelled (C-CANCEL).

    Raises
    ------
    NetworkError
        The association ended, or nothing came in time.
    """
    request = Command(
        field=commands.C_GET_RQ,
        affected_class=context.abstract_syntax,
        priority=commands.PRIORITY_MEDIUM,
        has_data_set=True,
        message_id=message_id,
    )
    association.write_message(context, request, identifier)
    cancelled, last = False, monotonic()
    while True:
        patience = Allowance("response", association.timers.response)
        while not association.input_waits(_LOOK_EVERY) and patience.remaining():
            if not cancelled and enough():
                cancelled = True
                association.write_message(context, Command(field=commands.C_CANCEL_RQ, responded_to=message_id), None)
        where, command, allowance = association.read_command(patience)
        if command.field == commands.C_STORE_RQ:
            _take(association, where, command, allowance, begin, kept)
            last = monotonic()
            continue
        if command.field != commands.C_GET_RQ | commands.RESPONSE_BIT or command.responded_to != message_id:
            raise ProtocolViolation(f"{command.name} came out of turn", source=0)
        data_set = association.collect_data_set(where, allowance) if command.has_data_set else None
        if command.status != _PENDING:
            return FindAnswer(
                status=command.status or 0,
                comment=command.error_comment,
                offending=command.offending,
                data_set=data_set,
            )
        if monotonic() - last > _PATIENCE * association.timers.response:
            raise TimedOut("response")


def _take(
    association: Association,
    context: AcceptedContext,
    command: Command,
    allowance: Allowance,
    begin: Callable[[AcceptedContext, Command], Taking | None],
    kept: Callable[[object], None],
) -> None:
    taking = begin(context, command)
    refused = taking is None

    def take(piece: memoryview) -> None:
        nonlocal refused
        if taking is not None and not refused:
            try:
                taking.write(piece)
            except Exception:  # the association stays in step; the archive hears that it was not taken
                refused = True

    try:
        if command.has_data_set:
            association.read_data_set(context, allowance, take)
    except BaseException:
        if taking is not None:
            taking.drop()
        raise
    if taking is not None and refused:
        taking.drop()
    if taking is not None and not refused:
        try:
            kept(taking.keep())
        except OSError:
            taking.drop()
            refused = True
    answer = Command(
        field=commands.C_STORE_RQ | commands.RESPONSE_BIT,
        responded_to=command.message_id,
        affected_class=command.affected_class,
        affected_instance=command.affected_instance,
        status=REFUSED if refused else 0,
    )
    association.write_message(context, answer)
