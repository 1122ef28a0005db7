"""The services as one: each request finds its answer, each association has one line, none with patient data."""

from __future__ import annotations

import pytest

from kuva_gateway.network import AssociationRejected, Command, commands
from tests.unit.network.peers import p_data, pdv
from tests.unit.scp.conftest import (
    CT,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    Gateway,
    encode,
    image,
    store,
)


def request(field: int, sop_class: str, message_id: int = 1) -> bytes:
    command = Command(field=field, message_id=message_id, affected_class=sop_class)
    return p_data(pdv(1, 3, commands.encode(command)))


def test_echo_is_answered(gateway: Gateway) -> None:
    with gateway.associate((VERIFICATION, IMPLICIT), calling="MONITOR") as association:
        assert association.echo() == 0x0000


def test_an_echo_on_a_storage_context_is_0122(gateway: Gateway) -> None:
    with gateway.raw() as peer:
        peer.send(request(commands.C_ECHO_RQ, VERIFICATION))
        answer = peer.response()
    assert (answer.status, answer.error_comment) == (0x0122, "C-ECHO needs a presentation context for verification")


@pytest.mark.parametrize("field", [commands.C_FIND_RQ, commands.C_MOVE_RQ, commands.N_CREATE_RQ])
def test_a_service_that_is_not_offered_is_0211_and_the_association_goes_on(gateway: Gateway, field: int) -> None:
    with gateway.raw() as peer:
        peer.send(request(field, CT))
        answer = peer.response()
        assert (answer.status, answer.error_comment) == (0x0211, f"{commands.NAMES[field]} is not offered")
        peer.send(request(field, CT, message_id=2))
        assert peer.response().responded_to == 2


def test_an_event_report_of_a_peer_that_is_no_destination_is_refused(gateway: Gateway) -> None:
    with gateway.raw() as peer:
        command = Command(field=commands.N_EVENT_REPORT_RQ, message_id=1, affected_class=CT, event_type=1)
        peer.send(p_data(pdv(1, 3, commands.encode(command))))
        assert peer.response().status == 0x0118
    assert gateway.results == []


def test_a_quick_peers_next_request_may_be_there_before_the_answer_has_left(gateway: Gateway) -> None:
    with gateway.raw((VERIFICATION, IMPLICIT), calling="MONITOR") as peer:
        peer.send(*(request(commands.C_ECHO_RQ, VERIFICATION, message_id) for message_id in (1, 2, 3)))
        answers = [peer.response() for _ in range(3)]
    assert [(answer.responded_to, answer.status) for answer in answers] == [(1, 0), (2, 0), (3, 0)]


def test_an_association_has_one_line_with_what_it_did_and_how_it_ended(gateway: Gateway) -> None:
    with gateway.associate() as association:
        for _ in range(2):
            store(association, encode(image()))
        store(association, b"rubbish")
        store(association, encode(image()), sop_instance="1.2.03")
    (line,) = gateway.closed()
    assert line["peer"] == "ct1"
    assert line["calling_ae"] == "CT1"
    assert line["address"] == "127.0.0.1"
    assert line["stored"] == 2
    assert line["refused"] == {"0117": 1, "C000": 1}
    assert line["requests"] == 4
    assert line["bytes"] > 2 * len(encode(image()))
    assert line["seconds"] >= 0
    assert line["how"] == "released"
    assert line["association"] == gateway.receipts[0][0].receipt.association


def test_an_aborted_association_says_so(gateway: Gateway) -> None:
    with gateway.associate() as association:
        association.close()
    (line,) = gateway.closed()
    assert "aborted" in line["how"]


def test_a_rejected_association_has_a_line_with_the_reason(gateway: Gateway) -> None:
    with pytest.raises(AssociationRejected), gateway.associate(calling="STRANGER"):
        pass
    (line,) = gateway.log.of("association_rejected")
    assert line["calling_ae"] == "STRANGER"
    assert line["address"] == "127.0.0.1"
    assert line["why"] == "nobody with this calling AE title is configured"


def test_no_line_holds_patient_data(gateway: Gateway) -> None:
    with gateway.associate((CT, EXPLICIT)) as association:
        store(association, encode(image(PatientID="SECRET-ID", PatientName="Secret^Name")))
        store(association, encode(image(PatientID="SECRET-ID", PatientName="Secret^Name", SOPInstanceUID="1.2.5")))
        store(association, encode(image(PatientID="SECRET-ID", PatientName="Secret^Name"))[:-100])
    gateway.closed()
    assert "SECRET" not in repr(gateway.log.lines).upper()


def test_what_an_association_did_is_forgotten_when_it_ends(gateway: Gateway) -> None:
    for _ in range(5):
        gateway.store(encode(image()))
    gateway.closed(5)
    assert gateway.dispatcher._activities._by_id == {}
