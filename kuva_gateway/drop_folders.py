"""The folders into which others put files, wired together: imaging documents, authorizations, ADT messages.

Keeps nothing. What a folder does with a file is intake's; here is where each is, and how often somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from kuva_gateway import log, parts
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import Linked
from kuva_gateway.config import Configuration
from kuva_gateway.intake.adt import adt_drop_folder
from kuva_gateway.intake.authorizations import authorization_drop_folder
from kuva_gateway.intake.documents import document_drop_folder
from kuva_gateway.intake.drop_folder import DropFolder, Outcome
from kuva_gateway.queue.schedule import SHORTEST_TICK, Tick


def drop_folder_ticks(
    configuration: Configuration, catalog: Catalog, *, now: Callable[[], datetime]
) -> dict[str, Tick]:
    """Each folder's scan, and how often it is made."""
    documents = document_drop_folder(
        catalog,
        configuration.path(configuration.documents.drop_folder),
        kept_in=parts.accepted_documents(configuration),
        rejected=configuration.path(Path("documents/rejected")),
        profile=parts.document_profile(configuration),
        now=now,
        on_outcome=_teller("document"),
    )
    authorizations = authorization_drop_folder(
        catalog,
        configuration.path(configuration.authorizations.drop_folder),
        kept_in=parts.accepted_authorizations(configuration),
        rejected=configuration.path(Path("authorizations/rejected")),
        now=now,
        on_outcome=_teller("authorization"),
    )
    return {
        "documents": Tick(call=documents.scan, every=max(configuration.documents.scan_every, SHORTEST_TICK)),
        "authorizations": Tick(
            call=authorizations.scan, every=max(configuration.authorizations.scan_every, SHORTEST_TICK)
        ),
        "adt": Tick(
            call=_adt_folder(configuration, catalog, now).scan, every=max(configuration.adt.scan_every, SHORTEST_TICK)
        ),
    }


def _adt_folder(configuration: Configuration, catalog: Catalog, now: Callable[[], datetime]) -> DropFolder:
    intake_log = log.get_logger("intake")

    def tell(linked: Linked) -> None:
        if linked.amended:
            intake_log.info("studies amended by adt", studies=list(linked.amended))
        if linked.delivered:
            intake_log.warning("delivered with an old patient id: withdraw them", studies=list(linked.delivered))

    return adt_drop_folder(
        catalog,
        configuration.path(configuration.adt.drop_folder),
        rejected=configuration.path(Path("adt/rejected")),
        now=now,
        on_linked=tell,
        on_outcome=_teller("adt"),
    )


def _teller(event: str) -> Callable[[Outcome], None]:
    """One log line for each dropped file.

    The file's name is somebody else's text and is left out; the reason is ours and quotes nothing.
    """
    intake_log = log.get_logger("intake")

    def say(outcome: Outcome) -> None:
        intake_log.info(event, outcome=outcome.what, why="; ".join(outcome.reason.splitlines()))

    return say
