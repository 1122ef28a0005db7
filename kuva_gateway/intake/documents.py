"""Imaging documents into the catalog: the bytes kept first, then one transaction.

Keeps the accepted documents' bytes under names made from their digest alone, so nothing that a sender wrote becomes a
file name and the same bytes are one file. Every step may be repeated: a stop between keeping and cataloguing leaves a
file that the next import of the same bytes finds there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kuva_gateway.catalog import documents as catalog_documents
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.records import Added
from kuva_gateway.clinical.authorizations import VIEW as AUTHORIZATION
from kuva_gateway.clinical.document_profile import Profile
from kuva_gateway.clinical.documents import DocumentError, parse_document
from kuva_gateway.intake.drop_folder import DropFolder, Outcome

_SHARD: Final = 2
"""Leading digits of the digest that name the folder, as in the spool."""


def utc_now() -> datetime:
    """This moment, UTC."""
    return datetime.now(UTC)


def import_document(
    catalog: Catalog,
    path: Path,
    *,
    kept_in: Path,
    profile: Profile | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Added:
    """Import one file; the file itself stays where it is.

    Raises
    ------
    DocumentError
        When it cannot be read or is no document.
    RefusedError
        This version is here, ready, with other content.
    CatalogUnavailableError
        When the catalog is away: try again later.
    """
    profile = profile or Profile()
    data = read_document(path, profile)
    return import_document_bytes(catalog, data, kept_in=kept_in, profile=profile, received_at=now())


def read_document(path: Path, profile: Profile) -> bytes:
    """A file's bytes, not more than one beyond what ``profile`` takes; raises DocumentError when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(profile.maximum_bytes + 1)
    except OSError as error:
        raise DocumentError(f"the file cannot be read: {error.strerror}") from None


def import_document_bytes(
    catalog: Catalog, data: bytes, *, kept_in: Path, profile: Profile, received_at: datetime
) -> Added:
    """Read, keep and catalogue a document's bytes; raises as above, and OSError when they cannot be kept."""
    document = parse_document(data, profile)
    if AUTHORIZATION in document.views:
        raise DocumentError("this is a service-purchase authorization: drop it into authorizations/incoming")
    digest = hashlib.sha256(data).hexdigest()
    catalog_documents.check_known(catalog, document, digest)
    name = keep(data, digest, kept_in)
    return catalog_documents.add(catalog, document, name, digest, received_at)


def keep(data: bytes, digest: str, folder: Path) -> str:
    """Put the bytes on stable storage under a name made from their digest; return that name, relative to ``folder``."""
    name = Path(digest[:_SHARD], f"{digest}.xml")
    path = folder / name
    for made in (folder.parent, folder, path.parent):
        made.mkdir(mode=0o700, exist_ok=True, parents=True)
    if path.exists() and path.read_bytes() == data:
        return str(name)
    part = path.with_name(f".{digest}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # Over an existing name only where that file's bytes are not the ones its name says.
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    for changed in (path.parent, folder):
        _fsync_folder(changed)
    return str(name)


def _fsync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def document_drop_folder(
    catalog: Catalog,
    path: Path,
    *,
    kept_in: Path,
    rejected: Path,
    profile: Profile | None = None,
    now: Callable[[], datetime] = utc_now,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> DropFolder:
    """The drop folder of imaging documents: accepted ones are kept in ``kept_in`` and leave the folder."""
    chosen = profile or Profile()

    def read(_: Path, data: bytes) -> None:
        import_document_bytes(catalog, data, kept_in=kept_in, profile=chosen, received_at=now())

    return DropFolder(
        path,
        rejected=rejected,
        read=read,
        maximum_bytes=chosen.maximum_bytes,
        now=now,
        on_outcome=on_outcome,
    )
