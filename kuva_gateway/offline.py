"""What commands do in the daemon's place: index what arrived, and make the catalog again.

Each takes the state directory's lock, so that none of it runs beside a daemon.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from kuva_gateway import parts
from kuva_gateway.catalog import codes, rebuild
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.decisions_kept import Kept, read_kept, write_kept
from kuva_gateway.catalog.indexer import Indexer
from kuva_gateway.catalog.journaling import begin, tell
from kuva_gateway.catalog.putting_back import put_back_codes, put_back_papers, put_back_providers
from kuva_gateway.catalog.recalled import Recalled
from kuva_gateway.catalog.records import RebuildSummary
from kuva_gateway.clinical.codes import CodePeriod
from kuva_gateway.config import Configuration
from kuva_gateway.errors import BusyError, GatewayError
from kuva_gateway.intake.authorizations import import_authorization
from kuva_gateway.intake.codes import load_starter_codes
from kuva_gateway.intake.documents import import_document
from kuva_gateway.intake.providers import load_shipped_providers
from kuva_gateway.journal import Journal
from kuva_gateway.lock import StateLock


def index_arrivals(configuration: Configuration) -> bool:
    """Index what is in ``arrived/`` now; False when a daemon has the state directory and will do it itself."""
    try:
        with (
            StateLock(configuration.state_directory / "lock"),
            contextlib.closing(parts.open_catalog(configuration, create=True, update=True)) as catalog,
        ):
            load_starter_codes(catalog)
            load_shipped_providers(catalog)
            spool = parts.open_spool(configuration)
            Indexer(
                catalog, spool, duplicates=configuration.duplicates, rejecters=parts.rejecters(configuration)
            ).index_batch(spool.arrivals())
    except BusyError:
        return False
    return True


def remove_files(configuration: Configuration) -> int | None:
    """Remove the files that are to be removed, now; None when a daemon has the state directory and does it itself."""
    try:
        with (
            StateLock(configuration.state_directory / "lock"),
            contextlib.closing(parts.open_catalog(configuration, create=False, update=True)) as catalog,
        ):
            return Indexer(catalog, parts.open_spool(configuration)).remove_all()
    except BusyError:
        return None


def rebuild_catalog(
    configuration: Configuration, now: datetime, progress: Callable[[int], None] | None = None
) -> dict[str, int | bool]:
    """Bring the catalog into line with the stored files, or make it anew when it cannot be read any more.

    A sound catalog keeps everything that it knows. Otherwise the embedded catalog's file is put aside, what can still
    be read of its code list, amendments and links of patient ids is taken over (else the shipped starter list is
    loaded), the accepted documents are read again, and the journal gives back what was sent by whom, decided and
    delivered. What it cannot tell is held by QUA-03.

    Raises
    ------
    BusyError
        The daemon runs.
    RefusedError
        Root asks, and the state directory is another user's.
    """
    parts.refuse_root_for_another(configuration.state_directory)
    with StateLock(configuration.state_directory / "lock"):
        sound, listed_before, kept = _look_at_old(configuration)
        journal, temporary = parts.open_journal(configuration), configuration.state_directory / "recalled.sqlite"
        with Recalled(journal, temporary) as recalled:
            summary = _rebuild(configuration, recalled, now, progress, sound=sound)
            with contextlib.closing(parts.open_catalog(configuration, create=True, update=True)) as catalog:
                if not sound and not put_back_codes(catalog, recalled) and listed_before:
                    codes.store(catalog, listed_before)
                amendments = write_kept(catalog, kept)
                load_starter_codes(catalog)
                load_shipped_providers(catalog)
                documents, unreadable = _documents(configuration, catalog)
                authorizations, unreadable_authorizations = _authorizations(configuration, catalog)
                invalidated = 0
                if not sound:
                    put_back_providers(catalog, recalled)
                    invalidated = put_back_papers(catalog, recalled)
                listed = codes.count(catalog)
                if not sound and not recalled.trusted:
                    _begin_journal_again(journal, now)
                begin(catalog, journal)
                tell(catalog, journal)
    return {
        "instances": summary.instances,
        "studies": summary.studies,
        "arrivals": summary.arrivals,
        "unreadable_instances": len(summary.bad),
        "documents": documents,
        "unreadable_documents": unreadable,
        "authorizations": authorizations,
        "unreadable_authorizations": unreadable_authorizations,
        "codes": listed,
        "amendments_kept": amendments,
        "decisions": summary.decisions + invalidated,
        "held": summary.held,
        "gone": summary.gone,
        "damaged_journal_lines": recalled.damage.lines,
        "missing_journal_files": recalled.damage.files,
        "decisions_kept": sound or recalled.trusted,
    }


def _rebuild(
    configuration: Configuration,
    recalled: Recalled,
    now: datetime,
    progress: Callable[[int], None] | None,
    *,
    sound: bool,
) -> RebuildSummary:
    """Complete a sound catalog, or make a new one."""
    spool, rejecters = parts.open_spool(configuration), parts.rejecters(configuration)
    if sound:
        with contextlib.closing(parts.open_catalog(configuration, create=False, update=True)) as catalog:
            return rebuild.complete(
                catalog,
                spool,
                recalled,
                duplicates=configuration.duplicates,
                rejecters=rejecters,
                progress=progress,
            )
    path = parts.catalog_path(configuration)
    if configuration.catalog.url is None:
        _put_aside(path, now)
    return rebuild.rebuild(
        configuration.catalog.url,
        path,
        spool,
        recalled,
        duplicates=configuration.duplicates,
        rejecters=rejecters,
        progress=progress,
    )


def _begin_journal_again(journal: Journal, now: datetime) -> None:
    """A journal that is not whole is put aside; a new one begins with what the new catalog knows."""
    if journal.folder.exists():
        journal.folder.rename(journal.folder.with_name(f"journal.before-{now.strftime('%Y%m%dT%H%M%SZ')}"))


def _look_at_old(configuration: Configuration) -> tuple[bool, tuple[CodePeriod, ...], Kept]:
    """Whether the catalog that is there can be kept; if not, the codes and decisions that can still be read of it."""
    try:
        with contextlib.closing(parts.open_catalog(configuration, create=False, update=True)) as catalog:
            if rebuild.is_sound(catalog):
                return True, (), Kept()
            kept = read_kept(catalog)
            return False, codes.everything(catalog), kept
    except GatewayError:
        return False, (), Kept()


def _put_aside(path: Path, now: datetime) -> None:
    """Rename the old database and what belongs to it: ``catalog.sqlite.before-20261122T030000Z``."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    for suffix in ("", "-wal", "-shm"):
        old = path.with_name(path.name + suffix)
        with contextlib.suppress(FileNotFoundError):
            old.rename(path.with_name(f"{path.name}.before-{stamp}{suffix}"))


def _documents(configuration: Configuration, catalog: Catalog) -> tuple[int, int]:
    """Catalogue the kept documents again, the oldest file first; returns how many, and how many cannot be read."""
    folder = parts.accepted_documents(configuration)
    profile = parts.document_profile(configuration)
    return _read_again(folder, lambda path: import_document(catalog, path, kept_in=folder, profile=profile))


def _authorizations(configuration: Configuration, catalog: Catalog) -> tuple[int, int]:
    """The same for authorizations; what a person invalidated is known only to a catalog that could be kept."""
    folder = parts.accepted_authorizations(configuration)
    return _read_again(folder, lambda path: import_authorization(catalog, path, kept_in=folder))


def _read_again(folder: Path, read: Callable[[Path], object]) -> tuple[int, int]:
    done = unreadable = 0
    for path in sorted(folder.rglob("*.xml"), key=lambda one: (one.stat().st_mtime_ns, one.name)):
        try:
            read(path)
            done += 1
        except GatewayError:
            unreadable += 1
    return done, unreadable
