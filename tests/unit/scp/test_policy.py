"""Admission: who comes in, what each may do, and that everything else is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kuva_gateway.config import Configuration
from kuva_gateway.dicom import syntaxes
from kuva_gateway.dicom.sop_classes import STORAGE_CLASSES
from kuva_gateway.network import Admission, Answer, AssociationRequest, ProposedContext, Rejection, Role
from kuva_gateway.network.shown import PeerCertificate, read_shown
from kuva_gateway.scp.policy import Policy
from tests.unit.scp.conftest import COMMITMENT, CONFIGURATION, CT, EXPLICIT, IMPLICIT, MR, PRIVATE, VERIFICATION

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPIP = "1.2.840.10008.1.2.4.94"
SMPTE = "1.2.840.10008.1.2.7.1"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


def policy(**changes: Any) -> Policy:
    return Policy(Configuration.model_validate({**CONFIGURATION, **changes}))


def request(calling: str = "CT1", **more: Any) -> AssociationRequest:
    return AssociationRequest(**{"calling_ae": calling, "called_ae": "KUVAGW", "address": "127.0.0.1", **more})


def peers(*wanted: Mapping[str, Any]) -> Policy:
    allow = {"allow": ["echo", "store"]}
    named = [{"name": f"peer{number}", "ae_title": "CT1", **allow, **one} for number, one in enumerate(wanted)]
    return policy(peers=named, destinations=[])


def admitted(decision: Admission | Rejection) -> Admission:
    assert isinstance(decision, Admission), decision
    return decision


def assert_rejected(decision: Admission | Rejection, *, reason: int = 3) -> Rejection:
    assert isinstance(decision, Rejection), decision
    assert (decision.result, decision.source, decision.reason) == (1, 1, reason)
    assert decision.why
    return decision


def answer(admission: Admission, abstract: str, *offered: str) -> Answer:
    offered = offered or (IMPLICIT,)
    return admission.accept(ProposedContext(id=1, abstract_syntax=abstract, transfer_syntaxes=offered))


def test_a_known_peer_comes_in_under_its_configured_name_and_limit() -> None:
    found = admitted(peers({"name": "ct-room", "limits": {"associations": 3}}).admit(request()))
    assert (found.peer, found.limit) == ("ct-room", 3)


@pytest.mark.parametrize("called", ["", "kuvagw", "KUVAGW2", "ANY-SCP"])
def test_a_wrong_called_title_is_rejected_as_such(called: str) -> None:
    assert_rejected(policy().admit(request(called_ae=called)), reason=7)


@pytest.mark.parametrize("calling", ["", "STRANGER", "ct1", "CT11"])
def test_an_unknown_calling_title_is_rejected(calling: str) -> None:
    assert_rejected(policy().admit(request(calling)))


def test_without_any_configuration_nobody_comes_in() -> None:
    assert_rejected(policy(peers=[], destinations=[]).admit(request()))


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("fd00::7", True),
        ("fd01::7", False),
        ("::ffff:10.1.2.3", True),
        ("not an address", False),
    ],
)
def test_a_peer_comes_in_from_its_networks_only(address: str, inside: bool) -> None:
    decision = peers({"networks": ["10.1.0.0/16", "fd00::/16"]}).admit(request(address=address))
    assert isinstance(decision, Admission) is inside
    if not inside:
        assert_rejected(decision)


def test_no_networks_at_all_admit_from_nowhere_and_none_given_from_anywhere() -> None:
    assert_rejected(peers({"networks": []}).admit(request()))
    admitted(peers({"networks": None}).admit(request(address="203.0.113.9")))


def test_of_peers_that_share_a_title_the_first_whose_network_matches_counts() -> None:
    shared = peers({"networks": ["10.0.0.0/8"]}, {"networks": ["10.1.0.0/16"]}, {"networks": None})
    assert admitted(shared.admit(request(address="10.1.0.1"))).peer == "peer0"
    assert admitted(shared.admit(request(address="192.0.2.1"))).peer == "peer2"
    other = peers({"networks": ["10.2.0.0/16"]}, {"networks": ["10.1.0.0/16"]})
    assert admitted(other.admit(request(address="10.1.0.1"))).peer == "peer1"


def test_a_peer_that_must_use_tls_is_rejected_without() -> None:
    strict = peers({"require_tls": True})
    assert_rejected(strict.admit(request(tls=False)))
    admitted(strict.admit(request(tls=True)))


def certificate(*subject: tuple[str, str], names: Sequence[tuple[str, str]] = ()) -> PeerCertificate | None:
    """As :meth:`ssl.SSLSocket.getpeercert` gives it."""
    return read_shown({"subject": tuple((pair,) for pair in subject), "subjectAltName": tuple(names)})


@pytest.mark.parametrize(
    ("shown", "inside"),
    [
        (None, False),
        (certificate(("commonName", "ct1.example")), True),
        (certificate(("organizationName", "Hospital"), ("commonName", "ct1.example")), True),
        (certificate(("commonName", "ct2.example")), False),
        (certificate(("organizationName", "ct1.example")), False),
        (
            certificate(("organizationName", "x"), ("commonName", "ct1.example"), ("commonName", "ct2.example")),
            False,
        ),
        (certificate(("organizationName", "x,commonName=ct1.example")), False),
        (certificate(("commonName", "ct2.example"), names=[("DNS", "ct1.example")]), False),
    ],
)
def test_a_peer_with_a_certificate_subject_must_show_it(shown: PeerCertificate | None, inside: bool) -> None:
    strict = peers({"certificate_subject": "ct1.example"})
    decision = strict.admit(request(tls=shown is not None, certificate=shown))
    assert isinstance(decision, Admission) is inside


def test_a_whole_subject_may_be_configured_as_well() -> None:
    whole = "organizationName=Hospital,commonName=ct1.example"
    shown = certificate(("organizationName", "Hospital"), ("commonName", "ct1.example"))
    forged = certificate(("organizationName", "Hospital,commonName=ct1.example"))
    admitted(peers({"certificate_subject": whole}).admit(request(tls=True, certificate=shown)))
    assert_rejected(peers({"certificate_subject": whole}).admit(request(tls=True, certificate=forged)))


NAMES = ["DNS:CT1.hospital.example", "URI:urn:oid:1.2.246.10.1", "IP:2001:db8::1", "CN:ct1"]


@pytest.mark.parametrize(
    ("shown", "inside"),
    [
        (None, False),
        (certificate(names=[("DNS", "other.example"), ("DNS", "ct1.HOSPITAL.example")]), True),
        (certificate(names=[("URI", "urn:oid:1.2.246.10.1")]), True),
        (certificate(names=[("IP Address", "2001:DB8:0:0:0:0:0:1\n")]), True),
        (certificate(("commonName", "ct1")), True),
        (certificate(names=[("DNS", "*.hospital.example")]), False),
        (certificate(names=[("DNS", "ct1")]), False),
        (certificate(names=[("DNS", "urn:oid:1.2.246.10.1"), ("email", "ct1.hospital.example")]), False),
        (certificate(("commonName", "ct1.hospital.example")), False),
        (certificate(("commonName", "ct1"), ("commonName", "ct2")), False),
        (certificate(("commonName", "DNS:ct1.hospital.example")), False),
        (certificate(names=[("IP Address", "<invalid>"), ("othername", "<unsupported>")]), False),
    ],
)
def test_a_peer_with_certificate_names_must_show_one_of_them(shown: PeerCertificate | None, inside: bool) -> None:
    strict = peers({"certificate_names": NAMES})
    decision = strict.admit(request(tls=shown is not None, certificate=shown))
    assert isinstance(decision, Admission) is inside
    either = peers({"certificate_names": ["URI:urn:other"], "certificate_subject": "ct1"})
    assert isinstance(either.admit(request(tls=True, certificate=certificate(("commonName", "ct1")))), Admission)


# -- contexts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allow", "echo", "store", "commit"),
    [
        ([], 3, 3, 3),
        (["echo"], 0, 3, 3),
        (["store"], 3, 0, 3),
        (["echo", "store"], 0, 0, 3),
        (["find", "commit", "get"], 3, 3, 0),
    ],
)
def test_a_service_that_is_not_allowed_is_refused_in_negotiation(
    allow: list[str], echo: int, store: int, commit: int
) -> None:
    found = admitted(peers({"allow": allow}).admit(request()))
    assert answer(found, VERIFICATION).result == echo
    assert answer(found, CT).result == store
    assert answer(found, COMMITMENT).result == commit


def test_every_storage_class_of_the_standard_and_the_configured_private_ones_are_stored() -> None:
    found = admitted(policy().admit(request()))
    assert len(STORAGE_CLASSES) > 150
    for sop_class in (*STORAGE_CLASSES, PRIVATE):
        assert answer(found, sop_class).result == 0, sop_class
    assert answer(found, PRIVATE + ".1").result == 3
    assert answer(found, "1.2.840.10008.5.1.4.1.2.2.1").result == 3


def test_every_syntax_of_the_standard_is_taken_but_jpip_and_streams() -> None:
    found = admitted(policy().admit(request()))
    for syntax in syntaxes.ACCEPTED:
        assert answer(found, CT, syntax) == Answer(transfer_syntax=syntax)
    for syntax in (JPIP, SMPTE, "1.2.3.4.5"):
        assert answer(found, CT, syntax).result == 4


def test_the_choice_of_syntax_keeps_the_most_and_can_be_configured() -> None:
    offered = (IMPLICIT, JPEG_BASELINE, EXPLICIT, JPEG_2000_LOSSLESS)
    assert answer(admitted(policy().admit(request())), CT, *offered).transfer_syntax == JPEG_2000_LOSSLESS
    other = policy(transfer_syntaxes=[IMPLICIT])
    assert answer(admitted(other.admit(request())), CT, *offered).transfer_syntax == IMPLICIT


def test_verification_takes_plain_syntaxes_only() -> None:
    found = admitted(policy().admit(request()))
    assert answer(found, VERIFICATION, EXPLICIT).transfer_syntax == EXPLICIT
    assert answer(found, VERIFICATION, JPEG_BASELINE).result == 4


# -- destinations ----------------------------------------------------------------------------------------------------


def test_a_destination_that_is_no_peer_gets_in_for_commitment_results_and_nothing_else() -> None:
    found = admitted(policy().admit(request("ARCHIVE", roles={COMMITMENT: Role(scu=False, scp=True)})))
    assert found.peer == "national-archive"
    assert answer(found, COMMITMENT) == Answer(transfer_syntax=IMPLICIT, role=Role(scu=False, scp=True))
    for abstract in (VERIFICATION, CT, MR, PRIVATE):
        assert answer(found, abstract).result == 3


@pytest.mark.parametrize("roles", [{}, {COMMITMENT: Role(scu=True, scp=False)}])
def test_an_archive_that_forgets_to_propose_its_role_is_heard_all_the_same(roles: Mapping[str, Role]) -> None:
    found = admitted(policy().admit(request("ARCHIVE", roles=roles)))
    assert answer(found, COMMITMENT) == Answer(transfer_syntax=IMPLICIT)


def test_an_archive_that_proposes_both_roles_is_granted_that_of_the_reporter() -> None:
    found = admitted(policy().admit(request("ARCHIVE", roles={COMMITMENT: Role(scu=True, scp=True)})))
    assert answer(found, COMMITMENT).role == Role(scu=False, scp=True)


def test_one_that_is_peer_and_destination_is_both() -> None:
    found = admitted(policy().admit(request("PACS", roles={COMMITMENT: Role(scu=False, scp=True)})))
    assert found.peer == "pacs"
    assert answer(found, COMMITMENT).role == Role(scu=False, scp=True)
    assert answer(found, CT).result == 0
    assert answer(found, VERIFICATION).result == 0


def test_a_peers_title_is_no_way_in_as_a_destination_from_elsewhere() -> None:
    known = [{"name": "pacs", "ae_title": "PACS", "networks": ["10.0.0.0/8"]}]
    assert_rejected(policy(peers=known).admit(request("PACS")))


def test_a_destination_with_tls_reports_with_tls_where_the_gateway_offers_it() -> None:
    archive = [{"name": "archive", "ae_title": "ARCHIVE", "host": "a", "port": 1, "tls": True}]
    offered = policy(destinations=archive, tls={"port": 2762, "certificate": "c", "key": "k"})
    assert_rejected(offered.admit(request("ARCHIVE", tls=False)))
    admitted(offered.admit(request("ARCHIVE", tls=True)))
    admitted(policy(destinations=archive).admit(request("ARCHIVE", tls=False)))


def test_a_destination_with_certificate_names_reports_under_one_of_them() -> None:
    archive = [{"name": "archive", "ae_title": "ARCHIVE", "host": "a", "port": 1, "tls": True}]
    bound = [{**archive[0], "certificate_names": "DNS:archive.example"}]
    shown = certificate(names=[("DNS", "archive.example")])
    files = {"port": 2762, "certificate": "c", "key": "k", "ca": "a"}
    found = policy(destinations=bound, tls=files)
    admitted(found.admit(request("ARCHIVE", tls=True, certificate=shown)))
    for other in (None, certificate(("commonName", "archive.example"))):
        assert_rejected(found.admit(request("ARCHIVE", tls=True, certificate=other)))
    assert_rejected(found.admit(request("ARCHIVE")))
    admitted(policy(destinations=archive, tls=files).admit(request("ARCHIVE", tls=True)))


def test_a_destination_with_a_wrong_called_title_is_rejected() -> None:
    assert_rejected(policy().admit(request("ARCHIVE", called_ae="SOMEBODY")), reason=7)


def test_all_destinations_of_one_archive_are_known_by_its_title() -> None:
    twice = [{"name": name, "ae_title": "ARCHIVE", "host": "a", "port": 1} for name in ("one", "two")]
    assert policy(destinations=twice).destinations("ARCHIVE") == ("one", "two")
    assert policy().destinations("CT1") == ()


FIND, MOVE, GET = "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.1.3"


@pytest.mark.parametrize(("service", "sop_class"), [("find", FIND), ("move", MOVE), ("get", GET)])
def test_queries_and_retrieval_are_offered_to_peers_that_may_ask(service: str, sop_class: str) -> None:
    may = admitted(peers({"allow": [service]}).admit(request()))
    assert answer(may, sop_class, EXPLICIT) == Answer(transfer_syntax=EXPLICIT)
    assert answer(may, sop_class, JPEG_BASELINE).result == 4
    others = admitted(peers({"allow": ["echo", "store", *({"find", "move", "get"} - {service})]}).admit(request()))
    assert answer(others, sop_class).result == 3


def test_relational_queries_are_agreed_to_when_they_are_proposed() -> None:
    proposed = {FIND: b"\1\1\1", MOVE: b"\1"}
    found = admitted(peers({"allow": ["find", "move", "get"]}).admit(request(extended=proposed)))
    assert answer(found, FIND).extended == b"\1\1\0"
    assert answer(found, MOVE).extended == b"\1"
    assert answer(found, GET).extended is None


def test_a_destination_reports_to_the_title_by_which_it_was_called_and_peers_use_ours() -> None:
    archive = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 104}
    titles = {"calling_ae_title": "KUVAMAIN", "calling_ae_titles": {"1.2.246.10.1.19.0": "KUVATK"}}
    other = {"name": "other", "ae_title": "OTHER", "host": "127.0.0.1", "port": 105}
    judge = policy(destinations=[{**archive, **titles}, other])
    for called in ("KUVAGW", "KUVAMAIN", "KUVATK"):
        assert admitted(judge.admit(request("ARCHIVE", called_ae=called))).peer == "archive"
    assert_rejected(judge.admit(request("OTHER", called_ae="KUVATK")), reason=7)
    assert_rejected(judge.admit(request("CT1", called_ae="KUVATK")), reason=7)


FETCHED = {"upstream": "national-archive", "fetch_ae_title": "KUVAFETCH"}


def test_under_the_second_title_the_archive_stores_and_nothing_else_while_something_is_fetched() -> None:
    for fetches in (True, False):
        found = Policy(
            Configuration.model_validate({**CONFIGURATION, "query": FETCHED}), fetches=lambda fetches=fetches: fetches
        )
        if not fetches:
            assert_rejected(found.admit(request("ARCHIVE", called_ae="KUVAFETCH")), reason=7)
            continue
        let_in = admitted(found.admit(request("ARCHIVE", called_ae="KUVAFETCH")))
        assert let_in.peer == "national-archive"
        assert answer(let_in, CT, JPEG_BASELINE, EXPLICIT).transfer_syntax == EXPLICIT
        assert answer(let_in, CT, JPEG_BASELINE).transfer_syntax == JPEG_BASELINE
        assert [answer(let_in, one).result for one in (VERIFICATION, COMMITMENT, STUDY_FIND)] == [3, 3, 3]
        for calling in ("CT1", "PACS", "NOBODY"):
            assert_rejected(found.admit(request(calling, called_ae="KUVAFETCH")))
        assert_rejected(found.admit(request("ARCHIVE", called_ae="KUVAFETCH2")), reason=7)


@pytest.mark.parametrize(
    ("peer", "more"),
    [
        ({"networks": ["10.0.0.0/8"]}, {"address": "10.1.2.3"}),
        ({"require_tls": True}, {"tls": True}),
        (
            {"require_tls": True, "certificate_subject": "arc"},
            {"tls": True, "certificate": PeerCertificate(subject="commonName=arc", names=frozenset({"CN:arc"}))},
        ),
    ],
)
def test_what_a_peer_must_show_it_must_show_under_the_second_title_too(
    peer: Mapping[str, Any], more: Mapping[str, Any]
) -> None:
    named = {"name": "arc", "ae_title": "ARC", "host": "127.0.0.1", "port": 104, "allow": [], **peer}
    configuration = Configuration.model_validate(
        {**CONFIGURATION, "peers": [named], "query": {**FETCHED, "upstream": "arc"},
         "tls": {"port": 2762, "certificate": "c", "key": "k", "ca": "a"}}
    )  # fmt: skip
    found = Policy(configuration, fetches=lambda: True)
    assert_rejected(found.admit(request("ARC", called_ae="KUVAFETCH")))
    assert admitted(found.admit(request("ARC", called_ae="KUVAFETCH", **more))).peer == "arc"
