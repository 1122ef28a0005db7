"""Service-purchase authorizations into the catalog: the bytes kept first, then one transaction for each file.

Keeps the accepted files' bytes as imaging documents are kept; every step may be repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from kuva_gateway.catalog import authorizations as catalog_authorizations
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import Added
from kuva_gateway.clinical.authorization_form import MAXIMUM_BYTES
from kuva_gateway.clinical.authorizations import AuthorizationError, parse_authorization
from kuva_gateway.intake.documents import keep, utc_now
from kuva_gateway.intake.drop_folder import DropFolder, Outcome


def import_authorization(
    catalog: Catalog, path: Path, *, kept_in: Path, now: Callable[[], datetime] = utc_now
) -> Added:
    """Import one file; the file itself stays where it is.

    Raises
    ------
    AuthorizationError
        When it cannot be read or is no authorization that can be used; every reason is told.
    RefusedError
        This version is here with other content.
    CatalogUnavailableError
        When the catalog is away: try again later.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise AuthorizationError([f"the file cannot be read: {error.strerror}"]) from None
    return import_authorization_bytes(catalog, data, kept_in=kept_in, received_at=now())


def import_authorization_bytes(catalog: Catalog, data: bytes, *, kept_in: Path, received_at: datetime) -> Added:
    """Read, keep and catalogue an authorization's bytes; raises as above, and OSError when they cannot be kept."""
    authorization = parse_authorization(data)
    digest = hashlib.sha256(data).hexdigest()
    catalog_authorizations.check_known(catalog, authorization, digest)
    name = keep(data, digest, kept_in)
    return catalog_authorizations.add(catalog, authorization, name, digest, received_at)


def authorization_drop_folder(
    catalog: Catalog,
    path: Path,
    *,
    kept_in: Path,
    rejected: Path,
    now: Callable[[], datetime] = utc_now,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> DropFolder:
    """The drop folder of authorizations: accepted ones are kept in ``kept_in`` and leave the folder."""

    def read(_: Path, data: bytes) -> None:
        import_authorization_bytes(catalog, data, kept_in=kept_in, received_at=now())

    return DropFolder(path, rejected=rejected, read=read, maximum_bytes=MAXIMUM_BYTES, now=now, on_outcome=on_outcome)
