"""A gateway made again from a backup, in an empty state directory.

Promises that nothing is written over; that a restore which was cut off can be run again and that nobody works with half
of it meanwhile; that every file is compared with the digest that the backup has of it; and that what the backup has as
waiting to be sent is asked about at its destination before it is sent, because it may have gone since.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kuva_gateway import parts
from kuva_gateway.backup.backup import STATE
from kuva_gateway.backup.folder import MANIFEST, SHARED, BackupFolder, Description
from kuva_gateway.backup.manifest import Listed, digest_of, read_manifest
from kuva_gateway.backup.taking import Taker
from kuva_gateway.catalog.copying import check_sqlite, is_empty, load_dump, read_marks
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.doubts import doubt_all
from kuva_gateway.catalog.migrations import is_newer
from kuva_gateway.config import Configuration
from kuva_gateway.errors import DamageError, NoSpaceError, RefusedError, StateError
from kuva_gateway.lock import StateLock
from kuva_gateway.offline import index_arrivals
from kuva_gateway.spool.files import Files

_LOCK: Final = "lock"
_NEVER_CHANGE: Final = ("spool/", *(f"{folder}/" for folder in SHARED))
"""What may be a second name of the backup's own file: nobody ever writes to it."""

Progress = Callable[[str, int, int | None], None]


@dataclass(slots=True)
class Restored:
    """What came back."""

    description: Description
    files: int = 0
    arrivals: int = 0
    """Images that the backup's catalog did not have yet; they are indexed."""
    in_doubt: int = 0
    """Instances on their way to a destination that is asked first."""
    damaged: list[tuple[str, str]] = field(default_factory=list)
    configuration: Path | None = None
    """Where in the backup the configuration is."""


def restore(
    configuration: Configuration,
    folder: Path,
    *,
    progress: Progress = lambda what, done, total: None,
    files: Files | None = None,
) -> Restored:
    """Restore the backup in ``folder`` into the configured state directory, which must be empty, and index what is new.

    Raises
    ------
    NotFoundError, DamageError
        There is no backup, or its catalog or manifest is damaged.
    StateError
        The state directory, or the database, is not empty.
    RefusedError
        A newer program made the backup, or its catalog is of the other kind than the configuration's.
    NoSpaceError
        It would not fit.
    BusyError
        A daemon runs here.
    """
    place = BackupFolder(folder, files)
    description = place.description()
    state = configuration.state_directory
    if state.resolve().is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(state.resolve()):
        raise RefusedError("a backup cannot be restored into itself, or from inside the state directory")
    _refuse_unfit(configuration, folder, description)
    parts.make_state_directory(state)
    with StateLock(state / _LOCK):
        run = _Run(configuration, place, description, progress)
        restored = run.run()
    progress("indexing", 0, None)
    restored.arrivals = sum(1 for _ in parts.open_spool(configuration).arrivals())
    index_arrivals(configuration)
    return restored


def _refuse_unfit(configuration: Configuration, folder: Path, description: Description) -> None:
    """Find out what would go wrong hours later."""
    if is_newer(description.marks.schema):
        raise RefusedError(
            f"the backup's catalog is newer than this program ({description.marks.schema})", code="schema-newer"
        )
    dumped = description.catalog.endswith(".dump")
    if dumped != (configuration.catalog.url is not None):
        had, has = ("PostgreSQL", "SQLite") if dumped else ("SQLite", "PostgreSQL")
        raise RefusedError(f"the backup's catalog is {had}'s, and catalog.url says {has}")
    root = next(one for one in (configuration.state_directory, *configuration.state_directory.parents) if one.exists())
    needed = 0 if root.stat().st_dev == folder.stat().st_dev else description.bytes
    if shutil.disk_usage(root).free < needed:
        raise NoSpaceError(f"the backup has {description.bytes} bytes of images, and {root} has no room for them")


