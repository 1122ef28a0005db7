"""The web application: the front page, held studies, a search and a study's page, for GET and HEAD.

Promises that nothing is shown to a browser that came by a foreign name (a page of somebody else's may give its own name
the address of this machine and read what stands here: DNS rebinding) or that does not say who asks, that how things
stand is found out at most every few seconds, however often it is asked for, and that a patient is shown only once the
audit trail has it.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kuva_gateway.catalog.flow import Flow
from kuva_gateway.config import Configuration
from kuva_gateway.errors import GatewayError, NotFoundError
from kuva_gateway.monitoring.situation import Situation
from kuva_gateway.web.access import Access
from kuva_gateway.web.guard import HEADERS, OWN_NAMES, ByKnownName, ForKnownPeople
from kuva_gateway.web.page import flow_plots, front_page
from kuva_gateway.web.reading import SHOWN, Json, Reader
from kuva_gateway.web.study_page import delivery, study_line, study_page
from kuva_gateway.web.telling import Teller
from kuva_gateway.web.words import WORDS, Language

FRESH = 5.0
"""Seconds for which one look is good."""
REFRESH = 30
"""Seconds after which a browser asks again."""
ONE_LOOK = 600.0
"""Seconds for which the same person's looks at the same study are one look."""
FAILED_SHOWN = 10
"""Entries on the front page."""
_UID = re.compile(r"[0-9.]{1,64}")
_RULE = re.compile(r"[A-Z]{2,3}-[0-9]{2}")
_LONGEST_QUESTION = 64

Look = Callable[[], tuple[Situation, datetime | None]]
"""How things stand, and when a gateway that does not run ended (None: not known, or it runs)."""

