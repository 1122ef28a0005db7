"""The wired daemon in this process, and the operators' commands on it while it runs and after it stopped."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import structlog

from kuva_gateway import log
from kuva_gateway.cli import main
from kuva_gateway.config import load
from kuva_gateway.daemon import Daemon
from kuva_gateway.errors import BusyError
from tests.studies import document, make_study
from tests.support import wait_until

CONFIGURATION = """
environment: test
listen: {port: 0}
settle_after: 200ms
drain_timeout: 5s
spool: {minimum_free: 1MiB}
metrics: {port: null}
documents: {scan_every: 100ms}
peers:
  - {name: ct1, ae_title: CT1, allow: [echo, store]}
destinations:
  - {name: archive, ae_title: ARCHIVE, host: 127.0.0.1, port: 9, rest_for: 10s}
"""


class Site:
    """A configuration, its state directory, and commands on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = folder / "kuva-gateway.yaml"
        self.config.write_text(CONFIGURATION)
        self.folder = folder
        self.state = folder / "var"
        self._capsys = capsys

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, standard output and standard error of one command."""
        self._capsys.readouterr()
        status = main([*arguments, "--config", str(self.config)])
        captured = self._capsys.readouterr()
        return status, captured.out, captured.err

    def json(self, *arguments: str, status: int = 0) -> Any:
        """The JSON value that one command prints."""
        found, out, err = self.run(*arguments, "--json")
        assert found == status, err
        return json.loads(out)

    @contextmanager
    def daemon(self) -> Iterator[Daemon]:
        """The daemon, running in this process."""
        daemon = Daemon(load(self.config), threading.Event(), self.config)
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.stop()

    def state_of(self, uid: str) -> str:
        """The study's state, "" while it is unknown."""
        status, out, _ = self.run("studies", "show", uid, "--json")
        return "" if status else str(json.loads(out)["state"])

    def wait_state(self, uid: str, state: str) -> None:
        wait_until(lambda: self.state_of(uid) == state, what=f"the state {state}")

    def receive(self, **order: Any) -> Any:
        """Make a study and take it in with ``receive``; returns it."""
        study = make_study(**order)
        files = study.write(self.folder / f"files-{study.order.accession}")
        status, _, err = self.run("receive", *map(str, files))
        assert status == 0, err
        return study


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    before = threading.active_count()
    with (tmp_path / "gateway.log").open("w") as lines:
        log.configure(form="json", stream=lines)
        yield Site(tmp_path, capsys)
        structlog.reset_defaults()
    wait_until(lambda: threading.active_count() <= before, what=f"the end of {threading.enumerate()}")


def test_a_held_study_is_found_explained_released_and_told(site: Site) -> None:
    with site.daemon():
        study = site.receive(code="AA1BD", study_date=date(2024, 3, 4))
        site.wait_state(study.uid, "held")
        (listed,) = site.json("studies", "list", "--state", "held", "--rule", "COD-03")
        assert listed["study_instance_uid"] == study.uid
        assert site.json("studies", "list", "--rule", "PID-01") == []
        assert site.json("studies", "list", "--accession", "A0001", "--peer", "import", "--since", "1h") == [listed]
        assert site.json("studies", "list", "--since", "2099-01-01") == []
        finding = next(one for one in listed["findings"] if one["rule"] == "COD-03")
        assert "AA1AD" in finding["message"]
        assert finding["overridden"] is None
        assert site.run("studies", "release", study.uid, "--by", "night nurse", "--reason", "urgent")[0] == 0
        shown = site.json("studies", "show", study.uid)
        assert shown["state"] == "accepted"
        overridden = {one["rule"]: one["overridden"] for one in shown["findings"]}
        assert overridden["COD-03"]["by"] == "night nurse"
        assert overridden["COD-03"]["reason"] == "urgent"
        (entry,) = shown["entries"]
        assert entry["destination"] == "archive"
        story = site.json("studies", "trace", study.uid)
        assert all(set(line) == {"at", "event", "what", "by", "detail"} for line in story)
        assert [line["event"] for line in story if line["what"] == "study" and line["event"] != "received"][
            -1
        ] == "released"
        assert [line["at"] for line in story] == sorted(line["at"] for line in story)


def test_a_second_release_is_refused_with_its_reason(site: Site) -> None:
    with site.daemon():
        study = site.receive()
        site.wait_state(study.uid, "held")
        assert site.run("studies", "reject", study.uid, "--by", "a", "--reason", "b")[0] == 0
        assert site.state_of(study.uid) == "rejected"
        status, out, err = site.run("studies", "release", study.uid, "1.2.3", "--by", "a", "--reason", "b")
        assert (status, out) == (1, "")
        assert len(err.splitlines()) == 2
        (answer, unknown) = site.json("studies", "release", study.uid, "1.2.3", "--by", "a", "--reason", "b", status=1)
        assert not answer["done"]
        assert not unknown["done"]


