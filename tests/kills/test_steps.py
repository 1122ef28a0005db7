"""``kill -9`` at each step of an attempt, of storage commitment and of a removal: nothing lost, nothing sent twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.gateway import Json
from tests.kills.mortal import Mortal
from tests.kills.step_archive import StepArchive
from tests.postgresql import PostgresqlServer
from tests.studies import make_study
from tests.support import wait_until

pytestmark = pytest.mark.slow

INSTANCES = 3


class House:
    """One gateway and one archive for all tests of the module; each test sends a study of its own."""

    def __init__(
        self, folder: Path, *, keep_for: str = "365d", commitment: bool = True, catalog: str | None = None
    ) -> None:
        self._count = 0
        self.held = ""
        self.folder = folder
        self.gateway: Mortal
        self.archive = StepArchive(self._kill)
        self.gateway = Mortal(
            folder / "gateway",
            archive_port=self.archive.port,
            settle_after="100ms",
            rules={"DOC-01": "off", "DOC-02": "off"},
            retention={"keep_for": keep_for, "low_water": "0%"},
            catalog={"url": catalog},
            destination={"workers": 1, "commitment_overdue": "2s", "storage_commitment": commitment},
        )
        self.archive.gateway_port = self.gateway.port

    def _kill(self) -> None:
        self.gateway.kill()

    def send(self, **changes: Any) -> Any:
        """A study of :data:`INSTANCES` images, large enough to be in the middle of one."""
        self._count += 1
        study = make_study(kind="ct", accession=f"S-{self._count}", instances=INSTANCES, pixel_bytes=400_000, **changes)
        self.gateway.storescu(study.write(self.folder / f"sent-{self._count}"))
        return study

    def check(self, study: Any) -> list[Json]:
        """It is archived, every image was received once, and the ledger says so; returns its story."""
        shown = self.gateway.wait_state(study.uid, "archived", timeout=30)
        received = {uid: len(self.archive.received[uid]) for uid in study.sop_instance_uids}
        assert received == dict.fromkeys(study.sop_instance_uids, 1), "nothing twice, nothing missing"
        [entry] = shown["entries"]
        assert (entry["state"], entry["sent"], entry["committed"]) == ("archived", INSTANCES, INSTANCES)
        wait_until(lambda: self.archive.quiet, what="every report heard")
        return self.story(study)

    def die_and_go_on(self) -> list[Json]:
        """A study comes, the gateway dies where it was told to, and starts again; what :meth:`check` returns."""
        study = self.send()
        self.gateway.wait_death()
        self.gateway.start()
        return self.check(study)

    def story(self, study: Any) -> list[Json]:
        """``studies trace``."""
        story: list[Json] = self.gateway.json("studies", "trace", study.uid)
        return story

    def close(self) -> None:
        """End both."""
        self.gateway.close()
        self.archive.close()

    def files(self) -> int:
        """Files in ``instances/``."""
        return sum(path.is_file() for path in (self.gateway.spool / "instances").rglob("*"))


class Street:
    """A house for each database, made when the first test asks for it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self._folder = folder
        self._options = options
        self._houses: dict[str, House] = {}
        self._open = ExitStack()

    def house(self, request: pytest.FixtureRequest, database: str) -> House:
        """The one on ``sqlite`` or ``postgresql``; it is running."""
        if database not in self._houses:
            url = None
            if database == "postgresql":
                server: PostgresqlServer = request.getfixturevalue("postgresql")
                url = self._open.enter_context(server.database())
            house = self._houses[database] = House(self._folder / database, catalog=url, **self._options)
            self._open.callback(house.close)
        house = self._houses[database]
        house.gateway.ensure()
        house.archive.report_elsewhere = False
        return house

    def close(self) -> None:
        """End everything."""
        self._open.close()


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    made = Street(tmp_path_factory.mktemp("steps"))
    yield made
    made.close()


@pytest.fixture
def house(request: pytest.FixtureRequest, street: Street) -> House:
    """What the archive sees does not depend on the database."""
    return street.house(request, "sqlite")


@pytest.fixture(params=["sqlite", "postgresql"])
def either_house(request: pytest.FixtureRequest, street: Street) -> House:
    return street.house(request, request.param)


def attempts_of(story: list[Json]) -> list[str]:
    """What became of the entry, claim by claim."""
    return [line["event"] for line in story if line["event"] in ("claimed", "lease_expired", "delivered")]


CUT_SHORT = ["claimed", "lease_expired", "claimed", "delivered"]


@pytest.mark.parametrize(
    ("step", "nth"),
    [
        ("store asked", 1),
        ("store associated", 1),
        ("store command", 1),
        ("store data", 2),
        ("stored", 2),
        ("store answered", 2),
        ("store command", 3),
        ("store answered", 3),
        ("store released", 1),
    ],
)
def test_at_a_step_of_the_delivery_that_the_archive_sees(house: House, step: str, nth: int) -> None:
    house.archive.arm(step, nth)
    assert attempts_of(house.die_and_go_on()) == CUT_SHORT


