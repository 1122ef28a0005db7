"""A lost catalog, made again from the stored files and the journal: decisions, deliveries and senders are as before."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kuva_gateway import parts
from kuva_gateway.catalog import (
    authorizations,
    codes,
    commitments,
    documents,
    entries,
    patients,
    providers,
    studies,
    withdrawal,
)
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.journaling import begin, tell
from kuva_gateway.catalog.records import DestinationPlan
from kuva_gateway.cli import main
from kuva_gateway.journal import files
from kuva_gateway.offline import rebuild_catalog
from tests.unit.backup.conftest import Place, catalog_url, configure, images, place, told
from tests.unit.catalog.making import ARCHIVE, HETU, period

__all__ = ["catalog_url", "place"]
BOTH = pytest.mark.parametrize(
    "catalog_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
BY = {"by": "anna", "reason": "seen on paper"}
Lose = Callable[[Place], tuple[dict[str, Any], Catalog]]


def journal(place: Place) -> None:
    """What the daemon does every second."""
    begin(place.hospital.catalog, parts.open_journal(place.configuration))
    tell(place.hospital.catalog, parts.open_journal(place.configuration))


@pytest.fixture
def lose(request: pytest.FixtureRequest) -> Iterator[Lose]:
    """Lose the catalog and rebuild it; what the rebuild said, and the new one."""
    with contextlib.ExitStack() as stack:

        def losing(place: Place) -> tuple[dict[str, Any], Catalog]:
            configuration = place.configuration
            url = configuration.catalog.url
            if url is None:
                for path in place.state.glob("catalog.sqlite*"):
                    path.unlink()
            else:
                url = stack.enter_context(request.getfixturevalue("postgresql").database())
                configuration = configuration.model_copy(
                    update={"catalog": configuration.catalog.model_copy(update={"url": url})}
                )
            said = rebuild_catalog(configuration, place.hospital.clock())
            catalog = parts.open_catalog(configuration, create=False, now=place.hospital.clock)
            stack.callback(catalog.close)
            return dict(said), catalog

        yield losing


def people(catalog: Catalog, uid: str) -> list[dict[str, Any]]:
    """What people did to a study."""
    return [{**one, "what": ""} for one in studies.trace(catalog, uid) if one["by"] == "anna"]


KEPT = ("state", "revision", "instances", "bytes", "peer", "first_arrival", "last_arrival", "patient_id", "amendments")


def kept(catalog: Catalog, uid: str) -> dict[str, Any]:
    shown = studies.show(catalog, uid)
    found = {name: shown[name] for name in KEPT if name in shown}
    found["people"] = people(catalog, uid)
    found["entries"] = [
        {name: one[name] for name in ("destination", "sent", "committed", "priority")} for one in shown["entries"]
    ]
    value: dict[str, Any] = json.loads(json.dumps(found))
    return value


@BOTH
def test_what_people_decided_and_what_was_delivered_is_as_before(place: Place, lose: Lose) -> None:
    hospital, catalog = place.hospital, place.hospital.catalog
    hospital.hold("1.2.5")
    studies.amend(catalog, "1.2.5", {"PatientID": HETU}, **BY)
    hospital.accept("1.2.6", destinations=(ARCHIVE, DestinationPlan(name="copy", required=False, commitment=False)))
    hospital.deliver("copy")
    entry = next(one for one in entries.listing(catalog) if one["study_instance_uid"] == "1.2.6")
    entries.prioritise(catalog, [entry["id"]], priority=7, by="anna")
    journal(place)
    decided = ("1.2.3", "1.2.4", "1.2.6", "1.2.1")
    before = {uid: kept(catalog, uid) for uid in decided}
    said, again = lose(place)
    assert said["decisions_kept"]
    assert (said["held"], said["gone"]) == (0, 0)
    assert {uid: kept(again, uid) for uid in decided} == before
    assert [studies.show(again, uid)["state"] for uid in ("1.2.2", "1.2.5")] == ["receiving"] * 2
    for uid in ("1.2.2", "1.2.5"):
        assert kept(again, uid)["amendments"] == kept(catalog if catalog.postgresql else again, uid)["amendments"]
        assert people(again, uid)
        assert {one["rule"] for one in studies.show(again, uid)["findings"]} == set()
    assert images(place.state)


@BOTH
def test_what_was_delivered_is_not_sent_again_and_what_may_have_been_is_asked_about(place: Place, lose: Lose) -> None:
    hospital = place.hospital
    journal(place)
    _, again = lose(place)
    hospital.clock.forward(days=400)  # the rebuild has a clock of its own
    seen = {}
    while (
        entry := entries.claim(again, "archive", hospital.clock.forward(seconds=1), timedelta(days=1), "worker")
    ) is not None:
        seen[entry.study_instance_uid] = [one.in_doubt for one in entries.pending_instances(again, entry)]
    assert seen == {"1.2.9": [], "1.2.1": [True, True], "1.2.4": [True, True]}
    hospital.catalog = again
    hospital.settle("1.2.2")
    assert hospital.judge("1.2.2")
    late = entries.claim(again, "archive", hospital.clock.forward(seconds=1), timedelta(days=1), "worker")
    assert late is not None
    assert [one.in_doubt for one in entries.pending_instances(again, late)] == [True, True]


@BOTH
def test_an_archived_study_stays_archived_and_other_bytes_for_it_are_still_never_sent(place: Place, lose: Lose) -> None:
    hospital, catalog = place.hospital, place.hospital.catalog
    row = hospital.rows("SELECT id FROM entries WHERE study_id = (SELECT id FROM studies WHERE uid = '1.2.9')")[0]
    entry = entries.find(catalog, row["id"])
    assert entry is not None
    sent = entries.unconfirmed_instances(catalog, entry)
    commitments.ask(catalog, entry.id, "2.25.1", [one.instance_id for one in sent], hospital.clock())
    pairs = [(one.sop_class, one.sop_instance) for one in sent]
    commitments.record_result(catalog, "2.25.1", "archive", pairs, [], hospital.clock())
    assert hospital.state("1.2.9") == "archived"
    journal(place)
    before = kept(catalog, "1.2.9")
    _, again = lose(place)
    assert kept(again, "1.2.9") == before
    hospital.catalog = again
    hospital.receive("1.2.9", instance=1, ImageComments="OTHER BYTES")
    hospital.index()
    assert hospital.column("SELECT held FROM instances ORDER BY id DESC LIMIT 1") == [1]
    journal(place)
    _, third = lose(place)
    hospital.catalog = third
    assert sorted(
        hospital.column(
            "SELECT current * 10 + held FROM instances i JOIN studies s ON s.id = i.study_id WHERE s.uid = '1.2.9'"
        )
    ) == [1, 10, 10]


@BOTH
def test_withdrawn_studies_links_providers_and_papers_come_back(place: Place, lose: Lose) -> None:
    hospital, catalog = place.hospital, place.hospital.catalog
    withdrawal.withdraw(
        catalog, "1.2.9", code="113038", note_uid="2.25.7", make_note=lambda header, references: b"note", **BY
    )
    patients.link(catalog, "T-1", {"PatientID": HETU}, **BY)
    name = "HUS-yhtymä"
    with catalog.write() as session:
        session.execute(
            "INSERT INTO providers (name, sector, joined, oid) VALUES (?, 'public', '2024-01-01', NULL)", name
        )
    providers.change(catalog, name, oid="1.2.246.10.1234567.10")
    codes.store(catalog, [period("GD1AD"), period("XX1AA", name="Ölmy")])
    listed = codes.everything(catalog)
    journal(place)
    before = kept(catalog, "1.2.9"), hospital.rows("SELECT * FROM patient_links")
    notes = "SELECT uid, code, waits, content IS NULL AS written FROM rejection_notes"
    hidden = "SELECT uid, code, active FROM rejected_instances ORDER BY uid"
    also = hospital.rows(notes), hospital.rows(hidden)
    _, again = lose(place)
    hospital.catalog = again
    assert (kept(again, "1.2.9"), hospital.rows("SELECT * FROM patient_links")) == before
    assert (hospital.rows(notes), hospital.rows(hidden)) == also
    assert codes.everything(again) == listed
    assert [one.oid for one in providers.everything(again) if one.name == name] == ["1.2.246.10.1234567.10"]


@BOTH
def test_who_sent_what_is_known_again_receipt_by_receipt(place: Place, lose: Lose) -> None:
    hospital = place.hospital
    hospital.receive("1.2.2", instance=1, peer="ct2")  # the same bytes again
    hospital.index()
    hospital.send("1.2.7", peer="ct3")
    journal(place)
    query = (
        "SELECT r.time_ns, r.association, r.number, r.peer, i.uid, i.peer AS first FROM receipts r "
        "JOIN instances i ON i.id = r.instance_id ORDER BY r.time_ns, r.number"
    )
    before = hospital.rows(query)
    assert len(before) == 13
    _, hospital.catalog = lose(place)
    assert hospital.rows(query) == before


@BOTH
def test_images_after_the_journals_last_word_open_the_question_again(place: Place, lose: Lose) -> None:
    journal(place)
    place.hospital.send("1.2.4", instances=3)
    said, again = lose(place)
    assert studies.show(again, "1.2.4")["state"] == "receiving"
    assert said["held"] == 1
    assert [finding.rule for finding in studies.view(again, "1.2.4").instance_findings] == ["QUA-03"]
    assert [studies.show(again, uid)["state"] for uid in ("1.2.3", "1.2.1")] == ["rejected", "accepted"]


@pytest.mark.parametrize(
    "harm", ["bit", pytest.param("file", marks=pytest.mark.slow), pytest.param("begin", marks=pytest.mark.slow), "none"]
)
def test_a_journal_that_is_not_whole_holds_what_is_not_decided(place: Place, lose: Lose, harm: str) -> None:
    journal(place)
    folder = place.state / "journal"
    (path,) = files(folder)
    if harm == "bit":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    elif harm == "file":
        path.rename(path.with_name("00000002.journal"))
    elif harm == "begin":
        (folder / "whole").unlink()
    else:
        path.unlink()
        (folder / "whole").unlink()
    said, again = lose(place)
    assert not said["decisions_kept"]
    shown = {one["study_instance_uid"]: one["state"] for one in studies.listing(again)}
    assert shown["1.2.1"] == shown["1.2.4"] == "receiving"
    assert shown["1.2.3"] == ("receiving" if harm == "none" else "rejected")
    for uid in ("1.2.1", "1.2.4", "1.2.2"):
        assert "QUA-03" in [finding.rule for finding in studies.view(again, uid).instance_findings]
    assert parts.open_journal(place.configuration).whole
    assert len(list(place.state.glob("journal.before-*"))) == 1
    place.hospital.catalog = again
    assert lose(place)[0]["decisions_kept"]


def test_a_decision_that_a_command_told_as_done_is_in_the_journal(place: Place, lose: Lose) -> None:
    journal(place)
    place.hospital.hold("1.2.5")
    journal(place)
    arguments = ["studies", "reject", "1.2.5", "--by", "anna", "--reason", "a phantom", "--config", str(place.config)]
    assert main(arguments) == 0
    assert place.hospital.rows("SELECT * FROM to_journal") == []
    _, again = lose(place)
    assert studies.show(again, "1.2.5")["state"] == "rejected"


def test_a_decision_that_the_journal_does_not_take_is_told_and_written_later(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.hospital.hold("1.2.5")
    journal(place)
    folder = place.state / "journal"
    hidden = folder.rename(folder.with_name("elsewhere"))
    folder.write_text("in the way")
    arguments = ["studies", "reject", "1.2.5", "--by", "anna", "--reason", "a phantom", "--config", str(place.config)]
    assert main(arguments) == 1
    assert "the journal cannot be written now" in capsys.readouterr().err
    folder.unlink()
    hidden.rename(folder)
    assert studies.show(place.hospital.catalog, "1.2.5")["state"] == "rejected"
    assert len(place.hospital.rows("SELECT * FROM to_journal")) == 1
    journal(place)
    assert place.hospital.rows("SELECT * FROM to_journal") == []


def test_papers_that_a_person_took_out_of_force_stay_out_of_force(tmp_path: Path) -> None:
    from tests.studies import document, make_study

    config, configuration = configure(tmp_path, None)
    study = make_study(kind="ct")
    path = tmp_path / "request.xml"
    path.write_bytes(document(study, "request"))
    assert main(["documents", "import", str(path), "--config", str(config)]) == 0
    with contextlib.closing(parts.open_catalog(configuration, create=False)) as catalog:
        (before,) = documents.listing(catalog)
    invalidate = ["documents", "invalidate", before["id"], "--by", "anna", "--reason", "wrong", "--config", str(config)]
    assert main(invalidate) == 0
    with contextlib.closing(parts.open_catalog(configuration, create=False)) as catalog:
        before = documents.listing(catalog)
        assert authorizations.listing(catalog) == []
        begin(catalog, parts.open_journal(configuration))
    for path in configuration.state_directory.glob("catalog.sqlite*"):
        path.unlink()
    assert main(["catalog", "rebuild", "--config", str(config)]) == 0
    with contextlib.closing(parts.open_catalog(configuration, create=False)) as catalog:
        assert documents.listing(catalog) == before


def test_the_story_is_told_by_a_rebuilt_catalog(place: Place, lose: Lose) -> None:
    journal(place)
    _, again = lose(place)
    assert "recalled" in [one["event"] for one in studies.trace(again, "1.2.3")]
    assert told(again)


def test_a_crash_between_the_journal_and_the_outbox_says_everything_twice_and_changes_nothing(
    place: Place, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr("kuva_gateway.catalog.session.Session.change_in", killed)
        with pytest.raises(SystemExit):
            tell(place.hospital.catalog, parts.open_journal(place.configuration))
    assert place.hospital.rows("SELECT 1 FROM to_journal")
    before = {uid: kept(place.hospital.catalog, uid) for uid in ("1.2.3", "1.2.4")}
    journal(place)
    assert place.hospital.rows("SELECT 1 FROM to_journal") == []
    (path,) = files(place.state / "journal")
    assert path.read_text().count('"key":"1.2.3"') >= 2
    said, again = lose(place)
    assert said["decisions_kept"]
    assert {uid: kept(again, uid) for uid in before} == before