def test_documents_from_the_command_line_and_the_drop_folder_let_a_study_go(site: Site) -> None:
    with site.daemon():
        study = site.receive()
        site.wait_state(study.uid, "held")
        request = site.folder / "request.xml"
        request.write_bytes(document(study, "request"))
        assert site.run("documents", "import", str(request))[0] == 0
        assert site.state_of(study.uid) == "held"
        dropped = site.state / "documents" / "incoming" / "entry.xml"
        dropped.write_bytes(document(study, "examination_entry"))
        site.wait_state(study.uid, "accepted")
        wait_until(lambda: not dropped.exists(), what="the dropped file to leave")
        kinds = {one["kind"]: one for one in site.json("studies", "show", study.uid)["documents"]}
        assert set(kinds) == {"request", "examination_entry"}
        assert kinds["request"]["current"]
        assert kinds["request"]["ready"]
        assert len(site.json("documents", "list")) == 2
        assert site.json("documents", "show", kinds["request"]["id"])["kind"] == "request"
        assert site.run("documents", "show", "1.2.3")[0] == 1


def test_a_bad_document_is_rejected_beside_its_reason(site: Site) -> None:
    with site.daemon():
        (site.state / "documents" / "incoming" / "bad.xml").write_text("<no-cda/>")
        rejected = site.state / "documents" / "rejected" / "bad.xml"
        wait_until(rejected.exists, what="the rejected file")
        reason = rejected.with_name("bad.xml.reason")
        wait_until(lambda: reason.exists() and reason.read_text(), what="its reason")


def test_entries_are_held_released_cancelled_and_not_retried_twice(site: Site) -> None:
    with site.daemon():
        study = site.receive()
        site.wait_state(study.uid, "held")
        site.run("studies", "release", study.uid, "--by", "a", "--reason", "b")
        (entry,) = site.json("queue", "list", "--destination", "archive")
        number = str(entry["id"])
        waiting = wait_until(lambda: site.json("queue", "list")[0]["last_error"], what="a reason for the wait")
        assert "rests" in waiting["meaning"]
        # An entry in the middle of an attempt can be neither held nor cancelled; this one's are over at once.
        wait_until(lambda: site.run("queue", "hold", number, "--by", "a", "--reason", "b")[0] == 0, what="a pause")
        assert [one["state"] for one in site.json("queue", "list", "--state", "held")] == ["held"]
        assert site.run("queue", "release", "--all", "--by", "a")[0] == 0
        assert site.run("queue", "retry", number, "--by", "a")[0] in (0, 1)
        wait_until(lambda: site.run("queue", "cancel", number, "--by", "a", "--reason", "b")[0] == 0, what="a pause")
        status, _, err = site.run("queue", "cancel", number, "--by", "a", "--reason", "b")
        assert status == 1
        assert len(err.splitlines()) == 1
        assert site.run("queue", "retry", "--by", "a")[0] == 2
        assert site.run("queue", "cancel", "4711", "--by", "a")[0] == 1


def test_a_second_daemon_is_refused(site: Site) -> None:
    with site.daemon():
        second = Daemon(load(site.config), threading.Event(), site.config)
        with pytest.raises(BusyError, match="in use by process"):
            second.start()
        second.stop()
        assert site.json("stats")["running"] is True


def test_commands_work_with_the_daemon_down(site: Site) -> None:
    study = site.receive()
    assert site.state_of(study.uid) == "receiving"
    figures = site.json("stats")
    assert figures["running"] is False
    assert figures["instances"] == 1
    assert figures["studies"] == {"receiving": 1}
    assert figures["arrivals_pending"] == 0
    assert site.json("spool", "verify") == {"verified": 1, "damaged": []}
    assert site.json("codes", "show", "gd1bd")[0]["replaced_by"] == ["GD1AD"]
    assert site.run("codes", "show", "ZZ9ZZ")[0] == 1
    assert site.json("studies", "recheck", "--all") == {"studies": 0}


def test_a_damaged_file_is_named_and_set_aside_until_its_peer_has_sent_it_again(site: Site) -> None:
    study = site.receive()
    (stored,) = (site.state / "spool" / "instances").rglob("*/*")
    whole = stored.read_bytes()
    stored.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    status, _, said = site.run("spool", "verify")
    assert status == 1
    assert f"{stored.name}: holds other bytes than its digest says; it is in corrupt/ now" in said
    assert f"image {study.sop_instance_uids[0]}, study {study.uid}" in said
    assert not stored.exists(), "nobody gets it"
    assert (site.state / "spool" / "corrupt" / stored.name).read_bytes() != whole
    (missing,) = site.json("spool", "verify", status=1)["damaged"]
    assert missing["digest"] == stored.name
    assert missing["study_instance_uid"] == study.uid
    assert missing["peer"]
    status, _, err = site.run("receive", *map(str, (site.folder / f"files-{study.order.accession}").iterdir()))
    assert status == 0, err
    assert stored.read_bytes() == whole
    assert site.json("spool", "verify") == {"verified": 1, "damaged": []}


