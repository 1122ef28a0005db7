"""A modality on pynetdicom that may say anything: command and data set are given apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a C-STORE."""

    status: int
    comment: str


class Modality:
    """An established association that sends what it is told, conformant or not."""

    def __init__(self, association: Any) -> None:
        self.association = association

    def store(
        self, data_set: Dataset | bytes, *, sop_class: str | None = None, sop_instance: str | None = None
    ) -> Answer:
        """Send one C-STORE request on the first accepted storage context; return the answer."""
        if isinstance(data_set, Dataset):
            sop_class = sop_class or str(data_set.SOPClassUID)
            sop_instance = sop_instance or str(data_set.SOPInstanceUID)
            encoded = encode(data_set, is_implicit_vr=False, is_little_endian=True)
            assert encoded is not None
        else:
            encoded = data_set
        request = C_STORE()
        request.MessageID = 1
        request.AffectedSOPClassUID = sop_class or CT_IMAGE
        request.AffectedSOPInstanceUID = sop_instance or "1.2.3"
        request.Priority = 2
        request.DataSet = BytesIO(encoded)
        context = self.association.accepted_contexts[0].context_id
        # As pynetdicom's own send_c_store does: its reactor must not take the answer away.
        self.association._reactor_checkpoint.clear()
        try:
            self.association.dimse.send_msg(request, context)
            _, response = self.association.dimse.get_msg(block=True)
        finally:
            self.association._reactor_checkpoint.set()
        assert response is not None, "no answer to the C-STORE"
        return Answer(status=response.Status, comment=str(response.ErrorComment or ""))


@contextmanager
def modality(
    port: int, *, calling: str = "CT1", called: str = "KUVAGW", sop_class: str = CT_IMAGE
) -> Iterator[Modality]:
    """An association with the gateway for one storage class in explicit little endian."""
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
    entity.add_requested_context(sop_class, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port, ae_title=called)
    assert association.is_established, "the gateway did not accept the association"
    try:
        yield Modality(association)
    finally:
        if association.is_established:
            association.release()
        entity.shutdown()
