"""What peers do is told to the audit trail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kuva_gateway.audit.events import Node, StudyTold
from kuva_gateway.audit.message import Message, Source, to_xml
from kuva_gateway.audit.reading import Told, read
from kuva_gateway.audit.trail import Place, Record
from kuva_gateway.dicom.header import Header
from kuva_gateway.network.records import UserIdentity
from kuva_gateway.scp import told
from kuva_gateway.scp.told import Received, Telling, user_name
from tests.support import wait_until
from tests.unit.scp.conftest import Gateway, encode, image, serve, store

US = Node(ae_title="KUVAGW", address="gw")


class Heard:
    """Takes messages as the trail's writer does, and reads them as people do."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def add(self, make: Any) -> None:
        from tests.unit.audit.messages import AT

        self.messages.append(make(US, AT))

    def told(self) -> list[Told]:
        source = Source(identifier="KUVAGW")
        return [
            read(Record(number=number, at=message.at, message=to_xml(message, source), hash="", place=Place("", 0)))
            for number, message in enumerate(self.messages, 1)
        ]

    def of(self, event: str) -> list[Told]:
        return [one for one in self.told() if one.event == event]


@pytest.fixture
def heard(gateway: Gateway) -> Heard:
    heard = Heard()
    gateway.dispatcher._telling._add = heard.add
    return heard


def test_an_association_that_stored_is_told_study_by_study(gateway: Gateway, heard: Heard) -> None:
    with gateway.associate() as association:
        for number in range(3):
            data = encode(image(SOPInstanceUID=f"1.2.3.{number}", StudyInstanceUID=f"1.2.{number // 2}"))
            assert store(association, data, sop_instance=f"1.2.3.{number}").status == 0
        assert heard.messages == []
    first, second = wait_until(lambda: heard.of("transferred") if len(heard.messages) == 2 else None)
    assert (first.studies, first.instances, second.studies, second.instances) == (("1.2.0",), 2, ("1.2.1",), 1)
    assert (first.by, first.address, first.others, first.action) == ("CT1", "127.0.0.1", ("KUVAGW",), "C")
    assert first.patients == (image().PatientID,)


def test_an_association_that_stored_nothing_is_not_told(gateway: Gateway, heard: Heard) -> None:
    with gateway.associate() as association:
        assert store(association, b"nonsense").status != 0
    gateway.closed()
    assert heard.messages == []


def test_who_is_not_let_in_is_told_once_a_minute(gateway: Gateway, heard: Heard) -> None:
    for _ in range(3):
        with pytest.raises(Exception, match="rejected"), gateway.associate(calling="STRANGER"):
            pass
    (refused,) = heard.of("alert")
    assert (refused.by, refused.address, refused.outcome) == ("STRANGER", "127.0.0.1", 8)
    assert refused.description == "nobody with this calling AE title is configured"
    assert refused.details == ("Node Authentication",)


def header(study: str, sop_class: str = "1.2.840.10008.5.1.4.1.1.2") -> Header:
    from kuva_gateway.dicom.scanner import scan

    made = image(StudyInstanceUID=study, SOPClassUID=sop_class)
    return scan(encode(made), "1.2.840.10008.1.2.1", whole=True)


def test_an_association_that_stores_into_many_studies_tells_of_the_one_that_rested_longest() -> None:
    received = Received()
    headers = [header(f"1.2.{number}") for number in range(told.STUDIES_KEPT)]
    assert [received.count(one) for one in headers] == [None] * told.STUDIES_KEPT
    assert received.count(headers[0]) is None
    found = received.count(header("1.2.9999"))
    assert found is not None
    assert (found.uid, sum(found.sop_classes.values())) == ("1.2.1", 1)
    rest = {one.uid: sum(one.sop_classes.values()) for one in received.rest()}
    assert len(rest) == told.STUDIES_KEPT
    assert rest["1.2.0"] == 2
    assert list(received.rest()) == []


def test_an_association_that_stays_for_days_tells_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    received, now = Received(), [0.0]
    monkeypatch.setattr(told, "monotonic", lambda: now[0])
    one = header("1.2.1")
    assert received.count(one) is None
    now[0] = told.TELL_AFTER + 1
    found = received.count(one)
    assert found is not None
    assert found.sop_classes == {"1.2.840.10008.5.1.4.1.1.2": 2}
    assert list(received.rest()) == []


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (None, ""),
        (UserIdentity(type=1, primary="päivi".encode()), "päivi"),
        (UserIdentity(type=2, primary=b"anna", secondary=b"secret"), "anna"),
        (UserIdentity(type=2, primary=b"\xff" * 1000), "\ufffd" * 256),
        (UserIdentity(type=3, primary=b"ticket"), "(Kerberos ticket)"),
        (UserIdentity(type=4, primary=b"<saml/>"), "(SAML assertion)"),
        (UserIdentity(type=5, primary=b"ey"), "(JSON web token)"),
        (UserIdentity(type=9, primary=b"?"), "(unknown)"),
    ],
)
def test_of_a_user_identity_only_names_are_told(identity: UserIdentity | None, name: str) -> None:
    assert user_name(identity) == name


def test_a_handshake_that_failed_is_told_without_a_name() -> None:
    heard = Heard()
    Telling(heard.add).refused("192.0.2.1", None, "TLS: no certificate")
    (one,) = heard.told()
    assert (one.by, one.address, one.description) == ("192.0.2.1", "192.0.2.1", "TLS: no certificate")


def test_without_a_trail_nothing_is_told_and_everything_works(tmp_path: Path) -> None:
    with serve(tmp_path / "spool") as running, running.associate() as association:
        assert store(association, encode(image())).status == 0


def test_a_retrieval_tells_whose_images_went_to_whom() -> None:
    from types import SimpleNamespace

    heard = Heard()
    asker: Any = SimpleNamespace(calling_ae="PACS", address="192.0.2.5", certificate_subject=None, user_identity=None)
    studies = [StudyTold(uid="1.2.1", patient_id="P1", sop_classes={"": 4})]
    Telling(heard.add).retrieval(asker, None, studies, "")
    Telling(heard.add).retrieval(asker, Node(ae_title="WS1", address="192.0.2.6"), studies, "3 of 4 were sent")
    got, moved = heard.of("transferred")
    assert (got.by, got.others, got.instances, got.outcome) == ("PACS", ("KUVAGW",), 4, 0)
    assert (moved.by, moved.others, moved.outcome, moved.description) == (
        "PACS",
        ("KUVAGW", "WS1"),
        4,
        "3 of 4 were sent",
    )
