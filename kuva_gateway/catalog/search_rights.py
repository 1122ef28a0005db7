"""What a service producer may see of the studies (OSV-04), as a condition for :mod:`.visibility`.

Promises that a producer sees what it sent itself, what lies in its own organisation's registers, and of others'
what the search right of an authorization that counts today covers; everything else is hidden and is no error.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from kuva_gateway.catalog.visibility import Condition, one_of
from kuva_gateway.clinical.authorizations import OCCUPATIONAL
from kuva_gateway.clinical.identifiers import organisation_of

_CURRENT = (
    "FROM links rl JOIN documents rd ON rd.id = rl.document_id AND rd.current = 1 "
    "JOIN document_registers rr ON rr.document_id = rd.id "
)
_OWN_REGISTER = f"EXISTS (SELECT 1 {_CURRENT} WHERE rl.study_id = s.id AND (rr.keeper = ? OR rr.keeper LIKE ?))"
_DAY = "REPLACE(s.study_date, '.', '')"
"""The retired form of a date has dots (PS3.5 6.2)."""
_SPECIFIER = "UPPER(REPLACE(rr.specifier, ' ', ''))"
_GRANTED = (
    f"EXISTS (SELECT 1 {_CURRENT} JOIN authorizations ra ON ra.producer = ? AND ra.search_keeper = rr.keeper "
    "AND ra.patient_key IN ('', s.patient_key) "
    "WHERE rl.study_id = s.id AND ra.current = 1 AND ra.ready = 1 AND ra.invalidated_at IS NULL "
    "AND ra.valid_from <= ? AND ra.valid_to >= ? "
    f"AND ra.search_register = rr.register AND (rr.register <> '{OCCUPATIONAL}' OR ra.search_specifier = {_SPECIFIER}) "
    "AND (ra.scope = 'all' "
    f"OR (ra.scope = 'range' AND s.study_date <> '' AND (ra.documents_from = '' OR {_DAY} >= ra.documents_from) "
    f"AND (ra.documents_to = '' OR {_DAY} <= ra.documents_to)) "
    "OR (ra.scope = 'events' AND EXISTS (SELECT 1 FROM authorization_references rx WHERE rx.authorization_id = ra.id "
    "AND rx.what = 'event' AND rx.value = rr.service_event))))"
)


def search_right(producer: str, own_peers: Sequence[str], today: date) -> Condition:
    """Studies ``s`` that this producer may see.

    Parameters
    ----------
    own_peers
        Configured names of the peers whose studies are the producer's own.
    today
        The day on which an authorization must be valid.
    """
    organisation = organisation_of(producer)
    own = one_of("s.peer", tuple(own_peers))
    day = today.isoformat()
    return Condition(
        sql=f"({own.sql} OR {_OWN_REGISTER} OR {_GRANTED})",
        values=(*own.values, organisation, f"{organisation}.%", producer, day, day),
    )
