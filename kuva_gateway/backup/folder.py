"""The folder that holds a backup: what is in it, which of it counts, and who may write it.

``backup.json``       what the backup is of and when; it names the set that counts, and is replaced as a whole
``<set>/``            ``manifest``, the catalog's copy, and files that change: audit trail, drop folders, configuration
``spool/instances``, ``documents/accepted``, ``authorizations/accepted``   files that never change, shared by all sets
``lock``              held by whoever writes here

Promises that at every moment, and after a crash at any, the backup is the last one that came to its end: a set counts
when ``backup.json`` names it, and nothing that it needs is changed or removed before another one counts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kuva_gateway.catalog.copying import Marks
from kuva_gateway.errors import DamageError, NotFoundError, RefusedError
from kuva_gateway.spool.files import Files

FORMAT: Final = 1
DESCRIPTION: Final = "backup.json"
LOCK: Final = "lock"
MANIFEST: Final = "manifest"
SHARED: Final = ("spool/instances", "documents/accepted", "authorizations/accepted")
"""Folders of files named by their SHA-256, in the state directory and here alike."""

_SET = re.compile(r"\d{8}T\d{6}Z(-\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a finished backup is."""

    format: int
    program: str
    taken_at: str
    """ISO 8601, UTC; what was acknowledged and decided before is in it."""
    set: str
    catalog: str
    """Name of the catalog's copy in the set."""
    manifest: str
    """SHA-256 of the manifest."""
    marks: Marks
    images: int
    bytes: int
    files: int
    """All files in the manifest."""


class BackupFolder:
    """One folder with a backup, or for one."""

    def __init__(self, root: Path, files: Files | None = None) -> None:
        self.root = root
        self.files = files if files is not None else Files()

    def make(self) -> None:
        """Make the folder if it is missing, for our own user only.

        Raises
        ------
        RefusedError
            It holds something else than a backup.
        """
        self.files.make_directory(self.root)
        strangers = [name for name in self.files.names(self.root) if not _is_ours(name)]
        if strangers:
            raise RefusedError(f"{self.root} holds other things than a backup: give a folder of its own")

    def description(self) -> Description:
        """What the backup here is.

        Raises
        ------
        NotFoundError
            There is none that came to its end.
        DamageError
            What says so cannot be read.
        RefusedError
            A newer program made it.
        """
        try:
            text = (self.root / DESCRIPTION).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise NotFoundError(f"there is no finished backup in {self.root}") from None
        try:
            value = json.loads(text)
            form = int(value["format"])
            if form <= FORMAT:
                return _description(value)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DamageError(f"{DESCRIPTION} in {self.root} cannot be read") from None
        raise RefusedError(f"the backup in {self.root} was made by a newer program (form {form})", code="backup-newer")

    def begin_set(self, now: datetime) -> str:
        """Make the folder of a new set, named by the time; returns its name."""
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        number = 0
        while True:
            name = f"{stamp}-{number}" if number else stamp
            try:
                (self.root / name).mkdir(mode=0o700)
            except FileExistsError:
                number += 1
                continue
            return name

    def finish(self, description: Description) -> None:
        """Make everything durable, then let this be the backup."""
        self.files.sync_file_system(self.root)
        new = self.root / f"{DESCRIPTION}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(description), file, indent=1)
            file.flush()
            self.files.fsync(file.fileno())
        new.replace(self.root / DESCRIPTION)
        self.files.fsync_directory(self.root)

    def remove_sets(self, *, but: str | None) -> None:
        """Remove every set but this one: older ones, and those that never came to their end."""
        for name in list(self.files.names(self.root)):
            if _SET.fullmatch(name) and name != but:
                shutil.rmtree(self.root / name)


def _is_ours(name: str) -> bool:
    return (
        name in {DESCRIPTION, f"{DESCRIPTION}.new", LOCK, "lost+found", *(path.split("/")[0] for path in SHARED)}
        or _SET.fullmatch(name) is not None
    )


def _description(value: Mapping[str, Any]) -> Description:
    """The description without what only a later version of the same form adds."""
    known = {field.name: value[field.name] for field in fields(Description)}
    marks = {field.name: known["marks"][field.name] for field in fields(Marks)}
    if not _SET.fullmatch(known["set"]) or "/" in known["catalog"]:
        raise ValueError("names that lead elsewhere")
    return Description(**{**known, "marks": Marks(**marks)})
