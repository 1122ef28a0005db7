"""Where the files that ship with the gateway are: in a checkout beside the package, once installed under ``share``.

Keeps nothing and reads no content.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import kuva_gateway
from kuva_gateway.errors import NotFoundError

INSTALLED: Final = Path("share", "kuva-gateway", "conf")
"""Where ``[options.data_files]`` of setup.cfg puts the files of ``conf/``, below the installation's prefix."""
STARTER_CODES: Final = "procedure-codes.csv"
PROVIDERS: Final = "providers.csv"
CONTENT_CLASSES: Final = "content-classes.yaml"


def shipped_file(name: str, *, package: Path | None = None, prefixes: tuple[Path, ...] | None = None) -> Path:
    """The path of a shipped file.

    Parameters
    ----------
    package
        Folder of the package, by default this one's own.
    prefixes
        Installation prefixes to look in, by default those of this interpreter.

    Raises
    ------
    NotFoundError
        When it is in neither place.
    """
    beside = package or Path(kuva_gateway.__file__).resolve().parent
    for path in _candidates(name, beside, _prefixes() if prefixes is None else prefixes):
        if path.is_file():
            return path
    raise NotFoundError(f"the file {name}, which ships with the gateway, was not installed with it")


def _candidates(name: str, package: Path, prefixes: tuple[Path, ...]) -> Iterator[Path]:
    checkout = package.parent
    # site-packages may have a folder "conf" of somebody else's.
    if (checkout / "setup.cfg").is_file():
        yield checkout / "conf" / name
    for prefix in prefixes:
        yield prefix / INSTALLED / name


def _prefixes() -> tuple[Path, ...]:
    return tuple(dict.fromkeys((Path(sys.prefix), Path(sysconfig.get_path("data")))))
