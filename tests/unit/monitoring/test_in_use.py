"""What is told of certificates and lists is about those in use, not about files that nobody has loaded yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuva_gateway import parts
from kuva_gateway.config import Configuration
from kuva_gateway.monitoring.monitoring import as_it_is_now
from kuva_gateway.network.errors import TlsFilesError
from tests.certificates import Authority


def test_a_list_that_was_replaced_is_told_of_after_the_reload(tmp_path: Path) -> None:
    authority = Authority()
    ca, path = authority.write(tmp_path / "ca.pem"), authority.write_list(tmp_path / "list", days=(-9, -1))
    tls = {"ca": str(ca), "revocation": str(path)}
    configuration = Configuration.model_validate({"environment": "test", "tls": tls})
    in_use = as_it_is_now(lambda: parts.revocation_lists(configuration))
    old = in_use()
    authority.write_list(path)
    assert in_use() == old != parts.revocation_lists(configuration)
    path.unlink()
    assert in_use() == old
    gone = as_it_is_now(lambda: parts.revocation_lists(configuration))
    authority.write_list(path)
    with pytest.raises(TlsFilesError, match="cannot be read"):
        gone()
