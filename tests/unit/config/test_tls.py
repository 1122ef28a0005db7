"""What may be written about TLS, and what is said of what is hardly meant."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuva_gateway import parts
from kuva_gateway.config import Configuration, parse
from kuva_gateway.errors import ConfigurationError
from kuva_gateway.parts.calling import caller_tls
from tests.certificates import Authority, pem

FILES = {"certificate": "c", "key": "k", "ca": "a"}
SERVED = {"port": 2762, **FILES}


def made(**changes: Any) -> Configuration:
    return parse(yaml.safe_dump({"environment": "test", **changes}), Path("/etc/kuva/kuva-gateway.yaml"))


def notices(tls: dict[str, Any], **peer: Any) -> list[str]:
    return made(tls=tls, peers=[{"name": "ct1", "ae_title": "CT1", **peer}]).notices()


@pytest.mark.parametrize("name", ["ct1", "dns:ct1.example", "DNS:", "IP:ct1", "email:a@b.example", "*"])
def test_a_name_without_its_kind_is_a_fault(name: str) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        made(peers=[{"name": "ct1", "ae_title": "CT1", "certificate_names": [name]}])


def test_names_are_compared_as_they_are_meant() -> None:
    names = ["DNS:CT1.Hospital.example", "IP:2001:DB8::0:1", "URI:urn:OID:1.2", "CN: Ct1"]
    (peer,) = made(peers=[{"name": "ct1", "ae_title": "CT1", "certificate_names": names}]).peers
    assert peer.certificate_names == ("DNS:ct1.hospital.example", "IP:2001:db8::1", "URI:urn:OID:1.2", "CN:Ct1")


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ({"profile": "bcp195-extended"}, "Input should be 'bcp195' or 'modified-bcp195'"),
        ({"revocation": "list.pem"}, "revocation lists need ca"),
        ({"port": 2762, "certificate": "c"}, "a TLS port needs certificate and key"),
    ],
)
def test_what_cannot_be_meant_is_a_fault(tls: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        made(tls=tls)


def test_one_list_needs_no_brackets() -> None:
    assert made(tls={"ca": "a", "revocation": "list.pem"}).tls.revocation == (Path("list.pem"),)


@pytest.mark.parametrize(
    ("tls", "peer", "expected"),
    [
        (SERVED, {"require_tls": True, "certificate_names": ["CN:ct1"]}, ""),
        (SERVED, {"require_tls": True, "certificate_subject": "ct1"}, ""),
        (SERVED, {}, ""),
        ({**SERVED, "ca": None}, {"require_tls": True}, ""),
        (SERVED, {"require_tls": True}, "whoever has a certificate of tls.ca may speak as CT1"),
        (FILES, {"require_tls": True}, "there is no tls.port: it cannot come in"),
        (FILES, {"certificate_names": ["CN:ct1"]}, "there is no tls.port: it cannot come in"),
        ({**SERVED, "ca": None}, {"certificate_subject": "ct1"}, "nobody is asked for a certificate"),
    ],
)
def test_a_peer_that_cannot_come_in_or_that_others_may_imitate_is_told_of(
    tls: dict[str, Any], peer: dict[str, Any], expected: str
) -> None:
    found = [one for one in notices(tls, **peer) if "peers." in one]
    assert [expected in one for one in found] == ([True] if expected else [])


def test_the_collector_of_the_audit_trail_is_measured_like_everybody_else(tmp_path: Path) -> None:
    authority, theirs = Authority(), Authority("Log CA")
    files = {"ca": authority.write(tmp_path / "ca.pem"), "revocation": [authority.write_list(tmp_path / "list")]}
    other = theirs.write(tmp_path / "other.pem")
    configuration = made(tls={"profile": "modified-bcp195", **_plain(files)})
    names = {one["name"] for one in caller_tls(configuration).get_ciphers()}
    assert {"ECDHE-ECDSA-AES256-CCM", "ECDHE-RSA-CHACHA20-POLY1305"} < names
    assert caller_tls(configuration).verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    # Lists are those of tls.ca: whoever is measured by another authority has none.
    assert not caller_tls(configuration, other).verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    assert caller_tls(configuration, other).check_hostname


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    return {key: [str(one) for one in each] if isinstance(each, list) else str(each) for key, each in value.items()}


def test_files_that_keep_peers_out_are_told_of(tmp_path: Path) -> None:
    authority, other = Authority(), Authority("Other CA")
    ca = authority.write(tmp_path / "ca.pem")
    own = authority.issue("localhost", days=(-9, -1)).write(tmp_path / "own.pem")
    old = authority.write_list(tmp_path / "old", days=(-9, -1))
    files = {"certificate": str(own), "key": str(own), "ca": str(ca), "revocation": str(old)}
    told = parts.notices(made(tls=files))
    assert any("tls.certificate: a certificate expired on " in one for one in told)
    assert any("tls.revocation[0]: the list expired on " in one for one in told)
    assert not any("authorities" in one for one in told)
    ca.write_bytes(ca.read_bytes() + pem(other.certificate))
    fresh = authority.write_list(tmp_path / "fresh")
    good = authority.issue("localhost").write(tmp_path / "good.pem")
    files |= {"certificate": str(good), "key": str(good), "revocation": str(fresh)}
    (told_of,) = (one for one in parts.notices(made(tls=files)) if one.startswith("tls"))
    assert "no list of 1 of the 2 authorities of tls.ca" in told_of
    fresh.unlink()
    assert any("cannot be read" in one for one in parts.notices(made(tls=files)))
