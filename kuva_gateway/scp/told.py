"""What peers do, told to the audit trail (PS3.15 A.5.3): who came in vain, stored, asked and got.

A message is made and handed on; nobody waits for the trail. Promises bounded memory: an association that stores into
ever more studies, or that stays for days, tells of them as it goes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from time import monotonic

from kuva_gateway.audit import events
from kuva_gateway.audit.events import Node, StudyTold
from kuva_gateway.audit.message import Message
from kuva_gateway.audit.writer import Quiet
from kuva_gateway.dicom import statuses
from kuva_gateway.dicom.header import Header
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import Command
from kuva_gateway.network.records import AcceptedContext, AssociationRequest, Response, UserIdentity

Add = Callable[[Callable[[Node, datetime], Message]], None]
"""Takes what makes a message of the gateway as a participant and the moment."""

STUDIES_KEPT = 64
"""Studies of an association that are counted at a time; the one that was longest without an image is told of first."""
TELL_AFTER = 600.0
"""Seconds after its first image until a study that still comes is told of."""
_LONGEST_QUERY = 64 * 1024
"""Bytes of an identifier that are told."""
_ENDED_WELL = (statuses.SUCCESS, statuses.CANCELLED)


@dataclass(slots=True)
class _Coming:
    """What has come of one study since it was last told of."""

    patient_id: str
    accession_number: str
    since: float
    sop_classes: Counter[str] = field(default_factory=Counter)


class Received:
    """The studies that one association stores into, until they are told of. It belongs to the association's thread."""

    def __init__(self) -> None:
        self._studies: OrderedDict[str, _Coming] = OrderedDict()

    def count(self, header: Header) -> StudyTold | None:
        """One more image is safe; returns a study that is to be told of now."""
        study, studies, now = header.study_instance_uid, self._studies, monotonic()
        coming = studies.get(study)
        if coming is None:
            coming = studies[study] = _Coming(header.patient_id, header.accession_number, now)
        else:
            studies.move_to_end(study)
        coming.sop_classes[header.sop_class_uid] += 1
        if now - coming.since > TELL_AFTER:
            return self._take(study)
        return self._take(next(iter(studies))) if len(studies) > STUDIES_KEPT else None

    def rest(self) -> Iterator[StudyTold]:
        """The association is over: all that is left."""
        while self._studies:
            yield self._take(next(iter(self._studies)))

    def _take(self, study: str) -> StudyTold:
        coming = self._studies.pop(study)
        return StudyTold(
            uid=study,
            patient_id=coming.patient_id,
            accession_number=coming.accession_number,
            sop_classes=coming.sop_classes,
        )


class Telling:
    """Tells the trail what peers do; without ``add``, nothing."""

    def __init__(self, add: Add | None) -> None:
        self._add: Add = add if add is not None else lambda make: None
        self._quiet = Quiet()

    def refused(self, address: str, request: AssociationRequest | None, why: str) -> None:
        """Somebody was not let in."""
        caller = Node(ae_title="", address=address) if request is None else node(request)
        times = self._quiet.times((address, caller.ae_title, why))
        if times:
            self._add(partial(events.refused, caller=caller, why=why, times=times))

    def received(self, association: Association, study: StudyTold | None) -> None:
        """Images of a study were stored by this association."""
        if study is not None:
            self._add(partial(events.received, sender=node(association), study=study))

    def query(
        self,
        association: Association,
        context: AcceptedContext,
        command: Command,
        data_set: bytes,
        responses: Iterable[Response],
    ) -> Generator[Response, None, None]:
        """The responses to a C-FIND, and when they have ended (or their asker), the query."""
        status: int | None = None
        try:
            for response in responses:
                status = response.status
                yield response
        finally:
            self._add(
                partial(
                    events.queried,
                    asker=node(association),
                    sop_class=command.affected_class,
                    transfer_syntax=context.transfer_syntax,
                    identifier=data_set[:_LONGEST_QUERY],
                    failure=_failure(status),
                )
            )

    def retrieval(self, association: Association, to: Node | None, studies: Iterable[StudyTold], failure: str) -> None:
        """A C-MOVE, or with ``to`` None a C-GET, has sent what it could."""
        asker = node(association)
        receiver = asker if to is None else to
        self._add(partial(events.sent, receiver=receiver, studies=tuple(studies), asker=asker, failure=failure))


def node(peer: Association | AssociationRequest) -> Node:
    """Somebody who calls, let in or not, as a participant."""
    return Node(
        ae_title=peer.calling_ae,
        address=peer.address,
        certificate=peer.certificate_subject or "",
        user=user_name(peer.user_identity),
    )


def user_name(identity: UserIdentity | None) -> str:
    """The user that was negotiated (PS3.7 D.3.3.7.1): a name as it is; of a ticket or token only that there is one."""
    if identity is None:
        return ""
    if identity.type in (1, 2):
        return identity.primary[:256].decode("utf-8", "replace")
    return {3: "(Kerberos ticket)", 4: "(SAML assertion)", 5: "(JSON web token)"}.get(identity.type, "(unknown)")


def _failure(status: int | None) -> str:
    if status is None or statuses.is_pending(status):
        return "the asker went away"
    return "" if status in _ENDED_WELL else f"{status:04X}"
