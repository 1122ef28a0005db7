"""Audit messages and the schema of PS3.15 A.5.1."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kuva_gateway.audit import events
from kuva_gateway.audit.message import to_xml
from tests.support import program
from tests.unit.audit.messages import AT, SOURCE, US, every_kind

SCHEMA = Path(__file__).with_name("audit-message.rnc")


def jing(*paths: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("jing"), "-c", str(SCHEMA), *map(str, paths)], capture_output=True, text=True, check=False, timeout=60
    )


def test_every_kind_of_message_is_valid_by_the_schema_of_the_standard(tmp_path: Path) -> None:
    paths = []
    for kind, message in every_kind().items():
        path = tmp_path / f"{kind}.xml"
        path.write_text(to_xml(message, SOURCE), "utf-8")
        paths.append(path)
    wrong = tmp_path / "wrong.xml"
    wrong.write_text(paths[0].read_text("utf-8").replace("EventDateTime", "EventTime"), "utf-8")
    checked = jing(*paths, wrong)
    assert "wrong.xml" in checked.stdout
    assert [line for line in checked.stdout.splitlines() if "wrong.xml" not in line] == []


def test_what_others_write_stays_text() -> None:
    root = ElementTree.fromstring(to_xml(every_kind()["received"], SOURCE))
    sender, own = root.findall("ActiveParticipant")
    assert sender.attrib == {
        "UserID": 'CT"1<&>\ufffd',
        "AlternativeUserID": "commonName=CT1",
        "UserName": "h\u00e4mmer\ufffd\ufffd",
        "UserIsRequestor": "true",
        "NetworkAccessPointID": "192.0.2.7",
        "NetworkAccessPointTypeCode": "2",
    }
    assert own.attrib["NetworkAccessPointTypeCode"] == "1"
    study, patient = root.findall("ParticipantObjectIdentification")
    assert study.attrib["ParticipantObjectID"] == "1.2.3"
    assert patient.attrib["ParticipantObjectID"] == "010199-999X<"
    described = study.find("ParticipantObjectDescription")
    assert described is not None
    assert [(one.tag, dict(one.attrib)) for one in described] == [
        ("Accession", {"Number": 'A"1'}),
        ("SOPClass", {"NumberOfInstances": "2"}),
        ("SOPClass", {"UID": "1.2.840.10008.5.1.4.1.1.2", "NumberOfInstances": "3"}),
    ]


def test_a_query_is_kept_byte_for_byte() -> None:
    root = ElementTree.fromstring(to_xml(every_kind()["queried"], SOURCE))
    asked = root.findtext("ParticipantObjectIdentification/ParticipantObjectQuery")
    assert asked is not None
    assert base64.b64decode(asked) == bytes(range(256))


@pytest.mark.parametrize("kind", every_kind())
def test_there_is_at_most_one_requestor(kind: str) -> None:
    root = ElementTree.fromstring(to_xml(every_kind()[kind], SOURCE))
    asked = [
        one.attrib["UserID"] for one in root.findall("ActiveParticipant") if one.attrib["UserIsRequestor"] == "true"
    ]
    assert len(asked) <= 1
    assert root.find("EventIdentification").attrib["EventDateTime"] == "2026-11-22T03:04:05.000678Z"  # type: ignore[union-attr]


def test_patients_of_several_studies_are_told_once() -> None:
    root = ElementTree.fromstring(to_xml(every_kind()["moved"], SOURCE))
    kinds = [one.attrib["ParticipantObjectTypeCode"] for one in root.findall("ParticipantObjectIdentification")]
    assert kinds == ["2", "2", "1"]


def test_text_that_no_encoding_has_is_told_as_far_as_it_can_be() -> None:
    """What a person types in a terminal of another character set comes as lone surrogates."""
    odd = "released \udce4"
    node = events.Node(ae_title=odd, address=odd, certificate=odd, user=odd)
    for message in (
        events.refused(US, AT, caller=node, why=odd),
        events.alert(US, AT, what=odd),
        events.queried(US, AT, asker=node, sop_class=odd, transfer_syntax=odd, identifier=b""),
    ):
        ElementTree.fromstring(to_xml(message, SOURCE).encode("utf-8"))
