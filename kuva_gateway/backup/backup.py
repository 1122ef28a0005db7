"""A backup of a gateway that runs.

Everything that was acknowledged and decided before it began is in it. The order makes it so: an image is always in
``arrived/``, or in the catalog and in ``instances/``; so ``arrived/`` is taken first, then the catalog's copy, then the
files that the copy wants. Most of these have been taken before the copy, so that little can be removed in between;
where retention has removed some, the catalog is copied again. Documents are kept before they are catalogued, so that
they are taken after it.

The gateway waits for none of this. The older backup in the same folder counts until the new one is complete.
"""

from __future__ import annotations

import bisect
import contextlib
import os
import stat
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from kuva_gateway import __version__, parts
from kuva_gateway.backup.folder import FORMAT, LOCK, MANIFEST, SHARED, BackupFolder, Description
from kuva_gateway.backup.manifest import ManifestWriter, digest_of, read_manifest
from kuva_gateway.backup.taking import Taker
from kuva_gateway.catalog.copying import Copy, Marks, copied, gone_since, read_marks
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.config import Configuration
from kuva_gateway.errors import DamageError, NotFoundError, RefusedError
from kuva_gateway.lock import StateLock
from kuva_gateway.spool.files import Files
from kuva_gateway.spool.receipt import DIGEST
from kuva_gateway.spool.spool import Spool

