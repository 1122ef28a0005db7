"""Who sees what of what, over the network: purged images, service producers, moments and character sets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuva_gateway.catalog import authorizations
from tests.authorizations import KEEPER, ORGANISER, PRODUCER, authorization
from tests.unit.catalog.making import Hospital
from tests.unit.scp.querying import STUDY_ROOT, Querying, ask, identifier, querying
from tests.unit.scp.retrieving import ALL_FAILED, SOME_FAILED, STUDY_GET, SUCCESS, Asker

ALLOW = ("find", "get")
FOREIGN, OWN = "1.2.1", "1.2.2"


# -- what retention has removed ----------------------------------------------------------------------------------------


def test_a_purged_image_is_found_nearline_and_a_retrieval_names_it(tmp_path: Path) -> None:
    with querying(tmp_path, allow=ALLOW) as gateway:
        gateway.hospital.send("1.2.1", 2)
        gateway.hospital.send("1.2.2", 1)
        spool = gateway.hospital.spool
        [row] = gateway.hospital.rows("SELECT digest FROM instances WHERE uid = '1.2.1.1.2'")
        with gateway.hospital.catalog.write() as session:
            session.execute("UPDATE instances SET purged_at = 1 WHERE uid = '1.2.1.1.2'")
        spool.instance_path(bytes(row["digest"]).hex()).unlink()

        def found(level: str, keyword: str) -> dict[str, str]:
            asked = {"QueryRetrieveLevel": level, keyword: "", "InstanceAvailability": ""}
            return {one[keyword].value: one.InstanceAvailability for one in gateway.find(**asked).data_sets}

        assert found("STUDY", "StudyInstanceUID") == {"1.2.1": "NEARLINE", "1.2.2": "ONLINE"}
        assert found("SERIES", "SeriesInstanceUID") == {"1.2.1.1": "NEARLINE", "1.2.2.1": "ONLINE"}
        assert found("IMAGE", "SOPInstanceUID") == {
            "1.2.1.1.1": "ONLINE",
            "1.2.1.1.2": "NEARLINE",
            "1.2.2.1.1": "ONLINE",
        }
        assert gateway.find(InstanceAvailability="NEARLINE").values("StudyInstanceUID") == ["1.2.1"]
        with Asker(gateway, STUDY_GET) as asker:
            asker.get(StudyInstanceUID="1.2.1")
            final = asker.answers()[-1]
            asker.get(QueryRetrieveLevel="IMAGE", SOPInstanceUID="1.2.1.1.2")
            alone = asker.answers()[-1]
        assert (final.status, final.counts, final.failed_uids) == (SOME_FAILED, (None, 1, 1, 0), ["1.2.1.1.2"])
        assert final.command.error_comment == "1 failed: removed by retention, the archive has it"
        assert (alone.status, alone.counts, alone.failed_uids) == (ALL_FAILED, (None, 0, 1, 0), ["1.2.1.1.2"])
        assert not gateway.log.of("a stored image cannot be sent"), "nobody is sent to look for damage"


# -- OSV-04 ------------------------------------------------------------------------------------------------------------


def grant(hospital: Hospital) -> None:
    made = authorization(valid=("20200101", "20991231"))
    digest = hashlib.sha256(authorizations.to_json(made).encode()).hexdigest()
    authorizations.add(hospital.catalog, made, f"{made.oid}.xml", digest, hospital.clock())


def test_a_producer_finds_and_gets_its_own_studies_and_what_a_search_right_covers(tmp_path: Path) -> None:
    peer = {"name": "clinic", "ae_title": "CLINIC", "allow": list(ALLOW), "producer": PRODUCER}
    with querying(tmp_path, allow=ALLOW, also=[peer]) as gateway:
        hospital = gateway.hospital
        hospital.add_document(register_keeper=KEEPER, register="2", service_event=f"{ORGANISER}.14.2024.7")
        hospital.send(FOREIGN, 1)
        hospital.send(OWN, 1, AccessionNumber="A2", peer="clinic")

        def seen() -> list[str]:
            with gateway.associate(calling="CLINIC") as association:
                return ask(association, identifier(StudyInstanceUID="")).values("StudyInstanceUID")

        def got(study: str) -> list[str]:
            with Asker(gateway, STUDY_GET, calling="CLINIC") as asker:
                asker.get(StudyInstanceUID=study)
                assert asker.answers()[-1].status == SUCCESS
                return asker.received

        assert (seen(), got(OWN), got(FOREIGN)) == ([OWN], [f"{OWN}.1.1"], [])
        grant(hospital)
        assert (seen(), got(FOREIGN)) == ([FOREIGN, OWN], [f"{FOREIGN}.1.1"])
        assert gateway.find(StudyInstanceUID="").values("StudyInstanceUID") == [FOREIGN, OWN]


# -- moments and letters -----------------------------------------------------------------------------------------------

SETS = {
    "ISO_IR 100": "Mäkelä^Åke",
    "ISO_IR 101": "Wałęsa^Łucja",
    "ISO_IR 109": "Ġorġ^Ħelen",
    "ISO_IR 110": "Ķēniņš^Āris",
    "ISO_IR 144": "Иванов^Юрий",
    "ISO_IR 192": "Nguyễn^Đức",
}
TIMES = (("20240105", "230000"), ("20240106", "010000"), ("20240106", "230000"))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Querying]:
    """A study in each character set, of the moments above in turn."""
    with querying(tmp_path_factory.mktemp("letters"), fold_accents=False) as found:
        for number, (term, name) in enumerate(SETS.items()):
            date, time = TIMES[number % 3]
            values = {"PatientName": name, "SpecificCharacterSet": term, "StudyDate": date, "StudyTime": time}
            found.hospital.send(f"1.2.{number}", 1, PatientID=f"P{number}", **values)
        yield found


@pytest.mark.parametrize("term", SETS)
def test_names_are_asked_for_and_answered_in_each_set(gateway: Querying, term: str) -> None:
    name = SETS[term]
    for key in (name, name.upper(), f"{name[:2]}*", f"*{name[-3:]}"):
        found = gateway.find(PatientName=key, SpecificCharacterSet=term)
        assert found.values("PatientName") == [name], key
        assert [one.SpecificCharacterSet for one in found.data_sets] == [term]
    unnamed = gateway.find(PatientID=f"P{list(SETS).index(term)}", PatientName="")
    assert unnamed.values("PatientName") == [name]


def test_date_and_time_are_one_span_where_that_was_negotiated_and_two_where_not(gateway: Querying) -> None:
    keys = {"StudyDate": "20240105-20240106", "StudyTime": "220000-020000"}
    assert gateway.find(**keys).data_sets == []  # a range of times that ends before it begins
    found = gateway.find(STUDY_ROOT, extended=b"\0\1\0", **keys).values("StudyInstanceUID")
    assert found == ["1.2.0", "1.2.1", "1.2.3", "1.2.4"]
