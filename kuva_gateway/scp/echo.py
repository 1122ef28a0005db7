"""C-ECHO (PS3.4 annex A): whoever may ask gets an answer."""

from __future__ import annotations

from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.uids import VERIFICATION
from kuva_gateway.network.records import AcceptedContext, Response
from kuva_gateway.scp.refusal import refuse


def answer_echo(context: AcceptedContext) -> Response:
    """The response to a C-ECHO-RQ; the context was accepted only for peers that may ask."""
    if context.abstract_syntax != VERIFICATION:
        return refuse(statuses.CLASS_NOT_SUPPORTED, "C-ECHO needs a presentation context for verification")
    return Response(status=statuses.SUCCESS)
