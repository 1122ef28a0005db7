"""Until when certificates are valid, against what another program reads from the same files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from kuva_gateway.network.certificates import expiry
from kuva_gateway.network.errors import TlsFilesError


@pytest.mark.parametrize("until", [datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC), datetime(2061, 1, 2, tzinfo=UTC)])
def test_the_end_of_the_validity_is_read_in_both_forms(tmp_path: Path, until: datetime) -> None:
    path = tmp_path / "certificate.pem"
    issued = trustme.CA().issue_cert("gateway.hospital.example", not_after=until)
    path.write_bytes(issued.cert_chain_pems[0].bytes())
    assert expiry(path) == x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc == until


def test_of_several_certificates_the_first_that_expires_counts(tmp_path: Path) -> None:
    ends = [datetime(year, 1, 1, tzinfo=UTC) for year in (2033, 2029, 2040)]
    pems = [trustme.CA().issue_cert("a.example", not_after=end).cert_chain_pems[0].bytes() for end in ends]
    path = tmp_path / "ca.pem"
    path.write_bytes(b"a comment\n" + b"".join(pems))
    assert expiry(path) == ends[1]


@pytest.mark.parametrize(
    "content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pem"
    path.write_bytes(content)
    with pytest.raises(TlsFilesError, match="no certificate that can be understood"):
        expiry(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(TlsFilesError, match="cannot be read"):
        expiry(tmp_path / "a.pem")
