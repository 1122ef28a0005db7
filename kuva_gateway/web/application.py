"""The web application: the front page and its stylesheet, for GET and HEAD, with nothing else to be had.

Promises that nothing is shown to a browser that came by a foreign name (a page of somebody else's may give its own name
the address of this machine and read what stands here: DNS rebinding), and that how things stand is found out at most
every few seconds, however often it is asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from importlib.resources import files
from time import monotonic

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kuva_gateway.config import Configuration
from kuva_gateway.monitoring.situation import Situation
from kuva_gateway.web.page import front_page
from kuva_gateway.web.words import WORDS, Language

FRESH = 5.0
"""Seconds for which one look is good."""
REFRESH = 30
"""Seconds after which a browser asks again."""
OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

Look = Callable[[], tuple[Situation, datetime | None]]
"""How things stand, and when a gateway that does not run ended (None: not known, or it runs)."""


class _Glance:
    """The last look, shared by everybody who asks; one thread looks at a time."""

    def __init__(self, look: Look, clock: Callable[[], float]) -> None:
        self._look, self._clock, self._lock = look, clock, threading.Lock()
        self._seen: tuple[Situation, datetime | None] | None = None
        self._good_until = 0.0

    def __call__(self) -> tuple[Situation, datetime | None]:
        with self._lock:
            if self._seen is None or self._clock() >= self._good_until:
                self._seen = self._look()
                self._good_until = self._clock() + FRESH
            return self._seen


def application(configuration: Configuration, look: Look, clock: Callable[[], float] = monotonic) -> Starlette:
    """The application; ``look`` is called by one thread at a time."""
    templates = Environment(
        loader=PackageLoader("kuva_gateway.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template, glance = templates.get_template("front.html"), _Glance(look, clock)
    style = files("kuva_gateway.web").joinpath("templates", "style.css").read_bytes()

    def front(request: Request) -> Response:
        language = _language(request, configuration.language)
        situation, stopped_at = glance()
        page = front_page(configuration, situation, language, stopped_at)
        text = template.render(
            page=page,
            words=WORDS[language],
            language=language,
            other="en" if language == "fi" else "fi",
            title=configuration.ae_title,
            environment=configuration.environment,
        )
        return Response(
            text, media_type="text/html", headers={**HEADERS, "Refresh": str(REFRESH), "Content-Language": language}
        )

    def stylesheet(request: Request) -> Response:
        return Response(style, media_type="text/css", headers=HEADERS)

    return Starlette(
        routes=[Route("/", front, methods=["GET"]), Route("/style.css", stylesheet, methods=["GET"])],
        middleware=[Middleware(_ByKnownName, names=OWN_NAMES.union(map(str.lower, configuration.web.allowed_hosts)))],
    )


class _ByKnownName:
    """Answers 421 to whoever asks for another host than this one (RFC 9110 7.4)."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            asked = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if len(asked) != 1 or host_name(asked[0]) not in self._names:
                text = "This page is not known by that name (web.allowed_hosts).\n"
                await Response(text, 421, media_type="text/plain", headers=HEADERS)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def host_name(value: str) -> str:
    """The name or address in a Host header, without its port (RFC 9110 7.2)."""
    value = value.strip().lower()
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0]


def _language(request: Request, configured: Language) -> Language:
    """``?lang=``, else the browser's first language that there is, else the configured one."""
    wanted = [request.query_params.get("lang", "")]
    wanted += [
        one.partition(";")[0].strip()[:2].lower() for one in request.headers.get("accept-language", "").split(",")
    ]
    for one in wanted:
        if one == "en":
            return "en"
        if one == "fi":
            return "fi"
    return configured
