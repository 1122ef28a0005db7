"""A state directory with studies in every kind of state, on each database, and what is to be the same after a loss."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuva_gateway import parts
from kuva_gateway.backup.backup import Backup, back_up
from kuva_gateway.backup.restore import Restored, restore
from kuva_gateway.catalog import documents, studies
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.config import Configuration, load
from kuva_gateway.spool import Spool
from tests.unit.catalog.making import ARCHIVE, Clock, Hospital


@dataclass
class Place:
    """One gateway: its configuration, its hospital."""

    config: Path
    configuration: Configuration
    hospital: Hospital
    backup: Path

    @property
    def state(self) -> Path:
        return self.configuration.state_directory

    def back_up(self, **keywords: Any) -> Backup:
        self.hospital.clock.forward(minutes=1)
        return back_up(self.configuration, self.config, self.backup, now=self.hospital.clock(), **keywords)


NewPlace = Callable[..., Place]


def configure(folder: Path, url: str | None, name: str = "var") -> tuple[Path, Configuration]:
    folder.mkdir(exist_ok=True)
    config = folder / f"{name}.yaml"
    value = {
        "environment": "test",
        "state_directory": f"./{name}",
        "catalog": {"url": url},
        "spool": {"minimum_free": "1MiB"},
        "peers": [{"name": "ct1", "ae_title": "CT1", "allow": ["store"]}],
    }
    config.write_text(yaml.safe_dump(value), encoding="utf-8")
    return config, load(config)


@pytest.fixture
def catalog_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """SQLite, where a test does not ask for both."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield None
        return
    with request.getfixturevalue("postgresql").database() as url:
        yield url


@pytest.fixture
def place(tmp_path: Path, catalog_url: str | None) -> Iterator[Place]:
    """A gateway with an accepted, a held, a rejected, a released and a delivered study, and a document."""
    config, configuration = configure(tmp_path, catalog_url)
    parts.make_state_directory(configuration.state_directory)
    clock = Clock()
    spool = Spool(configuration.state_directory / "spool", minimum_free=0, clock_ns=clock.ns)
    with contextlib.closing(parts.open_catalog(configuration, create=True, now=clock)) as catalog:
        hospital = Hospital(catalog, spool, clock)
        hospital.accept("1.2.9", destinations=(ARCHIVE,))
        hospital.deliver()
        hospital.accept("1.2.1")
        hospital.hold("1.2.2")
        hospital.hold("1.2.3")
        studies.reject(catalog, "1.2.3", by="anna", reason="a phantom")
        hospital.hold("1.2.4")
        studies.release(catalog, "1.2.4", by="anna", reason="seen on paper", destinations=(ARCHIVE,))
        studies.amend(catalog, "1.2.2", {"AccessionNumber": "B7"}, by="anna", reason="typed wrongly")
        yield Place(config, configuration, hospital, tmp_path / "backup")


def told(catalog: Catalog) -> list[dict[str, Any]]:
    """All that is shown of every study and its documents, and its whole story."""
    uids = sorted(study["study_instance_uid"] for study in studies.listing(catalog))
    shown = [{"study": studies.show(catalog, uid), "story": studies.trace(catalog, uid)} for uid in uids]
    value: list[dict[str, Any]] = json.loads(json.dumps([*shown, {"documents": documents.listing(catalog)}]))
    return value


def images(state: Path) -> dict[str, bytes]:
    """Every stored image with its bytes."""
    return {path.name: path.read_bytes() for path in (state / "spool" / "instances").rglob("*") if path.is_file()}


@dataclass
class Again:
    """What was made of a backup."""

    restored: Restored
    configuration: Configuration
    catalog: Catalog


@pytest.fixture
def bring_back(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Again]]:
    """Restore a backup into another state directory, and into another database."""
    with contextlib.ExitStack() as stack:

        def again(place: Place, **keywords: Any) -> Again:
            url = place.configuration.catalog.url
            if url is not None:
                server = request.getfixturevalue("postgresql")
                server.execute("DROP DATABASE IF EXISTS kuva_restored")
                server.execute("CREATE DATABASE kuva_restored")
                url = server.url("kuva_restored")
            _, configuration = configure(tmp_path, url, "again")
            restored = restore(configuration, place.backup, **keywords)
            catalog = parts.open_catalog(configuration, create=False, now=place.hospital.clock)
            stack.callback(catalog.close)
            return Again(restored, configuration, catalog)

        yield again
