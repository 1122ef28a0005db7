"""Storage commitment that a modality asks for: what is answered at once, and the report on the same association."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.forward.references import Result, read_result, write_request
from kuva_gateway.network import ActionAnswer, Role
from tests.support import wait_until
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

TRANSACTION = "2.25.4711"
REQUEST = write_request(TRANSACTION, [(CT, "1.2.3.4"), (CT, "1.2.3.5"), (CT, "1.2.3.4")], IMPLICIT)


def ask(association: Any, data: bytes | None = REQUEST, *, context: int = 1, **changes: Any) -> ActionAnswer:
    values: dict[str, Any] = {
        "sop_class": COMMITMENT,
        "sop_instance": COMMITMENT_INSTANCE,
        "action_type": 1,
        **changes,
    }
    answer: ActionAnswer = association.action(association.contexts[context], data_set=data, **values)
    return answer


def request_with(**changes: Any) -> bytes:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, "1.2.3.4"
    data_set = Dataset()
    for name, value in {"TransactionUID": TRANSACTION, "ReferencedSOPSequence": [item], **changes}.items():
        if value is not None:
            setattr(data_set, name, value)
    return encode(data_set, IMPLICIT)


def half_an_item() -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = CT
    return item


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_request_is_taken_with_each_instance_once_and_answered(gateway: Gateway, syntax: str) -> None:
    data = write_request(TRANSACTION, [(CT, "1.2.3.4"), (CT, "1.2.3.5"), (CT, "1.2.3.4")], syntax)
    with gateway.associate((COMMITMENT, syntax), calling="CT2") as association:
        assert ask(association, data).status == 0x0000
    assert gateway.asked.taken == [("ct2", TRANSACTION, ((CT, "1.2.3.4"), (CT, "1.2.3.5")))]


def test_storage_and_commitment_go_over_one_association(gateway: Gateway) -> None:
    with gateway.associate((COMMITMENT, IMPLICIT), (CT, EXPLICIT), calling="CT2") as association:
        assert store(association, encode(image()), context=3).status == 0x0000
        assert ask(association).status == 0x0000
        assert (
            store(association, encode(image(SOPInstanceUID="1.2.3.5")), sop_instance="1.2.3.5", context=3).status == 0
        )
    assert len(gateway.receipts) == 2


@pytest.mark.parametrize("calling", ["CT1", "MONITOR"])
def test_a_peer_that_may_not_ask_is_offered_no_context(gateway: Gateway, calling: str) -> None:
    with gateway.associate((COMMITMENT, IMPLICIT), ("1.2.840.10008.1.1", IMPLICIT), calling=calling) as association:
        assert all(context.abstract_syntax != COMMITMENT for context in association.contexts.values())


def test_an_archive_that_is_no_such_peer_may_report_and_not_ask(gateway: Gateway) -> None:
    with gateway.associate((COMMITMENT, IMPLICIT), calling="ARCHIVE") as association:
        answer = ask(association)
    assert (answer.status, answer.comment) == (0x0124, "this peer may not ask for storage commitment")
    assert gateway.asked.taken == []


def test_one_that_says_it_is_no_scu_may_not_ask(gateway: Gateway) -> None:
    roles = {COMMITMENT: Role(scu=True, scp=False)}
    with gateway.associate((COMMITMENT, IMPLICIT), calling="CT2", roles=roles) as association:
        assert association.contexts[1].scu
        assert ask(association).status == 0x0000


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"sop_class": "1.2.840.10008.1.20.2"}, 0x0118),
        ({"sop_instance": "1.2.840.10008.1.20.2.1"}, 0x0112),
        ({"action_type": 2}, 0x0123),
        ({"data": None}, 0x0115),
        ({"data": b"rubbish that is no data set at all"}, 0x0115),
        ({"data": request_with(TransactionUID=None)}, 0x0115),
        ({"data": request_with(ReferencedSOPSequence=None)}, 0x0115),
        ({"data": request_with(ReferencedSOPSequence=[])}, 0x0115),
        ({"data": request_with(ReferencedSOPSequence=[half_an_item()])}, 0x0115),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_malformed_request_gets_the_failure_of_its_own(
    gateway: Gateway, changes: dict[str, Any], status: int
) -> None:
    with gateway.associate((COMMITMENT, IMPLICIT), calling="CT2") as association:
        answer = ask(association, **changes)
        assert answer.status == status
        assert 0 < len(answer.comment) <= 64
        assert gateway.asked.taken == []
        assert ask(association).status == 0x0000


def test_with_the_catalog_away_the_modality_is_told_to_ask_again(gateway: Gateway) -> None:
    gateway.asked.error = CatalogUnavailableError("locked")
    with gateway.associate((COMMITMENT, IMPLICIT), calling="CT2") as association:
        assert ask(association).status == 0x0110


def test_a_transaction_uid_that_stands_for_other_instances_is_refused(gateway: Gateway) -> None:
    gateway.asked.answer = "refused"
    with gateway.associate((COMMITMENT, IMPLICIT), calling="CT2") as association:
        answer = ask(association)
    assert (answer.status, answer.comment) == (0x0115, "the Transaction UID is in use for other instances")


def test_a_modality_that_waits_hears_the_report_on_the_same_association(gateway: Gateway) -> None:
    gateway.asked.answer = "soon"
    gateway.asked.result = Result(
        transaction_uid=TRANSACTION, committed=((CT, "1.2.3.4"),), failed=((CT, "1.2.3.5", 0x0112),)
    )
    heard: list[Any] = []

    def on_event(command: Any, data: bytes) -> int:
        heard.append((command.event_type, command.affected_instance, data))
        return 0x0000

    with gateway.associate((COMMITMENT, IMPLICIT), calling="CT2") as association:
        assert ask(association).status == 0x0000
        assert association.wait_event(10, on_event)
    ((event_type, instance, data),) = heard
    assert (event_type, instance) == (2, COMMITMENT_INSTANCE)
    assert read_result(data, IMPLICIT) == gateway.asked.result
    assert b"KUVAGW" in data  # Retrieve AE Title
    wait_until(lambda: gateway.asked.told_of == [("ct2", TRANSACTION, 0x0000)])


def test_a_modality_that_releases_at_once_is_told_elsewhere(gateway: Gateway) -> None:
    gateway.asked.answer = "soon"
    gateway.asked.result = Result(transaction_uid=TRANSACTION, committed=((CT, "1.2.3.4"),), failed=())
    with gateway.associate((COMMITMENT, IMPLICIT), calling="CT2") as association:
        assert ask(association).status == 0x0000
    wait_until(lambda: gateway.asked.told_of == [("ct2", TRANSACTION, None)])
    assert gateway.closed()[0]["how"] == "released"


def test_a_modality_that_goes_on_storing_is_answered_first(gateway: Gateway) -> None:
    gateway.asked.answer = "soon"
    with gateway.associate((COMMITMENT, IMPLICIT), (CT, EXPLICIT), calling="CT2") as association:
        assert ask(association).status == 0x0000
        assert store(association, encode(image()), context=3).status == 0x0000
    assert gateway.asked.told_of == [("ct2", TRANSACTION, None)]


def test_a_modality_that_goes_away_while_it_is_told_is_told_again(gateway: Gateway) -> None:
    gateway.asked.answer = "soon"
    gateway.asked.result = Result(transaction_uid=TRANSACTION, committed=((CT, "1.2.3.4"),), failed=())

    def on_event(command: Any, data: bytes) -> int:
        raise RuntimeError("the modality crashes")

    with gateway.associate((COMMITMENT, IMPLICIT), calling="CT2") as association:
        ask(association)
        with pytest.raises(RuntimeError):
            association.wait_event(10, on_event)
        association.close()
    wait_until(lambda: gateway.asked.told_of == [("ct2", TRANSACTION, None)])