MOST_COPIES: Final = 5
"""How often the catalog is copied at most, where files that it wants are removed meanwhile."""
STATE: Final = "state"
CONFIGURATION: Final = "configuration"
_OWN: Final = frozenset({"lock", "control.sock", "spool", parts.RESTORING})

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, how much of it is done, and of how much."""


@dataclass(slots=True)
class Backup:
    """What a backup has taken."""

    folder: Path
    taken_at: datetime
    images: int = 0
    bytes: int = 0
    studies: int = 0
    files: int = 0
    linked: int = 0
    copied: int = 0
    removed: int = 0
    """Files of an older backup that the gateway does not keep any more."""
    damaged: list[tuple[str, str]] = field(default_factory=list)
    """Name and trouble of what could not be taken as it should be."""


def back_up(
    configuration: Configuration,
    config_path: Path,
    folder: Path,
    *,
    now: datetime,
    progress: Progress = lambda what, done, total: None,
    files: Files | None = None,
) -> Backup:
    """Back the gateway up into ``folder``; a backup of the same gateway there is continued.

    Raises
    ------
    RefusedError
        ``folder`` holds something else, a newer backup or another gateway's, or lies inside the state directory.
    BusyError
        Another backup into it is running.
    NotFoundError
        There is no catalog to back up.
    CatalogUnavailableError, DamageError, OSError
        The backup did not come to its end; an older one there still counts.
    """
    state = configuration.state_directory.resolve()
    if folder.resolve().is_relative_to(state) or state.is_relative_to(folder.resolve()):
        raise RefusedError("a backup cannot lie in the state directory, or around it")
    place = BackupFolder(folder, files)
    with contextlib.closing(parts.open_catalog(configuration, create=False)) as catalog:
        place.make()
        with StateLock(folder / LOCK, "the backup"):
            run = _Run(configuration, config_path, place, catalog, now, progress)
            return run.run()


class _Run:
    """One backup, from beginning to end."""

    def __init__(
        self,
        configuration: Configuration,
        config_path: Path,
        place: BackupFolder,
        catalog: Catalog,
        now: datetime,
        progress: Progress,
    ) -> None:
        self._configuration = configuration
        self._config_path = config_path
        self._state = configuration.state_directory
        self._place = place
        self._catalog = catalog
        self._progress = progress
        self._spool: Spool = parts.open_spool(configuration)
        self._done = Backup(folder=place.root, taken_at=now)
        self._taker = Taker(place.root, lambda name, why: self._done.damaged.append((name, why)), place.files)
        self._before = self._description()

    def run(self) -> Backup:
        with self._catalog.read() as session:
            self._refuse_other(read_marks(session))
        self._place.remove_sets(but=None if self._before is None else self._before.set)
        name = self._place.begin_set(self._done.taken_at)
        manifest = ManifestWriter(self._place.root / name / MANIFEST)
        try:
            self._take_arrivals(name, manifest)
            self._take_instances_ahead()
            catalog, marks, kept = self._take_catalog(name, manifest)
            self._take_documents(manifest)
            self._take_state(name, manifest)
            self._take_configuration(name, manifest)
            self._taker.settle()
            digest = manifest.finish()
        finally:
            manifest.close()
        self._finish(name, catalog, marks, digest, manifest.lines)
        self._progress("tidying", 0, None)
        self._place.remove_sets(but=name)
        self._done.removed = self._prune(kept)
        return self._done

    def _finish(self, name: str, catalog: str, marks: Marks, digest: str, lines: int) -> None:
        done = self._done
        done.studies, done.files = marks.studies, lines
        done.linked, done.copied = self._taker.linked, self._taker.copied
        self._place.finish(
            Description(
                format=FORMAT,
                program=__version__,
                taken_at=done.taken_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                set=name,
                catalog=catalog,
                manifest=digest,
                marks=marks,
                images=done.images,
                bytes=done.bytes,
                files=lines,
            )
        )

    # -- whose backup, and how new -------------------------------------------------------------------------------------

    def _description(self) -> Description | None:
        try:
            return self._place.description()
        except NotFoundError:
            return None

    def _refuse_other(self, marks: Marks) -> None:
        """A backup is continued by the gateway that it is of, and only forward."""
        before = self._before
        if before is None:
            return
        if before.marks.origin not in (0, marks.origin):
            raise RefusedError(
                f"the backup in {self._place.root} is of another catalog (another gateway's, or this one's before it "
                "was made anew): give another folder"
            )
        if marks.receipt < before.marks.receipt or marks.history < before.marks.history:
            raise RefusedError(
                f"the backup in {self._place.root}, of {before.taken_at}, is newer than this catalog: "
                "give another folder"
            )

    # -- what is taken -------------------------------------------------------------------------------------------------

    def _take_arrivals(self, name: str, manifest: ManifestWriter) -> None:
        for arrival in self._spool.arrivals():
            there = f"{name}/{STATE}/spool/arrived/{arrival.path.name}"
            try:
                self._taker.take(arrival.path, there, arrival.digest)
            except FileNotFoundError:
                continue  # indexed meanwhile: the catalog's copy will have it
            manifest.add(arrival.digest, there)

    def _take_instances_ahead(self) -> None:
        """So that the catalog's copy, which comes after this, finds nearly all of its files here."""
        for number, digest in enumerate(self._spool.instances(), 1):
            with contextlib.suppress(FileNotFoundError):
                self._take_instance(digest)
            self._progress("images", number, None)

    def _take_instance(self, digest: str, size: int | None = None) -> None:
        """Take a file that is not here yet, or is here with another ``size``."""
        there = f"{SHARED[0]}/{digest[:2]}/{digest}"
        path = self._place.root / there
        with contextlib.suppress(FileNotFoundError):
            if size in (None, path.stat().st_size):
                return
            path.unlink()
        self._taker.take(self._spool.instance_path(digest), there, digest)

    def _take_catalog(self, name: str, manifest: ManifestWriter) -> tuple[str, Marks, array[int]]:
        """The catalog's copy and every file that it wants; returns its name, its marks and what is wanted."""
        file = "catalog.dump" if self._catalog.postgresql else "catalog.sqlite"
        path = self._place.root / name / file
        for left in reversed(range(MOST_COPIES)):
            with copied(self._catalog, path, lambda done, total: self._progress("catalog", done, total)) as copy:
                self._refuse_other(copy.marks)
                missing, kept = self._take_wanted(copy)
            self._taker.settle()
            if not (left and missing and gone_since(self._catalog, [number for number, _ in missing])):
                break
            path.unlink()
        self._done.damaged += [(digest, "is gone from the spool") for _, digest in missing]
        lost = {name.rpartition("/")[2] for name, _ in self._done.damaged}
        self._list_wanted(kept, lost, manifest)
        manifest.add(self._digest(f"{name}/{file}"), f"{name}/{file}")
        return file, copy.marks, kept

    def _take_wanted(self, copy: Copy) -> tuple[list[tuple[int, str]], array[int]]:
        """Take what the copy wants; returns what is not there (id and digest), and a mark of each that is wanted."""
        missing, kept = [], array("Q")
        self._done.images = self._done.bytes = 0
        for one in copy.stored():
            kept.append(_mark(one.digest))
            self._done.images += 1
            self._done.bytes += one.size
            try:
                self._take_instance(one.digest, one.size)
            except FileNotFoundError:
                missing.append((one.instance_id, one.digest))
            self._progress("images", self._done.images, None)
        return missing, array("Q", sorted(kept))

    def _list_wanted(self, kept: array[int], lost: set[str], manifest: ManifestWriter) -> None:
        """Every image that is wanted and here, in the order of its name."""
        for name in _names(self._place.root / SHARED[0]):
            digest = name.rpartition("/")[2]
            if _has(kept, digest) and digest not in lost:
                manifest.add(digest, f"{SHARED[0]}/{name}")

    def _take_documents(self, manifest: ManifestWriter) -> None:
        """Documents and authorizations: files of their own that no transaction changes."""
        for folder in SHARED[1:]:
            for name in _names(self._state / folder):
                digest, there = Path(name).stem, f"{folder}/{name}"
                if DIGEST.fullmatch(digest) is None:
                    continue
                if not (self._place.root / there).exists():
                    self._taker.take(self._state / there, there, digest)
                manifest.add(digest, there)

    def _take_state(self, name: str, manifest: ManifestWriter) -> None:
        """What else is in the state directory, file by file as it is now: some of it is being written to.

        What is as it was at the last backup gets a second name of the file there.
        """
        before = self._digests_before()
        for path in self._state_files():
            there = f"{name}/{STATE}/{path.relative_to(self._state)}"
            with contextlib.suppress(FileNotFoundError):
                manifest.add(self._take_again(path, there, before) or self._taker.copy(path, there), there)

    def _take_again(self, path: Path, there: str, before: Mapping[str, str]) -> str | None:
        """Take the last backup's copy of a file that was not written to since, if that is whole; returns its digest."""
        if self._before is None:
            return None
        name = f"{self._before.set}/{there.partition('/')[2]}"
        earlier = self._place.root / name
        try:
            was, now = earlier.stat(), path.stat()
        except FileNotFoundError:
            return None
        if (was.st_size, was.st_mtime_ns) != (now.st_size, now.st_mtime_ns) or digest_of(earlier) != before.get(name):
            return None
        self._taker.take(earlier, there, before[name])
        return before[name]

    def _digests_before(self) -> dict[str, str]:
        """What the last backup's manifest says of files that change; nothing where it cannot be read."""
        if self._before is None:
            return {}
        below = f"{self._before.set}/{STATE}/"
        with contextlib.suppress(DamageError):
            listed = read_manifest(self._place.root / self._before.set / MANIFEST, self._before.manifest)
            return {one.name: one.digest for one in listed if one.name.startswith(below)}
        return {}

    def _state_files(self) -> Iterator[Path]:
        shared = {self._state / one for one in SHARED[1:]}
        catalog = parts.CATALOG_FILE
        for top in sorted(self._state.iterdir()):
            if top.name not in _OWN and not top.name.startswith(catalog):
                yield from (path for path in _files(top) if shared.isdisjoint(path.parents))
        yield from _files(self._spool.corrupt)

    def _take_configuration(self, name: str, manifest: ManifestWriter) -> None:
        """The configuration file and the tables that it names; certificates and keys are kept elsewhere."""
        configuration = self._configuration
        named = [one.code_mapping for one in configuration.peers if one.code_mapping is not None]
        named += [one for one in (configuration.archive.content_classes,) if one is not None]
        for path in dict.fromkeys((self._config_path.resolve(), *(configuration.path(one).resolve() for one in named))):
            if not path.is_relative_to(self._state.resolve()):
                there = f"{name}/{CONFIGURATION}{path}"
                manifest.add(self._taker.copy(path, there), there)

    def _digest(self, name: str) -> str:
        digest = digest_of(self._place.root / name)
        self._taker.note(name, digest)
        return digest

    # -- afterwards ----------------------------------------------------------------------------------------------------

    def _prune(self, kept: array[int]) -> int:
        """Remove images that the catalog does not keep any more, and what a crash left half-copied."""
        removed = 0
        root = self._place.root / SHARED[0]
        for name in _names(root):
            digest = name.rpartition("/")[2]
            if not _has(kept, digest):
                (root / name).unlink(missing_ok=True)
                removed += DIGEST.fullmatch(digest) is not None
        return removed


def _mark(digest: str) -> int:
    """Eight bytes of a digest: enough to tell millions apart, at an eighth of the memory."""
    return int(digest[:16], 16)


def _has(kept: array[int], digest: str) -> bool:
    if DIGEST.fullmatch(digest) is None:
        return False
    mark = _mark(digest)
    place = bisect.bisect_left(kept, mark)
    return place < len(kept) and kept[place] == mark


def _names(root: Path) -> Iterator[str]:
    """``ab/NAME`` of every file one folder down, sorted."""
    if not root.is_dir():
        return
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        for name in sorted(os.listdir(folder)):
            yield f"{folder.name}/{name}"


def _files(path: Path) -> Iterator[Path]:
    """The plain files at and below ``path``; links, sockets and what vanishes meanwhile are left alone."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            yield path
        elif stat.S_ISDIR(mode):
            for one in sorted(path.iterdir()):
                yield from _files(one)
    except FileNotFoundError:
        return