Seen = Callable[[str, Json], bool]
"""Writes down that a person (by name) is shown a study with its patient; False when that cannot be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Glimpse:
    """One look: how things stand, what went through, what has failed; None for what nobody knows."""

    situation: Situation
    stopped_at: datetime | None
    flow: Flow | None
    failed: list[Json] | None


class _Glance:
    """The last look, shared by everybody who asks; one thread looks at a time."""

    def __init__(self, look: Look, reader: Reader, clock: Callable[[], float]) -> None:
        self._look, self._reader, self._clock, self._lock = look, reader, clock, threading.Lock()
        self._seen: _Glimpse | None = None
        self._good_until = 0.0

    def __call__(self) -> _Glimpse:
        with self._lock:
            if self._seen is None or self._clock() >= self._good_until:
                self._seen = self._glimpse()
                self._good_until = self._clock() + FRESH
            return self._seen

    def _glimpse(self) -> _Glimpse:
        situation, stopped_at = self._look()
        flow = failed = None
        if situation.catalog is not None:
            with contextlib.suppress(GatewayError):  # it went away between two questions
                flow, failed = self._reader.flow(situation.at), self._reader.failed()
        return _Glimpse(situation=situation, stopped_at=stopped_at, flow=flow, failed=failed)


class _Looks:
    """Who has been shown which study of late: a page that reloads itself, and its picture, are one look."""

    def __init__(self, seen: Seen, clock: Callable[[], float]) -> None:
        self._seen, self._clock, self._lock = seen, clock, threading.Lock()
        self._until: dict[tuple[str, str], float] = {}

    def told(self, user: str, study: Json) -> bool:
        """Whether the look is written down."""
        with self._lock:
            now, look = self._clock(), (user, study["study_instance_uid"])
            self._until = {one: until for one, until in self._until.items() if until > now}
            if look not in self._until:
                if not self._seen(user, study):
                    return False
                self._until[look] = now + ONE_LOOK
            return True


class Pages:
    """What is answered to whom."""

    def __init__(
        self, configuration: Configuration, look: Look, reader: Reader, seen: Seen, clock: Callable[[], float]
    ) -> None:
        self._configuration = configuration
        self._zone = ZoneInfo(configuration.timezone)
        self._reader = reader
        self._looks = _Looks(seen, clock)
        self._glance = _Glance(look, reader, clock)
        self._templates = Environment(
            loader=PackageLoader("kuva_gateway.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._style = files("kuva_gateway.web").joinpath("templates", "style.css").read_bytes()

    def routes(self) -> list[Route]:
        """Every path that there is."""
        return [
            Route("/", self.front, methods=["GET"]),
            Route("/find", self.find, methods=["GET"]),
            Route("/held/{rule}", self.held, methods=["GET"]),
            Route("/study/{uid}", self.study, methods=["GET"]),
            Route("/study/{uid}/picture.png", self.picture, methods=["GET"]),
            Route("/style.css", self.stylesheet, methods=["GET"]),
        ]

    def front(self, request: Request) -> Response:
        """Is all well, and if not, what do I do?"""
        tell, seen = self._teller(request), self._glance()
        page = front_page(self._configuration, seen.situation, tell.language, seen.stopped_at)
        failed = None if seen.failed is None else [delivery(one, tell) for one in seen.failed[:FAILED_SHOWN]]
        return self._page(
            request,
            "front.html",
            tell,
            title=tell.words[page.verdict],
            page=page,
            flow=None if seen.flow is None else flow_plots(seen.flow, tell),
            failed=failed,
            more_failed=seen.failed is not None and len(seen.failed) > FAILED_SHOWN,
        )

    def find(self, request: Request) -> Response:
        """Search by accession number or UID; one that is found is shown at once."""
        tell, asked = self._teller(request), request.query_params.get("q", "").strip()[:_LONGEST_QUESTION]
        try:
            found = self._reader.found(asked) if asked else []
        except GatewayError:
            return self._away(request, tell)
        if len(found) == 1:
            to = f"study/{found[0]['study_instance_uid']}{_keep(request)}"
            return RedirectResponse(to, 303, headers=HEADERS)
        words = tell.words
        title = words["found_many"] if found else words["found_none"] if asked else words["find"]
        return self._list(request, tell, title, found, asked=asked)

    def held(self, request: Request) -> Response:
        """Studies that one rule holds."""
        tell, rule = self._teller(request), request.path_params["rule"]
        if not _RULE.fullmatch(rule):
            return self._missing(request, tell)
        try:
            found = self._reader.held(rule)
        except GatewayError:
            return self._away(request, tell)
        return self._list(request, tell, tell.words["held_by"].format(rule=rule), found)

    def study(self, request: Request) -> Response:
        """One study: what it is, what is wrong with it, where it is, and its life."""
        tell, uid = self._teller(request), request.path_params["uid"]
        if not _UID.fullmatch(uid):
            return self._missing(request, tell)
        try:
            study, story = self._reader.study(uid)
        except NotFoundError:
            return self._missing(request, tell)
        except GatewayError:
            return self._away(request, tell)
        if tell.patients and not (request.method == "GET" and self._looks.told(request.state.user, study)):
            tell = Teller(tell.language, self._zone, patients=False)
        page = study_page(study, story, tell)
        return self._page(request, "study.html", tell, title=page.title, study=page, masked=not tell.patients)

    def picture(self, request: Request) -> Response:
        """A picture of an image: who the patient is may stand in it."""
        tell, uid = self._teller(request), request.path_params["uid"]
        if not (tell.patients and _UID.fullmatch(uid) and request.method == "GET"):
            return self._missing(request, tell)
        try:
            study, _ = self._reader.study(uid)
            if not self._looks.told(request.state.user, study):
                return self._missing(request, tell)
            png = self._reader.picture(uid)
        except (OSError, GatewayError):  # the page's words for it are the picture's alternative text
            return self._missing(request, tell)
        return Response(png, media_type="image/png", headers=HEADERS)

    def stylesheet(self, request: Request) -> Response:
        """How the pages look."""
        return Response(self._style, media_type="text/css", headers=HEADERS)

    def _list(
        self, request: Request, tell: Teller, title: str, found: list[Json], *, asked: str | None = None
    ) -> Response:
        return self._page(
            request,
            "list.html",
            tell,
            title=title,
            studies=[study_line(one, tell) for one in found],
            cut=len(found) >= SHOWN,
            shown=SHOWN,
            asked=asked,
        )

    def _missing(self, request: Request, tell: Teller) -> Response:
        return self._page(request, "nothing.html", tell, title=tell.words["not_found"], status=404)

    def _away(self, request: Request, tell: Teller) -> Response:
        return self._page(request, "nothing.html", tell, title=tell.words["unknown"], status=503)

    def _teller(self, request: Request) -> Teller:
        language = _language(request, self._configuration.language)
        return Teller(language, self._zone, patients=self._configuration.web.show_patients)

    def _page(
        self, request: Request, template: str, tell: Teller, *, title: str, status: int = 200, **values: Any
    ) -> Response:
        text = self._templates.get_template(template).render(
            words=tell.words,
            language=tell.language,
            other="en" if tell.language == "fi" else "fi",
            gateway=self._configuration.ae_title,
            environment=self._configuration.environment,
            title=title,
            root="../" * (request.url.path.count("/") - 1),
            keep=_keep(request),
            user=request.state.user,
            **values,
        )
        headers = {**HEADERS, "Content-Language": tell.language}
        if status != 404:
            headers["Refresh"] = str(REFRESH)
        return Response(text, status, media_type="text/html", headers=headers)


def application(
    configuration: Configuration,
    look: Look,
    reader: Reader,
    *,
    access: Access | None = None,
    seen: Seen = lambda user, study: False,
    clock: Callable[[], float] = monotonic,
) -> Starlette:
    """The application; ``look`` is called by one thread at a time, ``reader`` by several."""
    names = OWN_NAMES.union(map(str.lower, configuration.web.allowed_hosts))
    return Starlette(
        routes=Pages(configuration, look, reader, seen, clock).routes(),
        middleware=[
            Middleware(ByKnownName, names=names),
            Middleware(ForKnownPeople, access=access or Access()),
        ],
    )


def _keep(request: Request) -> str:
    """What a link takes along: the language, where the address names one."""
    asked = request.query_params.get("lang")
    return f"?lang={asked}" if asked in WORDS else ""


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
