"""Asking a destination for storage commitment (PS3.4 annex J), and hearing its results on the same association.

Results on an association of the archive's own arrive through the acceptor; both ways end in ``references.read_result``.
The default roles are the ones that are needed: the requestor is the SCU, which sends N-ACTION and receives
N-EVENT-REPORT (PS3.7 D.3.3.4), so no role selection is proposed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kuva_gateway.dicom import statuses, uids
from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from kuva_gateway.errors import DeferredError
from kuva_gateway.forward import outcome
from kuva_gateway.forward.call import Call, judge_break, judge_call
from kuva_gateway.forward.outcome import Kind, Outcome, Scope
from kuva_gateway.forward.references import (
    REQUEST_COMMITMENT,
    Reference,
    Result,
    ResultError,
    read_result,
    write_request,
)
from kuva_gateway.network import errors
from kuva_gateway.network.commands import N_EVENT_REPORT_RQ, Command
from kuva_gateway.network.requestor import RequestorAssociation

REFERENCES_PER_TRANSACTION = 2000
"""So many references make about 300 KB, and their result as much: below what either side takes as one data set."""

_GLANCE = 0.2  # seconds between looks whether the results came elsewhere

OnResult = Callable[[Result], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One transaction: does the archive commit to these instances?"""

    transaction_uid: str
    references: tuple[Reference, ...]


def ask(
    call: Call,
    questions: Sequence[Question],
    *,
    on_asked: Callable[[Question, Outcome], None],
    on_result: OnResult,
    wait: float,
    enough: Callable[[], bool] = lambda: False,
) -> Outcome | None:
    """Ask all ``questions`` on one association, then listen there for at most ``wait`` seconds or until ``enough()``.

    ``on_asked`` is told the outcome of each request that was sent. ``on_result`` may be called before that, and may
    raise DeferredError: the archive is then told 0110, and reports again. Returns why the association ended early,
    else None.
    """
    listener = _Listener(on_result)
    try:
        association = call.associate(
            [(uids.STORAGE_COMMITMENT_PUSH_MODEL, (IMPLICIT_LITTLE, EXPLICIT_LITTLE))], on_event=listener.take
        )
    except errors.NetworkError as error:
        return judge_call(error)
    with association:
        context = next(iter(association.contexts.values()), None)
        if context is None:
            return _not_offered()
        listener.transfer_syntax = context.transfer_syntax
        try:
            for question in questions:
                data_set = write_request(question.transaction_uid, question.references, context.transfer_syntax)
                answer = association.action(
                    context,
                    sop_class=uids.STORAGE_COMMITMENT_PUSH_MODEL,
                    sop_instance=uids.STORAGE_COMMITMENT_INSTANCE,
                    action_type=REQUEST_COMMITMENT,
                    data_set=data_set,
                )
                on_asked(question, outcome.classify(answer.status, answer.comment))
            _listen(association, wait, enough)
        except errors.NetworkError as error:
            return judge_break(error)
    return None


def _listen(association: RequestorAssociation, wait: float, enough: Callable[[], bool]) -> None:
    """Take results until ``enough`` or the time is over; an association that the archive ends is not an error."""
    deadline = time.monotonic() + wait
    while not enough() and (left := deadline - time.monotonic()) > 0:
        try:
            association.wait_event(min(left, _GLANCE))
        except (errors.Released, errors.ConnectionLost, errors.Aborted):
            return


@dataclass(slots=True)
class _Listener:
    """Answers N-EVENT-REPORT on an association of ours."""

    on_result: OnResult
    transfer_syntax: str = field(default=IMPLICIT_LITTLE)

    def take(self, command: Command, data_set: bytes) -> int:
        if command.field != N_EVENT_REPORT_RQ:
            return statuses.UNRECOGNISED_OPERATION
        try:
            self.on_result(read_result(data_set, self.transfer_syntax))
        except ResultError:
            return statuses.INVALID_ARGUMENT_VALUE
        except DeferredError:
            return statuses.PROCESSING_FAILURE
        return statuses.SUCCESS


def _not_offered() -> Outcome:
    return Outcome(
        kind=Kind.PERSON,
        scope=Scope.DESTINATION,
        code="no-commitment",
        meaning="the destination does not offer storage commitment",
    )
