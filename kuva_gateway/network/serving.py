"""What an accepted association does from its first command to its end: read, ask the services, answer.

Promises one answer to every request, whatever the services raise: 0110 (processing failure) then, and the association
goes on. What the peer may not do ends in the exceptions of :mod:`kuva_gateway.network.wire`.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable

from kuva_gateway.network import commands
from kuva_gateway.network.allowance import Allowance
from kuva_gateway.network.association import (
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    UNRECOGNISED_OPERATION,
    Association,
)
from kuva_gateway.network.commands import Command
from kuva_gateway.network.errors import NetworkError, ProtocolViolation
from kuva_gateway.network.pdus import BY_USER
from kuva_gateway.network.protocols import Log, Services, Sink
from kuva_gateway.network.records import AcceptedContext, Response

CANNOT_UNDERSTAND = 0xC000
_STORED = Response(status=0)
_TOGETHER = 32 * 1024  # bytes of pending responses that go out at once, where more follow
_PENDING = frozenset({0xFF00, 0xFF01})  # PS3.7 C.5
_C_SERVICES = frozenset({commands.C_FIND_RQ, commands.C_MOVE_RQ, commands.C_GET_RQ})


class Service:
    """The requests of one association, answered by ``services``."""

    def __init__(self, association: Association, services: Services, log: Log) -> None:
        self._association = association
        self._services = services
        self._log = log
        self._afterwards: deque[Callable[[Association], None]] = deque()

    def run(self) -> None:
        """Answer requests until something ends the association.

        Raises
        ------
        NetworkError
            Always: :class:`Released` is the good one.
        """
        association = self._association
        while True:
            context, command, allowance = association.read_command(Allowance("idle", association.timers.idle))
            self._answer(context, command, allowance)
            while self._afterwards:
                self._follow_up(self._afterwards.popleft())

    def _answer(self, context: AcceptedContext, command: Command, allowance: Allowance) -> None:
        if command.field == commands.C_STORE_RQ:
            self._store(context, command, allowance)
        elif command.field == commands.C_CANCEL_RQ:
            pass  # its request was answered already (PS3.7 9.3.2.3)
        elif command.is_response:
            raise ProtocolViolation("a response came to a request that was never made", source=BY_USER)
        else:
            self._request(context, command, allowance)

    def _follow_up(self, after: Callable[[Association], None]) -> None:
        """What a response wanted done after it; its own requests may cross the peer's, which are answered."""
        self._association.on_request = self._answer
        try:
            after(self._association)
        except NetworkError:
            raise
        except Exception as error:
            self._fault("after", error)
        finally:
            self._association.on_request = None

    # -- C-STORE -------------------------------------------------------------------------------------------------

    def _store(self, context: AcceptedContext, command: Command, allowance: Allowance) -> None:
        association = self._association
        association.begin_request(command.message_id)
        if not command.has_data_set:
            self._respond(context, command, Response(status=CANNOT_UNDERSTAND, comment="C-STORE without a data set"))
            return
        sink = self._sink(context, command)
        if isinstance(sink, Response):
            association.read_data_set(context, allowance, _drop)
            self._respond(context, command, sink)
            return
        intake = _Intake(sink)
        try:
            association.read_data_set(context, allowance, intake.take)
        except BaseException:
            self._abandon(sink, intake)
            raise
        response = self._finish(sink, intake)
        association.count_instance()
        if response == _STORED:
            association.write_command(context, commands.stored(command))
        else:
            self._respond(context, command, response)

    def _sink(self, context: AcceptedContext, command: Command) -> Sink | Response:
        try:
            return self._services.store(self._association, context, command)
        except NetworkError:
            raise
        except Exception as error:
            return self._fault("store", error)

    def _finish(self, sink: Sink, intake: _Intake) -> Response:
        try:
            if intake.error is None:
                try:
                    return sink.finish()
                except NetworkError:
                    raise
                except Exception as error:
                    return sink.failed(error)
            return sink.failed(intake.error)
        except NetworkError:
            raise
        except Exception as error:
            return self._fault("store", error)

    def _abandon(self, sink: Sink, intake: _Intake) -> None:
        """Nobody is left to answer; a sink that failed already clears up as it would for an answer."""
        try:
            if intake.error is None:
                sink.abandon()
            else:
                sink.failed(intake.error)
        except Exception as error:
            self._fault("abandon", error)

    # -- every other request -------------------------------------------------------------------------------------

    def _request(self, context: AcceptedContext, command: Command, allowance: Allowance) -> None:
        association = self._association
        association.begin_request(command.message_id)
        data_set = association.collect_data_set(context, allowance) if command.has_data_set else b""
        if data_set is None:
            status = OUT_OF_RESOURCES if command.field in _C_SERVICES else RESOURCE_LIMITATION
            self._respond(context, command, Response(status=status, comment="data set too long"))
        elif command.field not in commands.REQUESTS:
            self._respond(context, command, Response(status=UNRECOGNISED_OPERATION))
        else:
            with contextlib.closing(self._responses(context, command, data_set)) as responses:
                waiting, said, announcement = bytearray(), None, b""
                for response in responses:
                    answer = _answer(command, response)
                    if answer != said:  # of a query's many pending responses only the data sets differ
                        said, announcement = answer, association.encode_command(context, answer)
                    waiting += announcement
                    if response.data_set is not None:
                        waiting += association.encode_data_set(context, response.data_set)
                    if response.more and len(waiting) < _TOGETHER:
                        continue
                    association.write(bytes(waiting), association.sending())
                    waiting.clear()
                    if response.after is not None:
                        self._afterwards.append(response.after)
                    # After the final response it is not a cancel that comes, but the peer's next request.
                    if response.status in _PENDING and association.input_waits():
                        association.cancelled(command.message_id or 0)

    def _responses(
        self, context: AcceptedContext, command: Command, data_set: bytes
    ) -> Generator[Response, None, None]:
        """What the services yield; their exception becomes a response of its own."""
        answers: Iterable[Response] = ()
        try:
            answers = self._services.request(self._association, context, command, data_set)
            yield from answers
        except NetworkError:
            raise
        except Exception as error:
            yield self._fault(command.name, error)

    def _respond(self, context: AcceptedContext, command: Command, response: Response) -> None:
        self._association.write_message(context, _answer(command, response), response.data_set)
        if response.after is not None:
            self._afterwards.append(response.after)

    def _fault(self, what: str, error: Exception) -> Response:
        """A fault of our own: one line for us, 0110 for the peer; the text of unknown exceptions stays out of both."""
        self._log.error(
            "request_failed",
            association=self._association.id,
            peer=self._association.peer,
            request=what,
            error=type(error).__name__,
        )
        return Response(status=PROCESSING_FAILURE)


def _answer(command: Command, response: Response) -> Command:
    """The response's command set; of a request's plain pending responses all have the same."""
    return Command(
        field=command.field | commands.RESPONSE_BIT,
        responded_to=command.message_id,
        has_data_set=response.data_set is not None,
        affected_class=command.affected_class or command.requested_class,
        affected_instance=response.affected_instance or command.affected_instance or command.requested_instance,
        status=response.status,
        error_comment=response.comment,
        error_id=response.error_id,
        offending=response.offending,
        event_type=command.event_type if response.event_type is None else response.event_type,
        action_type=command.action_type if response.action_type is None else response.action_type,
        remaining=response.remaining,
        completed=response.completed,
        failed=response.failed,
        warning=response.warning,
    )


class _Intake:
    """Feeds a sink until it fails; what comes after that is dropped, so that the association stays in step."""

    __slots__ = ("_write", "error")

    def __init__(self, sink: Sink) -> None:
        self._write = sink.write
        self.error: Exception | None = None

    def take(self, piece: memoryview) -> None:
        if self.error is None:
            try:
                self._write(piece)
            except Exception as error:
                self.error = error


def _drop(_: memoryview) -> None:
    """Read and forget."""
