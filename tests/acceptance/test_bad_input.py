"""Each bad input has its own answer, with an Error Comment, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification

from tests.acceptance.gateway import Gateway
from tests.acceptance.sender import modality
from tests.studies import load_files, make_study
from tests.support import dcmtk, dcmtk_environment, wait_until


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all that must be refused: it must stay empty, whatever the order of the tests."""
    with Gateway(tmp_path_factory.mktemp("refusing") / "gateway") as running:
        yield running


def ct() -> Dataset:
    data_set: Dataset = make_study(kind="ct").data_sets[0]
    return data_set


def assert_nothing_kept(gateway: Gateway) -> None:
    assert gateway.leftovers() == []
    assert gateway.wait_catalogued()["instances"] == 0
    assert gateway.studies() == []


def with_value(keyword: str, value: str) -> Dataset:
    data_set = ct()
    setattr(data_set, keyword, value)
    return data_set


def test_a_command_that_differs_from_its_data_set_is_a900(refusing: Gateway) -> None:
    with modality(refusing.port) as sender:
        other_instance = sender.store(ct(), sop_instance="1.2.3.4")
        other_class = sender.store(with_value("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4"), sop_class=CTImageStorage)
    assert (other_instance.status, other_class.status) == (0xA900, 0xA900)
    assert other_instance.comment
    assert other_class.comment
    assert_nothing_kept(refusing)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("uid", ["1.2.03", "1..2", "../../etc/passwd", "1." + "2" * 70, ""])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
def test_a_bad_uid_in_the_data_set_is_a900(refusing: Gateway, keyword: str, uid: str) -> None:
    with modality(refusing.port) as sender:
        answer = sender.store(with_value(keyword, uid))
    assert answer.status == 0xA900
    assert answer.comment
    assert_nothing_kept(refusing)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_bad_uid_in_the_command_is_0117(refusing: Gateway) -> None:
    with modality(refusing.port) as sender:
        answer = sender.store(with_value("SOPInstanceUID", "1.2.03"))
    assert answer.status == 0x0117
    assert answer.comment
    assert_nothing_kept(refusing)


def test_a_class_that_is_not_allowed_is_0122(refusing: Gateway) -> None:
    """The context is one for CT images; the command names a private class that nobody configured."""
    with modality(refusing.port) as sender:
        answer = sender.store(with_value("SOPClassUID", "1.2.826.0.1.3680043.9.1.1"))
    assert answer.status == 0x0122
    assert answer.comment
    assert_nothing_kept(refusing)


def test_bytes_that_are_no_data_set_are_c000(refusing: Gateway) -> None:
    with modality(refusing.port) as sender:
        answer = sender.store(b"\xff\xfe\xfd no data set at all" * 20, sop_instance="1.2.3.4")
        truncated = sender.store(b"\x08\x00\x16\x00UI\x1a\x00" + b"1.2.840", sop_instance="1.2.3.4")
    assert (answer.status, truncated.status) == (0xC000, 0xC000)
    assert answer.comment
    assert_nothing_kept(refusing)


def test_a_real_identity_code_in_the_test_environment_is_0124(refusing: Gateway) -> None:
    with modality(refusing.port) as sender:
        answer = sender.store(with_value("PatientID", "131052-308T"))
    assert answer.status == 0x0124
    assert "131052" not in answer.comment
    assert_nothing_kept(refusing)


def test_without_space_the_answer_is_a700_and_later_it_is_taken(tmp_path: Path) -> None:
    study = make_study(kind="ct")
    with Gateway(tmp_path / "full", spool={"minimum_free": "1000000GiB"}) as gateway:
        with modality(gateway.port) as sender:
            answer = sender.store(study.data_sets[0])
        assert answer.status == 0xA700
        assert answer.comment
        assert_nothing_kept(gateway)


def test_good_images_go_on_after_a_bad_one_on_the_same_association(gateway: Gateway) -> None:
    with modality(gateway.port) as sender:
        assert sender.store(b"rubbish", sop_instance="1.2.3.4").status == 0xC000
        assert sender.store(ct()).status == 0x0000
    assert gateway.wait_catalogued()["instances"] == 1


@pytest.mark.parametrize(
    ("calling", "called"), [("STRANGER", "KUVAGW"), ("CT1", "SOMEBODY"), ("ARCHIVE", "SOMEBODY"), ("ct1", "KUVAGW")]
)
def test_strangers_and_wrong_called_titles_are_rejected(refusing: Gateway, calling: str, called: str) -> None:
    entity = AE(ae_title=calling)
    entity.add_requested_context(Verification)
    assert entity.associate("127.0.0.1", refusing.port, ae_title=called).is_rejected


def test_a_peer_that_may_only_echo_cannot_store(refusing: Gateway) -> None:
    entity = AE(ae_title="MONITOR")
    entity.add_requested_context(Verification)
    entity.add_requested_context(CTImageStorage)
    association = entity.associate("127.0.0.1", refusing.port, ae_title="KUVAGW")
    assert association.is_established
    assert association.send_c_echo().Status == 0x0000
    assert [context.abstract_syntax for context in association.accepted_contexts] == [Verification]
    association.release()


def test_a_peer_that_aborts_half_way_leaves_nothing_behind(gateway: Gateway, tmp_path: Path) -> None:
    load_files(tmp_path / "files", count=3, pixel_bytes=4 * 1024 * 1024)
    files = sorted((tmp_path / "files").iterdir())
    gateway.storescu(files, "--abort", check=False)
    gateway.wait_catalogued()
    assert gateway.leftovers() == []
    before = gateway.json("stats")["instances"]
    command = [*gateway.storescu_command(files * 20, "--repeat", "50")]
    sender = subprocess.Popen(
        command, env=dcmtk_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        wait_until(gateway.leftovers, what="an image half-way")
    finally:
        sender.send_signal(signal.SIGKILL)
        sender.wait()
    wait_until(lambda: not gateway.leftovers(), what="no leftovers")
    assert gateway.wait_catalogued()["instances"] <= before + 3
    assert gateway.cli("spool", "verify").status == 0


def test_wrong_usage_and_configuration_end_with_status_2(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gateway")
    assert gateway.cli("studies", "list", "--state", "nowhere").status == 2
    assert gateway.cli("nonsense").status == 2
    missing = gateway.cli("studies", "list")
    assert missing.status == 1
    assert len(missing.stderr.strip().splitlines()) == 1
    assert not gateway.state.exists(), "a listing makes no state directory"
    gateway.config.write_text("ae_title: KUVAGW\nsettle_after: soon\nfoo: 1\npeers: 7\n")
    checked = gateway.cli("config", "check")
    assert checked.status == 2
    for fault in ("environment", "settle_after", "foo", "peers"):
        assert fault in checked.stderr
    assert "line 2" in checked.stderr


def test_echo_is_answered_and_a_study_nobody_knows_is_not_found(refusing: Gateway) -> None:
    echo = [dcmtk("echoscu"), "-aet", "CT1", "-aec", "KUVAGW", "127.0.0.1", str(refusing.port)]
    subprocess.run(echo, env=dcmtk_environment(), check=True, timeout=20)
    unknown = refusing.cli("studies", "show", "1.2.3", "--json")
    assert unknown.status == 1
    assert unknown.stdout == ""
    assert len(unknown.stderr.strip().splitlines()) == 1