@pytest.mark.parametrize(
    "step", ["after claim 1", "before mark 1", "after mark 1", "before deliver 1", "after deliver 1"]
)
def test_at_a_step_of_the_delivery_inside_the_gateway(either_house: House, step: str) -> None:
    either_house.gateway.die_at(step)
    assert attempts_of(either_house.die_and_go_on()) == CUT_SHORT


@pytest.mark.parametrize(
    ("step", "elsewhere"),
    [
        ("commitment asked", False),
        ("commitment associated", False),
        ("commitment command", False),
        ("action", False),
        ("action answered", False),
        ("same report sent", False),
        ("same report heard", False),
        ("report associated", True),
        ("report sent", True),
        ("report heard", True),
    ],
)
def test_at_a_step_of_the_commitment_that_the_archive_sees(house: House, step: str, elsewhere: bool) -> None:
    house.archive.report_elsewhere = elsewhere
    house.archive.arm(step)
    assert attempts_of(house.die_and_go_on()) == ["claimed", "delivered"], "asking again is no delivery"


@pytest.mark.parametrize(
    ("step", "elsewhere"),
    [
        ("before react 1", False),
        ("before postpone 1", False),
        ("after postpone 1", True),
        ("before result 1", False),
        ("before result 1", True),
        ("after result 1", False),
        ("after result 1", True),
        ("after take 1", False),
        ("after take 1", True),
    ],
)
def test_at_a_step_of_the_commitment_inside_the_gateway(either_house: House, step: str, elsewhere: bool) -> None:
    either_house.archive.report_elsewhere = elsewhere
    either_house.gateway.die_at(step)
    assert attempts_of(either_house.die_and_go_on()) == ["claimed", "delivered"], "asking again is no delivery"


@pytest.fixture(scope="module")
def empty_street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """Houses that keep what is archived for a moment only."""
    made = Street(tmp_path_factory.mktemp("retention"), keep_for="200ms")
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def emptying(request: pytest.FixtureRequest, empty_street: Street) -> Iterator[House]:
    """One of them; a study that is held must stay."""
    house = empty_street.house(request, request.param)
    if not house.held:
        house.held = house.send(code="ZZ9ZZ").uid
        house.gateway.wait_state(house.held, "held")
    yield house
    assert house.gateway.wait_state(house.held, "held")["instances"] == INSTANCES


@pytest.mark.parametrize(
    "step",
    [
        "after wish 1",
        "after choose 1",
        "before retire 1",
        "before retire 3",
        "before purge 1",
        "before purge 2",
        "after purge 3",
        "before purged 1",
        "after purged 1",
    ],
)
def test_at_a_step_of_a_retention_run(emptying: House, step: str) -> None:
    house = emptying
    house.gateway.die_at(step)
    study = house.send()
    house.gateway.wait_death()
    house.gateway.start()
    house.check(study)
    wait_until(lambda: house.files() == INSTANCES, what="only what is held stays")
    wait_until(lambda: not list((house.gateway.spool / "removing").iterdir()), what="an empty removing/")
    story = wait_until(
        lambda: told if (told := house.story(study))[-1]["event"] == "files_removed" else None, what="its end"
    )
    events = [line["event"] for line in story]
    assert (events.count("retention"), events.count("files_removed")) == (1, 1)
    assert attempts_of(story) == ["claimed", "delivered"]
    assert house.gateway.json("spool", "verify") == {"verified": INSTANCES, "damaged": []}


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose archive cannot be asked what it has."""
    house = House(tmp_path_factory.mktemp("silent"), commitment=False)
    yield house
    house.close()


@pytest.mark.parametrize(
    ("step", "nth", "twice"),
    [("stored", 2, 2), ("store answered", 2, 2), ("store command", 3, None), ("store released", 1, None)],
)
def test_without_commitment_only_the_one_whose_answer_was_cut_off_may_come_twice(
    silent: House, step: str, nth: int, twice: int | None
) -> None:
    silent.gateway.ensure()
    silent.archive.arm(step, nth)
    study = silent.send()
    silent.gateway.wait_death()
    silent.gateway.start()
    shown = silent.gateway.wait_state(study.uid, "archived", timeout=30)
    received = [len(silent.archive.received[uid]) for uid in study.sop_instance_uids]
    assert received in ([1, 1, 1], [2 if number == twice else 1 for number in (1, 2, 3)])
    assert shown["entries"][0]["sent"] == INSTANCES
    assert attempts_of(silent.story(study)) == CUT_SHORT
