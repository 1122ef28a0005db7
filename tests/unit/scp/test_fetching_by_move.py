"""An archive without C-GET: it is asked by C-MOVE and sends to the gateway's second AE title, while it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from kuva_gateway.network import ProposedContext, RequestorAssociation, Target, connect
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import C_FIND_RQ, C_MOVE_RQ, Command
from kuva_gateway.network.errors import AssociationRejected
from kuva_gateway.network.records import Response
from kuva_gateway.spool import Spool
from kuva_gateway.spool.awaited import Awaited, Wanted
from kuva_gateway.spool.fetched import FetchedFiles, NotAskedError
from tests.unit.catalog.making import data_set, encode
from tests.unit.scp.conftest import CT, EXPLICIT, TIMERS
from tests.unit.scp.querying import Querying, querying
from tests.unit.scp.test_retrieval import PENDING, STUDY_GET, SUCCESS, Asker
from tests.unit.scp.upstream_archive import match, scripted_archive

IMAGES = 3
OURS = "KUVAFETCH"
SOME_FAILED, ALL_FAILED, NOT_AUTHORISED, MISMATCH = 0xB000, 0xA702, 0x0124, 0xA900
UIDS = [f"1.2.9.1.{number}" for number in range(1, IMAGES + 1)]
WANTED = [Wanted(study="1.2.9", series="1.2.9.1", sop_instance=uid, sop_class=CT) for uid in UIDS]


@dataclass
class House:
    """A gateway, and an archive that has study 1.2.9; ``sends`` is what it does with each image."""

    gateway: Querying
    folder: Path
    moves: list[tuple[str, list[str]]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    final: int = 0
    late: bool = False
    sends: Callable[[House, RequestorAssociation, str], object] = lambda house, to, uid: house.store(to, uid)

    def answer(self, association: Association, command: Command, asked: Dataset) -> Iterable[Response]:
        if command.field == C_FIND_RQ:
            if asked.QueryRetrieveLevel == "SERIES":
                yield match(StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1")
            elif asked.StudyInstanceUID == "1.2.9":
                yield match(SOPInstanceUID="1.2.9.7.7", SOPClassUID=CT, StudyInstanceUID="1.2.7")
                for uid in UIDS:
                    yield match(SOPInstanceUID=uid, SOPClassUID=CT)
            yield Response(status=SUCCESS)
            return
        assert command.field == C_MOVE_RQ
        uids = list(asked.SOPInstanceUID) if not isinstance(asked.SOPInstanceUID, str) else [asked.SOPInstanceUID]
        self.moves.append((command.move_destination, uids))
        if self.late:
            yield Response(status=SUCCESS, after=lambda _: self.send_all(uids))
            return
        with self.associate() as to:
            for uid in uids:
                self.sends(self, to, uid)
                yield Response(status=PENDING, remaining=1, completed=1, failed=0, warning=0)
        yield Response(status=self.final)

    def send_all(self, uids: list[str]) -> None:
        with self.associate() as to:
            for uid in uids:
                self.store(to, uid)

    def associate(self, *, calling: str = "ARCHIVE", called: str = OURS) -> RequestorAssociation:
        target = Target(host="127.0.0.1", port=self.gateway.port, called_ae=called, calling_ae=calling)
        return connect(
            target, [ProposedContext(id=1, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,))], timers=TIMERS
        )

    def store(self, to: RequestorAssociation, uid: str, **changes: Any) -> int:
        data = encode(data_set("1.2.9", 1, int(uid.rsplit(".", 1)[1]), **changes))
        answer = to.store(to.contexts[1], sop_class=CT, sop_instance=uid, data=[data])
        self.statuses.append(answer.status)
        return answer.status

    def get(self) -> tuple[Any, Asker]:
        with Asker(self.gateway, STUDY_GET) as asker:
            asker.get(StudyInstanceUID="1.2.9")
            return asker.answers()[-1], asker

    def files(self, name: str) -> list[Path]:
        return [one for one in (self.folder / "spool" / name).iterdir() if one.is_file()]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with (
        scripted_archive() as (archive, port),
        querying(
            tmp_path, allow=("get",), archive={"port": port}, upstream_timeout=5, fetch_ae_title=OURS
        ) as gateway,
    ):  # fmt: skip
        house = House(gateway, tmp_path)
        archive.answer = house.answer
        yield house


def test_what_the_archive_sends_when_asked_goes_on_and_is_kept_and_is_never_received(house: House) -> None:
    for _ in range(2):
        final, asker = house.get()
        assert (final.status, final.counts) == (SUCCESS, (None, IMAGES, 0, 0))
        assert sorted(asker.received) == UIDS
    assert house.moves == [(OURS, UIDS)]
    assert len(house.files("fetched")) == IMAGES
    assert not house.files("arrived")
    assert not list((house.folder / "spool" / "fetched" / ".awaited").iterdir())
    with house.gateway.hospital.catalog.read() as session:
        assert session.value("SELECT COUNT(*) FROM instances") == 0
    (line,) = [one for one in house.gateway.log.of("association") if one["calling_ae"] == "ARCHIVE"]
    assert (line["stored"], line["fetched"]) == (0, IMAGES)


def test_nobody_comes_in_under_the_second_title_while_nothing_is_fetched_nor_anybody_else_at_any_time(
    house: House,
) -> None:
    for calling in ("ARCHIVE", "PACS"):
        with pytest.raises(AssociationRejected):
            house.associate(calling=calling)
    seen: list[str] = []

    def others(house: House, to: RequestorAssociation, uid: str) -> None:
        with pytest.raises(AssociationRejected) as caught:
            house.associate(calling="PACS")
        seen.append(str(caught.value))
        with pytest.raises(AssociationRejected):
            house.associate(calling="NOBODY")
        house.store(to, uid)

    house.sends = others
    assert house.get()[0].counts == (None, IMAGES, 0, 0)
    assert len(seen) == IMAGES


def test_an_image_that_nobody_asked_for_is_refused_and_so_is_one_of_another_study(house: House) -> None:
    def wrong(house: House, to: RequestorAssociation, uid: str) -> None:
        if uid == UIDS[0]:
            house.store(to, "1.2.9.1.77")
            house.store(to, uid, StudyInstanceUID="1.2.8")
        elif uid == UIDS[1]:
            house.store(to, uid, SOPInstanceUID="1.2.9.1.78")
        else:
            house.store(to, uid)

    house.sends, house.final = wrong, SOME_FAILED
    final, asker = house.get()
    assert house.statuses == [NOT_AUTHORISED, MISMATCH, MISMATCH, SUCCESS]
    assert (final.status, final.counts, final.failed_uids) == (SOME_FAILED, (None, 1, 2, 0), UIDS[:2])
    assert asker.received == UIDS[2:]
    assert len(house.files("fetched")) == 1
    assert not house.files("arrived")


def test_an_archive_that_dies_midway_leaves_the_right_counts_and_no_half_file(house: House) -> None:
    def dies(house: House, to: RequestorAssociation, uid: str) -> None:
        if uid == UIDS[1]:
            to.abort("the archive has died")
            raise RuntimeError
        house.store(to, uid)

    house.sends = dies
    final, _ = house.get()
    assert (final.status, final.counts, final.failed_uids) == (SOME_FAILED, (None, 1, 2, 0), UIDS[1:])
    assert "archive" in final.command.error_comment
    assert len(house.files("fetched")) == 1


def test_an_archive_that_says_its_last_word_first_is_waited_for(house: House) -> None:
    house.late = True
    final, asker = house.get()
    assert final.counts == (None, IMAGES, 0, 0)
    assert sorted(asker.received) == UIDS


def test_what_a_dead_process_awaited_is_awaited_no_more(tmp_path: Path) -> None:
    spool = Spool(tmp_path, minimum_free=0)
    awaited, other = Awaited(spool), Awaited(spool)
    assert not awaited.any()
    odd = Wanted(study="1.2 1.3", series="1.2.9.1", sop_instance="1.2.9.1.9\n1.2.9.1.8")
    with awaited.announce([*WANTED, odd]):
        assert other.any()
        assert other.find(UIDS[2]) == WANTED[2]
        assert [other.find(uid) for uid in ("1.2.9.1", "1.2.9.1.8", "1.2.9", "", "x y")] == [None] * 5
        (path,) = (spool.fetched / ".awaited").iterdir()
        left = path.with_name("1-1-1")
        left.write_bytes(path.read_bytes().replace(b"1.2.9.1.", b"1.2.9.2."))
        assert other.find("1.2.9.2.1") is None
        FetchedFiles(spool, keep_for=60).sweep(starting=True)
        assert not left.exists()
        assert other.any()
    assert not other.any()
    assert other.find(UIDS[2]) is None


def test_a_copy_of_another_instance_or_of_nothing_readable_gets_no_name(tmp_path: Path) -> None:
    spool = Spool(tmp_path, minimum_free=0)
    files = FetchedFiles(spool, keep_for=60)
    for data, error in (
        (encode(data_set("1.2.9", 1, 2)), NotAskedError),
        (encode(data_set("1.2.8", 1, 1)), NotAskedError),
        (b"\x08\x00\x05\x00CS\xff\xffgarbage", Exception),
    ):
        copying = files.begin(WANTED[0], CT, EXPLICIT)
        copying.write(memoryview(data))
        with pytest.raises(error):
            copying.keep()
        copying.drop()
    assert not list(spool.fetched.iterdir())
