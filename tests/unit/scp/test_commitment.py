"""Results of storage commitment that an archive reports on an association of its own."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.presentation import build_role

from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.network import ActionAnswer, Role
from tests.unit.scp.conftest import (
    COMMITMENT,
    COMMITMENT_INSTANCE,
    CT,
    EXPLICIT,
    IMPLICIT,
    Gateway,
    encode,
    image,
    store,
)

TRANSACTION = "2.25.77"
ROLES = {COMMITMENT: Role(scu=False, scp=True)}


def reference(instance: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = CT
    item.ReferencedSOPInstanceUID = instance
    if reason is not None:
        item.FailureReason = reason
    return item


def result(*, committed: tuple[str, ...] = (), failed: tuple[tuple[str, int], ...] = ()) -> Dataset:
    data_set = Dataset()
    data_set.TransactionUID = TRANSACTION
    if committed:
        data_set.ReferencedSOPSequence = [reference(instance) for instance in committed]
    if failed:
        data_set.FailedSOPSequence = [reference(*one) for one in failed]
    return data_set


def report(gateway: Gateway, data: bytes | None, *, event_type: int = 1, calling: str = "ARCHIVE", **more: Any) -> Any:
    roles = more.pop("roles", ROLES)
    syntax = more.pop("syntax", IMPLICIT)
    sop_class = more.pop("sop_class", COMMITMENT)
    with gateway.associate((COMMITMENT, syntax), calling=calling, roles=roles) as association:
        answer: ActionAnswer = association.event_report(
            association.contexts[1],
            sop_class=sop_class,
            sop_instance=COMMITMENT_INSTANCE,
            event_type=event_type,
            data_set=data,
        )
        return answer


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_result_is_passed_on_with_its_destination_and_answered_with_success(gateway: Gateway, syntax: str) -> None:
    data = encode(result(committed=("1.2.1", "1.2.2"), failed=(("1.2.3", 0x0112),)), syntax)
    assert report(gateway, data, event_type=2, syntax=syntax).status == 0x0000
    assert gateway.results == [
        ("national-archive", TRANSACTION, ((CT, "1.2.1"), (CT, "1.2.2")), ((CT, "1.2.3", 0x0112),))
    ]


def test_an_archive_that_proposed_no_role_is_heard_as_well(gateway: Gateway) -> None:
    assert report(gateway, encode(result(committed=("1.2.1",)), IMPLICIT), roles={}).status == 0x0000
    assert len(gateway.results) == 1


def test_one_that_is_peer_and_destination_reports_and_stores_on_one_association(gateway: Gateway) -> None:
    contexts = ((COMMITMENT, IMPLICIT), (CT, EXPLICIT))
    with gateway.associate(*contexts, calling="PACS", roles=ROLES) as association:
        answer = association.event_report(
            association.contexts[1],
            sop_class=COMMITMENT,
            sop_instance=COMMITMENT_INSTANCE,
            event_type=1,
            data_set=encode(result(committed=("1.2.1",)), IMPLICIT),
        )
        assert answer.status == 0x0000
        assert store(association, encode(image()), context=3).status == 0x0000
    assert [one[0] for one in gateway.results] == ["pacs-copy"]


def test_with_the_catalog_away_the_archive_is_told_to_report_again(gateway: Gateway) -> None:
    data = encode(result(committed=("1.2.1",)), IMPLICIT)
    gateway.result_error = CatalogUnavailableError("locked")
    answer = report(gateway, data)
    assert (answer.status, answer.comment) == (0x0110, "the catalog is away for now: report again")
    gateway.result_error = None
    assert report(gateway, data).status == 0x0000
    assert len(gateway.results) == 1


@pytest.mark.parametrize("event_type", [0, 3, 65535])
def test_an_unknown_event_type_is_0113(gateway: Gateway, event_type: int) -> None:
    answer = report(gateway, encode(result(committed=("1.2.1",)), IMPLICIT), event_type=event_type)
    assert answer.status == 0x0113
    assert answer.comment
    assert gateway.results == []


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"rubbish, and quite a lot of it",
        encode(Dataset(), IMPLICIT),
        b"\x08\x00\x95\x11\x06\x00\x00\x002..25\x00",
        b"\x08\x00\x99\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 3000,
    ],
    ids=["none", "empty", "rubbish", "no transaction", "bad transaction", "deeply nested"],
)
def test_a_malformed_result_is_0110_with_a_comment(gateway: Gateway, data: bytes | None) -> None:
    answer = report(gateway, data)
    assert answer.status == 0x0110
    assert "commitment result" in answer.comment or "Transaction UID" in answer.comment
    assert gateway.results == []


def test_a_report_of_another_class_is_0118(gateway: Gateway) -> None:
    answer = report(gateway, encode(result(committed=("1.2.1",)), IMPLICIT), sop_class="1.2.840.10008.5.1.1.14")
    assert answer.status == 0x0118
    assert gateway.results == []


def test_a_result_that_is_too_long_is_refused_and_the_association_goes_on(gateway: Gateway) -> None:
    too_long = encode(result(committed=tuple(f"1.2.{number}" for number in range(20_000))), IMPLICIT)
    with gateway.associate((COMMITMENT, IMPLICIT), calling="ARCHIVE", roles=ROLES) as association:
        names = {"sop_class": COMMITMENT, "sop_instance": COMMITMENT_INSTANCE, "event_type": 1}
        assert association.event_report(association.contexts[1], data_set=too_long, **names).status == 0x0213
        data = encode(result(committed=("1.2.1",)), IMPLICIT)
        assert association.event_report(association.contexts[1], data_set=data, **names).status == 0x0000


def test_pynetdicom_as_the_archive_reports_on_a_new_association(gateway: Gateway) -> None:
    archive = AE(ae_title="ARCHIVE")
    archive.add_requested_context(COMMITMENT)
    association = archive.associate(
        "127.0.0.1", gateway.port, ae_title="KUVAGW", ext_neg=[build_role(COMMITMENT, scp_role=True)]
    )
    assert association.is_established
    try:
        status, _ = association.send_n_event_report(result(committed=("1.2.1",)), 1, COMMITMENT, COMMITMENT_INSTANCE)
    finally:
        association.release()
        archive.shutdown()
    assert status.Status == 0x0000
    assert gateway.results == [("national-archive", TRANSACTION, ((CT, "1.2.1"),), ())]
