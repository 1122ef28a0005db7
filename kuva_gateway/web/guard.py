"""Who does not get to the pages at all: browsers that came by a foreign name, and people whom nobody names."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kuva_gateway.web.access import Access

OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
CHALLENGE = 'Basic realm="kuva-gateway", charset="UTF-8"'


class ByKnownName:
    """Answers 421 to whoever asks for another host than this one (RFC 9110 7.4)."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            asked = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if len(asked) != 1 or host_name(asked[0]) not in self._names:
                text = "This page is not known by that name (web.allowed_hosts).\n"
                await _say(421, text)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class ForKnownPeople:
    """Answers 401 or 403 to whoever does not say who asks; ``request.state.user`` has the name of who does."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            given: dict[str, str] = {}
            for name, value in scope["headers"]:
                key = name.decode("latin-1")
                # Of two headers of one name, one may be the browser's own.
                given[key] = "" if key in given else value.decode("latin-1")
            user = self._access.who(given)
            if user is None:
                await self._refuse()(scope, receive, send)
                return
            scope.setdefault("state", {})["user"] = user
        await self._app(scope, receive, send)

    def _refuse(self) -> Response:
        if self._access.challenges:
            return _say(401, "Any name, and the token of web.token as the password.\n", {"WWW-Authenticate": CHALLENGE})
        return _say(403, "The proxy in front does not say who asks (web.user_header).\n")


def host_name(value: str) -> str:
    """The name or address in a Host header, without its port (RFC 9110 7.2)."""
    value = value.strip().lower()
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0]


def _say(status: int, text: str, more: dict[str, str] | None = None) -> Response:
    return Response(text, status, media_type="text/plain", headers={**HEADERS, **(more or {})})
