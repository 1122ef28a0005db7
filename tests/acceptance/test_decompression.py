"""An archive that takes no compressed images gets them decompressed, from a real gateway, pixel for pixel."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from tests.acceptance.gateway import Gateway
from tests.studies import make_study
from tests.support import dcmtk, dcmtk_environment, free_port, wait_until

pytestmark = pytest.mark.slow

EXPLICIT = "1.2.840.10008.1.2.1"
# One image of pydicom's, compressed without loss in three ways, and the option that makes storescu propose it.
COMPRESSED = {"MR_small_RLE.dcm": "-xr", "MR_small_jpeg_ls_lossless.dcm": "-xt", "MR_small_jp2klossless.dcm": "-xv"}


def test_what_the_archive_does_not_take_compressed_goes_decompressed_and_the_received_bytes_stay(
    tmp_path: Path,
) -> None:
    port, folder = free_port(), tmp_path / "archive"
    folder.mkdir()
    command = [dcmtk("storescp"), "-aet", "ARCHIVE", "+xe", "-od", str(folder), str(port)]
    figures = {"port": free_port()}
    options = {"storage_commitment": False}
    with (
        subprocess.Popen(command, env=dcmtk_environment(), stdout=subprocess.DEVNULL) as archive,
        Gateway(tmp_path / "gateway", archive_port=port, destination=options, metrics=figures) as gateway,
    ):
        try:
            uids = []
            for number, (source, option) in enumerate(COMPRESSED.items()):
                study = make_study(source=source, accession=f"D{number}")
                gateway.storescu(study.write(tmp_path / "sent"), option)
                uids.append(study.uid)
            for uid in uids:
                gateway.wait_state(uid, "held")
            done = gateway.cli("studies", "release", *uids, "--by", "test", "--reason", "no documents here")
            assert done.status == 0, done.stderr
            for uid in uids:
                gateway.wait_state(uid, "archived", timeout=60)
            assert gateway.json("spool", "verify") == {"verified": len(COMPRESSED), "damaged": []}
            with urlopen(f"http://127.0.0.1:{figures['port']}/metrics", timeout=20) as answer:
                shown = answer.read().decode()
            counted = dict(re.findall(r'^kuva_gateway_converted_\w+\{.*how="(\w+)"\} (\S+)$', shown, re.MULTILINE))
            assert counted == {"decompressed": "3.0", "reencoded": "0.0", "not_possible": "0.0"}
        finally:
            archive.terminate()
    got = [dcmread(path) for path in sorted(folder.iterdir())]
    assert {str(one.StudyInstanceUID) for one in got} == set(uids)
    assert {str(one.file_meta.TransferSyntaxUID) for one in got} == {EXPLICIT}
    original = dcmread(str(get_testdata_file("MR_small.dcm"))).PixelData
    assert [one.PixelData == original for one in got] == [True] * len(COMPRESSED)


def test_with_decompression_switched_off_it_waits_with_the_syntax_named(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "archive"
    folder.mkdir()
    command = [dcmtk("storescp"), "-aet", "ARCHIVE", "-od", str(folder), str(port)]
    options = {"storage_commitment": False, "decompress": False}
    with (
        subprocess.Popen(command, env=dcmtk_environment(), stdout=subprocess.DEVNULL) as archive,
        Gateway(tmp_path / "gateway", archive_port=port, destination=options) as gateway,
    ):
        try:
            study = make_study(source="MR_small_jpeg_ls_lossless.dcm", accession="D9")
            gateway.storescu(study.write(tmp_path / "sent"), "-xt")
            gateway.wait_state(study.uid, "held")
            gateway.cli("studies", "release", study.uid, "--by", "test", "--reason", "no documents here")
            [entry] = wait_until(
                lambda: [one for one in gateway.json("queue", "list") if one["state"] == "failed"], what="its failure"
            )
            assert "JPEG-LS" in entry["last_error"]["comment"]
            shown = gateway.study(study.uid)
            assert shown is not None
            assert any(one["rule"] == "TS-01" and "JPEG-LS" in one["message"] for one in shown["findings"])
        finally:
            archive.terminate()
    assert list(folder.iterdir()) == []


def test_who_retrieves_gets_images_decompressed_where_its_configuration_says_so(tmp_path: Path) -> None:
    port, folder, got = free_port(), tmp_path / "viewer", tmp_path / "got"
    folder.mkdir()
    got.mkdir()
    called = {"host": "127.0.0.1", "port": port, "allow": ["move", "get"]}
    peers = [
        {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store"]},
        {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
        {"name": "viewer", "ae_title": "VIEWER", "decompress": True, **called},
        {"name": "old", "ae_title": "OLD", **called},
    ]
    command = [dcmtk("storescp"), "-aet", "VIEWER", "+xe", "-od", str(folder), str(port)]
    with (
        subprocess.Popen(command, env=dcmtk_environment(), stdout=subprocess.DEVNULL) as viewer,
        Gateway(tmp_path / "gateway", peers=peers) as gateway,
    ):
        try:
            studies = [make_study(source=source, accession=f"R{n}") for n, source in enumerate(COMPRESSED)]
            for study, option in zip(studies, COMPRESSED.values(), strict=True):
                gateway.storescu(study.write(tmp_path / "sent"), option)
            uids = [study.uid for study in studies]

            def retrieve(tool: str, title: str, *options: str) -> str:
                keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + "\\".join(uids)]
                call = [dcmtk(tool), "-v", "-S", "-aet", title, "-aec", "KUVAGW", *options, *keys]
                done = subprocess.run(
                    [*call, "127.0.0.1", str(gateway.port)],
                    env=dcmtk_environment(),
                    capture_output=True,
                    text=True,
                    timeout=100,
                    check=False,
                )
                return done.stdout + done.stderr

            said = retrieve("movescu", "OLD", "-aem", "OLD")
            assert "Success" not in said.partition("Final Move Response")[2], said
            assert list(folder.iterdir()) == []
            said = retrieve("movescu", "VIEWER", "-aem", "VIEWER")
            assert "Final Move Response (Success)" in said, said
            said = retrieve("getscu", "VIEWER", "+xe", "-od", str(got))
            assert "Completed Suboperations : 3" in said, said
            assert gateway.json("spool", "verify") == {"verified": len(COMPRESSED), "damaged": []}
        finally:
            viewer.terminate()
    original = dcmread(str(get_testdata_file("MR_small.dcm"))).PixelData
    for place in (folder, got):
        images = [dcmread(path) for path in sorted(place.iterdir())]
        assert {str(one.StudyInstanceUID) for one in images} == set(uids)
        assert {str(one.file_meta.TransferSyntaxUID) for one in images} == {EXPLICIT}
        assert [one.PixelData == original for one in images] == [True] * len(COMPRESSED)