class _Run:
    """One restore, while the state directory's lock is held."""

    def __init__(
        self, configuration: Configuration, place: BackupFolder, description: Description, progress: Progress
    ) -> None:
        self._configuration = configuration
        self._state = configuration.state_directory
        self._folder = place.root
        self._files = place.files
        self._description = description
        self._progress = progress
        self._done = Restored(description=description)
        self._taker = Taker(self._state, lambda name, why: self._done.damaged.append((name, why)), place.files)

    def run(self) -> Restored:
        listed_at = self._folder / self._description.set / MANIFEST
        self._begin()
        catalog: Listed | None = None
        set_ = self._description.set
        for number, listed in enumerate(read_manifest(listed_at, self._description.manifest), 1):
            if listed.name == f"{set_}/{self._description.catalog}":
                catalog = listed
            elif listed.name.startswith(f"{set_}/{STATE}/"):
                self._bring(listed, listed.name.removeprefix(f"{set_}/{STATE}/"))
            elif listed.name.startswith(tuple(f"{folder}/" for folder in SHARED)):
                self._bring(listed, listed.name)
            else:
                self._done.configuration = self._done.configuration or self._folder / set_ / "configuration"
            self._progress("files", number, self._description.files)
        self._taker.settle()
        if catalog is None:
            raise DamageError("the backup's manifest does not name its catalog")
        self._bring_catalog(catalog)
        self._end()
        return self._done

    def _begin(self) -> None:
        """Nobody works here from now on until the end; one that was cut off goes on."""
        mark = self._state / parts.RESTORING
        what = f"{self._description.set} {self._description.manifest}\n"
        there = set(self._files.names(self._state)) - {_LOCK, f"{parts.RESTORING}.new"}
        if there:
            with contextlib.suppress(FileNotFoundError):
                if mark.read_text(encoding="utf-8") == what:
                    return
                raise StateError(f"another restore into {self._state} did not come to its end: empty it first")
            raise StateError(f"the state directory {self._state} is not empty: a restore needs an empty one")
        if self._configuration.catalog.url is not None and not is_empty(self._configuration.catalog.url):
            raise StateError("the catalog's database is not empty: a restore needs an empty one")
        new = mark.with_name(f"{parts.RESTORING}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(what)
            file.flush()
            self._files.fsync(file.fileno())
        new.rename(mark)
        self._files.fsync_directory(self._state)

    def _bring(self, listed: Listed, name: str) -> None:
        """One file to its place; what is there already, of a restore that was cut off, is compared too."""
        source, target = self._folder / listed.name, self._state / name
        try:
            if name.startswith(_NEVER_CHANGE):
                if not self._taker.take(source, name, listed.digest):
                    self._taker.note(name, listed.digest)
            else:
                target.unlink(missing_ok=True)
                if self._taker.copy(source, name) != listed.digest:
                    target.unlink()
                    raise DamageError("holds other bytes than it should")
        except FileNotFoundError:
            self._done.damaged.append((listed.name, "is gone from the backup"))
        except DamageError as error:
            self._done.damaged.append((listed.name, str(error)))
        else:
            self._done.files += 1

    # -- the catalog ---------------------------------------------------------------------------------------------------

    def _bring_catalog(self, listed: Listed) -> None:
        self._progress("catalog", 0, None)
        source = self._folder / listed.name
        if not source.exists() or digest_of(source) != listed.digest:
            raise DamageError("the backup's catalog is gone, or not as it was written")
        url, path = self._configuration.catalog.url, parts.catalog_path(self._configuration)
        if url is not None:
            if is_empty(url) or not self._is_loaded(url):
                load_dump(url, source)
        else:
            for suffix in ("", "-wal", "-shm", "-journal"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._taker.copy(source, path.name)
            with contextlib.closing(sqlite3.connect(path)) as connection:
                check_sqlite(connection)
        with contextlib.closing(Catalog.open(url, path, create=False)) as catalog:
            self._done.in_doubt = doubt_all(catalog)

    def _is_loaded(self, url: str) -> bool:
        """Whether the database holds this very backup: an earlier run was cut off after it had loaded it."""
        with contextlib.closing(Catalog.open(url, Path(), create=False)) as catalog, catalog.read() as session:
            found = read_marks(session)
        wanted = self._description.marks
        return (found.origin, found.receipt, found.history, found.studies) == (
            wanted.origin,
            wanted.receipt,
            wanted.history,
            wanted.studies,
        )

    def _end(self) -> None:
        self._files.sync_file_system(self._state)
        (self._state / parts.RESTORING).unlink()
        self._files.fsync_directory(self._state)
