"""What stands in the state directory, opened as the configuration says: catalog, spool, documents.

Keeps nothing; every function makes something new from a checked configuration.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kuva_gateway.config import Configuration
from kuva_gateway.errors import CatalogUnavailableError, DeferredError, RefusedError, StateError
from kuva_gateway.journal import Journal
from kuva_gateway.spool.spool import Spool

if TYPE_CHECKING:
    from kuva_gateway.catalog.database import Catalog
    from kuva_gateway.clinical.document_profile import Profile

CATALOG_FILE = "catalog.sqlite"
RESTORING = "restoring"
"""A file in the state directory while it is restored: what is there is not whole yet."""


def open_catalog(
    configuration: Configuration,
    *,
    create: bool,
    update: bool = False,
    read_only: bool = False,
    now: Callable[[], datetime] | None = None,
) -> Catalog:
    """The catalog that the configuration names.

    Only who holds the state directory's lock may ``update`` it: a program of another version may be at work on it.

    Raises what :meth:`Catalog.open` raises, and StateError where a restore did not come to its end.
    """
    from kuva_gateway.catalog.database import Catalog

    _refuse_half_restored(configuration)
    keywords: dict[str, Any] = {} if now is None else {"now": now}
    return Catalog.open(
        configuration.catalog.url,
        catalog_path(configuration),
        create=create,
        update=update,
        read_only=read_only,
        **keywords,
    )


def catalog_path(configuration: Configuration) -> Path:
    """Where the embedded catalog's file is."""
    return configuration.state_directory / CATALOG_FILE


def open_spool(configuration: Configuration) -> Spool:
    """The spool's folders in the state directory, made if they are missing; StateError as for the catalog."""
    _refuse_half_restored(configuration)
    return Spool(
        configuration.state_directory / "spool",
        durability=configuration.spool.durability,
        minimum_free=configuration.spool.minimum_free,
    )


def _refuse_half_restored(configuration: Configuration) -> None:
    """A catalog made anew beside half of the files would forget what was decided and delivered."""
    state = configuration.state_directory
    if (state / RESTORING).exists():
        raise StateError(f"a restore into {state} did not come to its end: run the same restore again")


def open_journal(configuration: Configuration) -> Journal:
    """The journal, from which a lost catalog gets back what the stored files do not say."""
    return Journal(configuration.state_directory / "journal")


def tell_journal(configuration: Configuration, catalog: Catalog) -> None:
    """Tell the journal of what has changed, at once: who is told that something is done can rely on it.

    Raises
    ------
    DeferredError
        It is done, and the journal is to be told of it later.
    """
    from kuva_gateway.catalog.journaling import tell

    try:
        tell(catalog, open_journal(configuration))
    except (OSError, CatalogUnavailableError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DeferredError(
            f"it is done, but the journal cannot be written now ({why}); the daemon will write it"
        ) from error


def accepted_documents(configuration: Configuration) -> Path:
    """Where the bytes of accepted documents are kept."""
    return configuration.state_directory / "documents" / "accepted"


def accepted_authorizations(configuration: Configuration) -> Path:
    """Where the bytes of accepted authorizations are kept."""
    return configuration.state_directory / "authorizations" / "accepted"


def make_state_directory(path: Path) -> None:
    """Make the state directory, readable by the gateway's own user only.

    Raises
    ------
    RefusedError
        It is there and :func:`refuse_root_for_another` says no.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    refuse_root_for_another(path)


def refuse_root_for_another(path: Path) -> None:
    """Refuse to make files as root in a state directory of another user: the gateway could not read them.

    Raises
    ------
    RefusedError
        Root asks, and the state directory is somebody else's.
    """
    owner = path.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        name = _user(owner)
        raise RefusedError(
            f"{path} belongs to {name}, and what root makes there {name} cannot read: run this as {name} "
            f"(runuser -u {name} -- kuva-gateway ...)"
        )


def _user(number: int) -> str:
    """The user's name, or the number of one without."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def document_profile(configuration: Configuration) -> Profile:
    """How imaging documents are read."""
    from kuva_gateway.clinical.document_profile import Profile

    return Profile(kinds=configuration.documents.kinds, accession_roots=configuration.documents.accession_roots)
