"""Telling a peer what became of its storage commitment requests: N-EVENT-REPORT (PS3.4 J.3.3).

We are the SCP of the service and the requestor of the association, so the role is proposed (PS3.7 D.3.3.4); a peer that
does not answer the proposal is told all the same, because it asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kuva_gateway.dicom import uids
from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from kuva_gateway.forward import outcome
from kuva_gateway.forward.call import Call, judge_call
from kuva_gateway.forward.outcome import Outcome
from kuva_gateway.forward.references import Result, event_type, write_result
from kuva_gateway.network import errors
from kuva_gateway.network.association import Association
from kuva_gateway.network.records import AcceptedContext, Role

ROLES = {uids.STORAGE_COMMITMENT_PUSH_MODEL: Role(scu=False, scp=True)}


def report(
    call: Call,
    results: Sequence[Result],
    *,
    retrieve_ae_title: str,
    on_told: Callable[[Result, Outcome], None],
    on_open: Callable[[Association], None] = lambda association: None,
) -> Outcome | None:
    """Tell all ``results`` on one association; ``on_told`` hears each answer.

    Returns why the association could not be had or ended early, else None.
    """
    syntaxes = (IMPLICIT_LITTLE, EXPLICIT_LITTLE)
    try:
        association = call.associate([(uids.STORAGE_COMMITMENT_PUSH_MODEL, syntaxes)], roles=ROLES)
    except errors.NetworkError as error:
        return judge_call(error)
    with association:
        on_open(association)
        context = next(iter(association.contexts.values()), None)
        if context is None:
            return outcome.context_rejected(uids.STORAGE_COMMITMENT_PUSH_MODEL, IMPLICIT_LITTLE)
        try:
            for result in results:
                status = tell(association, context, result, retrieve_ae_title=retrieve_ae_title)
                on_told(result, outcome.classify(status))
        except errors.NetworkError as error:
            return outcome.association_lost(str(error))
    return None


def tell(association: Association, context: AcceptedContext, result: Result, *, retrieve_ae_title: str) -> int:
    """One N-EVENT-REPORT on an association of either side's; the status that came back.

    Raises
    ------
    NetworkError
        There is no answer.
    """
    answer = association.event_report(
        context,
        sop_class=uids.STORAGE_COMMITMENT_PUSH_MODEL,
        sop_instance=uids.STORAGE_COMMITMENT_INSTANCE,
        event_type=event_type(result),
        data_set=write_result(result, context.transfer_syntax, retrieve_ae_title=retrieve_ae_title),
    )
    return answer.status
