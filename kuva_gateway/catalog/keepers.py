"""Whose register a study belongs into: the register keeper of its documents, else of the peer that sent it."""

from __future__ import annotations

from collections.abc import Mapping

from kuva_gateway.catalog.database import Catalog

_ORDER = "CASE d.kind WHEN 'examination_entry' THEN 0 WHEN 'request' THEN 1 WHEN 'report' THEN 2 ELSE 3 END"


def register_keeper(catalog: Catalog, study_uid: str, by_peer: Mapping[str, str]) -> str:
    """OID of the study's register keeper, "" when nothing says it.

    Of current, ready documents the examination entry decides, then the request. ``by_peer`` has the register keepers of
    peers, by their names.
    """
    with catalog.read() as session:
        keeper = session.value(
            "SELECT r.keeper FROM studies s JOIN links l ON l.study_id = s.id "
            "JOIN documents d ON d.id = l.document_id AND d.current = 1 AND d.ready = 1 "
            "JOIN document_registers r ON r.document_id = d.id AND r.keeper <> '' "
            f"WHERE s.uid = ? ORDER BY {_ORDER}, d.received_at, d.id LIMIT 1",
            study_uid,
        )
        if keeper:
            return str(keeper)
        return by_peer.get(session.value("SELECT peer FROM studies WHERE uid = ?", study_uid) or "", "")