def test_a_sound_catalog_keeps_its_decisions_through_a_rebuild(site: Site) -> None:
    with site.daemon():
        study = site.receive()
        site.wait_state(study.uid, "held")
        site.run("studies", "reject", study.uid, "--by", "anna", "--reason", "phantom")
        status, _, err = site.run("catalog", "rebuild")
        assert status == 1
        assert "in use" in err
    summary = site.json("catalog", "rebuild")
    assert (summary["instances"], summary["studies"], summary["decisions_kept"]) == (1, 1, True)
    assert site.state_of(study.uid) == "rejected"


@pytest.mark.slow
def test_a_damaged_catalog_is_made_anew_and_every_study_held(site: Site) -> None:
    with site.daemon():
        study = site.receive()
        site.wait_state(study.uid, "held")
        for kind in ("request", "examination_entry"):
            file = site.folder / f"{kind}.xml"
            file.write_bytes(document(study, kind))
            site.run("documents", "import", str(file))
        site.wait_state(study.uid, "accepted")
    (site.state / "catalog.sqlite").write_bytes(b"this is no database" * 1000)
    summary = site.json("catalog", "rebuild")
    assert (summary["instances"], summary["studies"], summary["documents"]) == (1, 1, 2)
    assert summary["codes"] > 100
    assert summary["decisions_kept"] is False
    assert len(list(site.state.glob("catalog.sqlite.before-*Z"))) == 1
    with site.daemon():
        site.wait_state(study.uid, "held")
        findings = site.json("studies", "show", study.uid)["findings"]
        assert [one["rule"] for one in findings if one["severity"] == "hold"] == ["QUA-03"]
        assert site.run("studies", "release", study.uid, "--by", "anna", "--reason", "not in the archive")[0] == 0
        assert site.state_of(study.uid) == "accepted"


def test_receive_names_what_it_refuses(site: Site) -> None:
    bad = site.folder / "files" / "bad.dcm"
    bad.parent.mkdir()
    bad.write_bytes(b"no dicom")
    real = make_study(hetu="010190-999W")
    real.write(bad.parent)
    answer = site.json("receive", str(bad.parent), str(bad), "--rate", "1000", status=1)
    assert (answer["received"], answer["skipped"]) == (1, 1)
    assert [Path(one["path"]).name for one in answer["refused"]] == ["bad.dcm"]
    assert (site.state / "spool").stat().st_mode & 0o077 == 0


def test_codes_are_imported_and_bad_rows_named(site: Site) -> None:
    header = "CodeId;Abbreviation;ShortName;LongName;BeginningDate;ExpiringDate;Status;A:Radiologia"
    good = "ZZ1AD;;New;New;01.01.2024;31.12.2030;1;T"
    path = site.folder / "codes.csv"
    path.write_text(f"{header}\n{good}\nZZ2AD;too;few\n", encoding="iso-8859-1")
    status, _, err = site.run("codes", "import", str(path), "--strict")
    assert status == 1
    assert "line 3" in err
    assert site.run("codes", "show", "ZZ1AD")[0] == 1
    summary = site.json("codes", "import", str(path))
    assert (summary["added"], [row["line"] for row in summary["bad"]]) == (1, [3])
    assert site.json("codes", "show", "ZZ1AD")[0]["valid_to"] is None
    assert site.json("codes", "import", str(path))["unchanged"] == 1


def test_receiving_starts_while_the_catalog_is_away_and_is_indexed_when_it_is_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.receive()
    monkeypatch.setattr("kuva_gateway.daemon.CATALOG_PAUSES", (0.05,))
    holder = sqlite3.connect(site.state / "catalog.sqlite", check_same_thread=False)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    daemon = Daemon(load(site.config), threading.Event(), site.config)
    starting = threading.Thread(target=daemon.start)
    starting.start()
    try:
        wait_until(lambda: daemon.ports, what="the port to open", timeout=30)
        assert _echo(daemon.ports[0]) == 0
        site.config.write_text(CONFIGURATION.replace("settle_after: 200ms", "settle_after: 300ms"))
        reloaded = site.json("config", "reload")
        assert [change["key"] for change in reloaded["changed"]] == ["settle_after"]
        assert starting.is_alive(), "the catalog was not away"
        holder.rollback()
        holder.close()
        starting.join(timeout=30)
        assert not starting.is_alive()
        assert site.json("stats")["running"] is True
        assert daemon._delivering is not None
        assert daemon._delivering._configuration.settle_after == 0.3
    finally:
        holder.close()
        daemon.stop()
        starting.join()


def _echo(port: int) -> int:
    from kuva_gateway.network.records import ProposedContext, Target
    from kuva_gateway.network.requestor import connect

    target = Target(host="127.0.0.1", port=port, called_ae="KUVAGW", calling_ae="CT1")
    context = ProposedContext(id=1, abstract_syntax="1.2.840.10008.1.1", transfer_syntaxes=("1.2.840.10008.1.2",))
    with connect(target, [context]) as association:
        return association.echo()
