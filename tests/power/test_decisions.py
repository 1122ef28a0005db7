"""A power cut right after a command said that it is done: the decision is there, in the catalog and in the journal."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.power.disk import LAZY, CannotCutError, Disk, Shelf, missing
from tests.studies import document, load_script, make_study
from tests.support import skip_or_fail

gateway_process = load_script("gateway_process")
plain_modality = load_script("plain_modality")

FILE_SYSTEM = "ext4"
WHO = ("--by", "night shift", "--reason", "seen on the phone")
STUDIES = 4

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(slots=True)
class Decided:
    """What commands said was done, and the disk right after each."""

    states: dict[str, str] = field(default_factory=dict)
    documents: list[str] = field(default_factory=list)
    cuts: list[tuple[Disk, dict[str, str], list[str]]] = field(default_factory=list)

    def cut(self, disk: Disk) -> None:
        number = len(self.cuts)
        copy = disk.cut(disk.image.with_suffix(f".{number}"))
        self.cuts.append((copy, dict(self.states), list(self.documents)))


@contextlib.contextmanager
def shelf() -> Iterator[Shelf]:
    if reason := missing(FILE_SYSTEM):
        skip_or_fail(reason)
    try:
        with Shelf() as made:
            yield made
    except CannotCutError as error:
        skip_or_fail(f"power cuts on {FILE_SYSTEM}: {error}")


def send(gateway: Any) -> list[str]:
    """Studies that are held for want of an examination entry."""
    images = plain_modality.Images(7)
    uids = []
    for study in range(1, STUDIES + 1):
        with plain_modality.PlainModality(gateway.port, calling="CT1") as modality:
            image = images.make(study, 1, 1024)
            assert modality.store(image.uid, image.data).status == plain_modality.SUCCESS
            uids.append(image.study_uid)
    gateway_process.wait(lambda: set(states(gateway).values()) == {"held"} and len(states(gateway)) == STUDIES, "held")
    return uids


def states(gateway: Any) -> dict[str, str]:
    with gateway.catalog() as catalog:
        return dict(catalog.execute("SELECT uid, state FROM studies").fetchall())


def done(gateway: Any, *arguments: str) -> None:
    said = gateway.command(*arguments)
    assert said.returncode == 0, said.stderr


def decide(gateway: Any, disk: Disk, uids: list[str], folder: Path) -> Decided:
    decided = Decided()
    for uid, command, state in zip(uids, ("release", "reject") * 2, ("accepted", "rejected") * 2, strict=True):
        done(gateway, "studies", command, uid, *WHO)
        decided.states[uid] = state
        decided.cut(disk)
    study = make_study(kind="ct", accession="A99")
    paper = folder / "entry.xml"
    paper.write_bytes(document(study, "examination_entry"))
    done(gateway, "documents", "import", str(paper))
    decided.documents.append(paper.name)
    decided.cut(disk)
    return decided


def listed(gateway: Any, *arguments: str) -> Any:
    said = gateway.command(*arguments, "--json")
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def compare(gateway: Any, wanted: dict[str, str], papers: list[str], where: str) -> None:
    found = states(gateway)
    assert {uid: found.get(uid) for uid in wanted} == wanted, where
    assert len(listed(gateway, "documents", "list")) == len(papers), where
    for uid in wanted:
        trace = listed(gateway, "studies", "trace", uid)
        assert any(event["by"] == "night shift" for event in trace), (where, trace)


def test_what_a_person_decided_is_there_after_a_cut_and_again_after_the_catalog_is_lost_too(tmp_path: Path) -> None:
    with shelf() as made:
        gateway = gateway_process.Gateway(
            made.folder / "gateway",
            archive_port=None,
            rules={"DOC-01": "off", "DOC-02": "hold"},
            destinations=[],
        )
        gateway.state.mkdir(exist_ok=True)
        disk = made.disk("disk", FILE_SYSTEM)
        with disk.mounted(gateway.state, LAZY[FILE_SYSTEM]), gateway:
            gateway.start()
            uids = send(gateway)
            decided = decide(gateway, disk, uids, tmp_path)
        disk.remove()
        for number, (copy, wanted, papers) in enumerate(decided.cuts, 1):
            with copy.mounted(gateway.state):
                compare(gateway, wanted, papers, f"cut {number}")
                if number >= len(decided.cuts) - 1:
                    for left in gateway.state.glob("catalog.sqlite*"):
                        left.unlink()
                    done(gateway, "catalog", "rebuild")
                    compare(gateway, wanted, papers, f"cut {number}, rebuilt")
            copy.remove()
