"""What a destination has of a study, asked by C-FIND at the IMAGE level (PS3.4 C.4.1, Study Root).

For those who offer no storage commitment and may have taken something whose answer never came. Keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.dataset import Dataset

from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.data_set import ElementError, read_elements
from kuva_gateway.dicom.information_model import STUDY_ROOT_FIND
from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from kuva_gateway.forward import outcome
from kuva_gateway.forward.call import Call, judge_call
from kuva_gateway.forward.outcome import Outcome
from kuva_gateway.forward.references import encoded
from kuva_gateway.network import errors
from kuva_gateway.network.requestor import RequestorAssociation

_SOP_INSTANCE = 0x0008_0018
MOST_INSTANCES = 100_000
"""SOP Instance UIDs that are taken from one destination's answers at most."""


class CannotAskError(Exception):
    """The destination cannot be asked, or does not say; ``why`` is for the log."""

    def __init__(self, why: Outcome) -> None:
        super().__init__(str(why))
        self.why = why


def instances_there(call: Call, study: str, series: Iterable[str]) -> frozenset[str]:
    """The SOP Instance UIDs that the destination has in these series of a study.

    Raises
    ------
    CannotAskError
        It offers no query, answers with a failure, or the association did not come about or ended.
    """
    try:
        with call.associate([(STUDY_ROOT_FIND, (EXPLICIT_LITTLE, IMPLICIT_LITTLE))]) as association:
            return frozenset(uid for one in series for uid in _of_series(association, study, one))
    except errors.NoContext:
        raise CannotAskError(outcome.context_rejected(STUDY_ROOT_FIND, EXPLICIT_LITTLE)) from None
    except errors.NetworkError as error:
        raise CannotAskError(judge_call(error)) from None


def _of_series(association: RequestorAssociation, study: str, series: str) -> list[str]:
    context = association.context_for(STUDY_ROOT_FIND)
    found: list[str] = []
    for answer in association.find(context, _identifier(study, series, context.transfer_syntax)):
        if statuses.is_pending(answer.status):
            uid = _instance(answer.data_set or b"", context.transfer_syntax)
            if uid and len(found) < MOST_INSTANCES:
                found.append(uid)
        elif answer.status != statuses.SUCCESS:
            raise CannotAskError(outcome.classify(answer.status, answer.comment, answer.offending))
    return found


def _identifier(study: str, series: str, transfer_syntax: str) -> bytes:
    asked = Dataset()
    asked.QueryRetrieveLevel = "IMAGE"
    asked.StudyInstanceUID, asked.SeriesInstanceUID, asked.SOPInstanceUID = study, series, ""
    return encoded(asked, transfer_syntax)


def _instance(data_set: bytes, transfer_syntax: str) -> str:
    """The SOP Instance UID of an answer, "" when it has none that can be read."""
    try:
        _, value = read_elements(data_set, transfer_syntax)[_SOP_INSTANCE]
    except (ElementError, KeyError):
        return ""
    return value.decode("ascii", "replace").strip("\0 ") if isinstance(value, bytes) else ""
