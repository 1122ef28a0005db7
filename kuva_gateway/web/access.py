"""Who may see the pages: whoever the hospital's proxy names, or whoever knows the token.

The pages listen to this machine alone, so that the header's word is that of the proxy, or of somebody with an account
here. Promises that a token is compared in constant time and that a name is short and printable.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kuva_gateway.errors import RefusedError

NAME_LENGTH = 64
"""Characters of a person's name at most."""
SHORTEST_TOKEN = 16
"""Characters; a shorter one would be guessed."""
ANYBODY = ""
"""Who asks where nobody has to say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What is asked of a browser. Without ``user_header`` and ``token`` everybody comes in."""

    user_header: str | None = None
    token: str | None = None

    @property
    def challenges(self) -> bool:
        """Whether a browser is to ask for a name and the token."""
        return self.token is not None

    def who(self, headers: Mapping[str, str]) -> str | None:
        """The person's name, :data:`ANYBODY`, or None for somebody who does not come in. Names of headers in small."""
        if self.user_header is None and self.token is None:
            return ANYBODY
        if self.user_header is not None and (name := headers.get(self.user_header.lower(), "").strip()):
            return _printable(name)
        return None if self.token is None else _bearer(headers.get("authorization", ""), self.token)


def read_token(path: Path) -> str:
    """The secret in a file.

    Raises
    ------
    RefusedError
        It cannot be read, or is too short to be one.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise RefusedError(f"web.token: {path} cannot be read: {why}") from None
    if len(token) < SHORTEST_TOKEN:
        raise RefusedError(f"web.token: {path} holds fewer than {SHORTEST_TOKEN} characters")
    return token


def _bearer(given: str, token: str) -> str | None:
    """Who shows the token: as a password under a name (RFC 7617), or alone (RFC 6750)."""
    scheme, _, value = given.partition(" ")
    name, secret = "token", value.strip()
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            return None
    elif scheme.lower() != "bearer":
        return None
    if not hmac.compare_digest(secret.encode("utf-8"), token.encode("utf-8")):
        return None
    return _printable(name) or "token"


def _printable(name: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in name[:NAME_LENGTH])
