"""Which associations stored what, while they last: so that a study is not called complete under a sender's hands.

Promises bounded memory: of each association the studies that it stored into last are remembered, so a migration that
sends thousands over one association does not hold the first of them open.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from kuva_gateway.network.association import Association
from kuva_gateway.network.records import Response
from kuva_gateway.scp.told import Received

STUDIES_REMEMBERED = 16
"""Studies per association; modalities that interleave studies have two or three open at a time."""


@dataclass(slots=True)
class Activity:
    """What one association did. Its counts belong to the association's thread."""

    association: Association
    stored: int = 0
    fetched: int = 0
    """Copies that it brought because they were asked for; they are not ``stored``."""
    refused: Counter[int] = field(default_factory=Counter)
    """DIMSE status -> how often it was answered to a C-STORE."""
    studies: OrderedDict[str, None] = field(default_factory=OrderedDict)
    received: Received = field(default_factory=Received)
    """What the audit trail is to be told of."""

    def refuse(self, response: Response) -> Response:
        """Count a C-STORE that was not stored, and pass its response on."""
        self.refused[response.status] += 1
        return response


class Activities:
    """Every association that asked to store, by its id. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[int, Activity] = {}

    def of(self, association: Association) -> Activity:
        """The association's own, made when it is first asked for."""
        found = self._by_id.get(association.id)
        if found is None:
            with self._lock:
                found = self._by_id[association.id] = Activity(association)
        return found

    def stored(self, activity: Activity, study_uid: str) -> None:
        """An instance of the study is safe."""
        activity.stored += 1
        with self._lock:
            activity.studies[study_uid] = None
            activity.studies.move_to_end(study_uid)
            if len(activity.studies) > STUDIES_REMEMBERED:
                activity.studies.popitem(last=False)

    def forget(self, association: Association) -> Activity:
        """The association is over."""
        with self._lock:
            return self._by_id.pop(association.id, None) or Activity(association)

    def in_flight(self, study_uid: str) -> bool:
        """Whether an association that stored into the study is in the middle of a message."""
        with self._lock:
            holders = [one.association for one in self._by_id.values() if study_uid in one.studies]
        return any(association.busy for association in holders)
