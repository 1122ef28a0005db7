"""A destination as the queue sees it: how it is called, how patiently, and whether it rests."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any, Protocol

from kuva_gateway.catalog import entries
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.config.delivery import Hours
from kuva_gateway.decoding.process import Bounds
from kuva_gateway.errors import CatalogUnavailableError
from kuva_gateway.forward.call import Call, probe
from kuva_gateway.forward.judgements import Judgements
from kuva_gateway.forward.outcome import Outcome
from kuva_gateway.forward.remedies import remedy
from kuva_gateway.network.pace import Pace
from kuva_gateway.network.shown import Shown
from kuva_gateway.network.timers import Limits, Timers
from kuva_gateway.queue.alarms import RESTS, Alarms
from kuva_gateway.queue.backoff import Rest, Schedule
from kuva_gateway.queue.decision import Patience
from kuva_gateway.queue.resting import Resting
from kuva_gateway.queue.streak import REFUSES_ALL, Streak
from kuva_gateway.queue.window import CLOSED, Window

APART = timedelta(milliseconds=100)  # between entries that are overdue when the gateway starts


class DestinationLike(Protocol):
    """What is needed of a destination in the configuration; durations are seconds."""

    @property
    def name(self) -> str: ...
    @property
    def ae_title(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def calling_ae_title(self) -> str | None: ...
    @property
    def calling_ae_titles(self) -> Mapping[str, str]: ...
    @property
    def tls(self) -> bool: ...
    @property
    def certificate_names(self) -> Collection[str]: ...
    @property
    def storage_commitment(self) -> bool: ...
    @property
    def commitment_wait(self) -> float: ...
    @property
    def commitment_overdue(self) -> float: ...
    @property
    def retry(self) -> str: ...
    @property
    def give_up_after(self) -> float: ...
    @property
    def rest_for(self) -> float: ...
    @property
    def rest_at_most(self) -> float: ...
    @property
    def workers(self) -> int: ...
    @property
    def window(self) -> str | None: ...
    @property
    def bandwidth(self) -> int | None: ...
    @property
    def decompress(self) -> bool: ...
    @property
    def statuses(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One destination. ``resting`` and ``streak`` are shared by all who call it."""

    call: Call
    patience: Patience
    resting: Resting
    streak: Streak
    window: Window | None = None
    workers: int = 2
    commitment: bool = True
    decoding: Bounds | None = None
    """What decompressing may use; None: nothing is decompressed for this destination."""
    commitment_wait: timedelta = timedelta(seconds=2)
    commitment_overdue: timedelta = timedelta(hours=1)
    calling: Mapping[str, str] = field(default_factory=dict)
    """The calling AE title that the destination expects for a register keeper; others get the one of ``call``."""
    keeper_of: Callable[[str], str] = lambda study: ""

    def call_for(self, study: str) -> Call:
        """How the destination is called for this study; raises CatalogUnavailableError when that must be looked up."""
        if not self.calling:
            return self.call
        return replace(self.call, calling_ae=self.calling.get(self.keeper_of(study), self.call.calling_ae))

    @property
    def name(self) -> str:
        """The destination's configured name."""
        return self.call.name


def make_lane(
    catalog: Catalog,
    destination: DestinationLike,
    *,
    ae_title: str,
    tls: ssl.SSLContext | None,
    zone: tzinfo,
    timers: Timers,
    limits: Limits,
    now: Callable[[], datetime],
    rng: random.Random,
    log: Any,
    alarms: Alarms,
    keeper_of: Callable[[str], str] = lambda study: "",
    decoding: Bounds | None = None,
    shown: Shown | None = None,
) -> Lane:
    """The lane of a configured destination; a rest that was noted before a restart goes on, what is overdue is spread.

    ``ae_title`` is the gateway's own, used where the destination names none; ``tls`` the client context, needed when
    the destination asks for TLS; its hours are those of ``zone``; ``keeper_of`` says whose register a study belongs
    into; ``decoding`` is what decompressing may use, where the destination wants that; ``shown`` keeps the certificates
    that destinations show.
    """
    call = Call(
        name=destination.name,
        host=destination.host,
        port=destination.port,
        called_ae=destination.ae_title,
        calling_ae=destination.calling_ae_title or ae_title,
        tls=tls if destination.tls else None,
        certificate_names=frozenset(destination.certificate_names),
        shown=shown,
        timers=timers,
        limits=limits,
        judgements=Judgements.parse(destination.statuses),
        pace=Pace(destination.bandwidth) if destination.bandwidth else None,
    )
    resting = Resting(
        destination.name,
        Rest(first=timedelta(seconds=destination.rest_for), longest=timedelta(seconds=destination.rest_at_most)),
        probe=lambda: probe(call),
        now=now,
        rng=rng,
        log=log,
        note=lambda until, why: _note(catalog, destination.name, until, why, log),
        alarm=lambda why: alarms.sound(RESTS, destination.name, code=why.code, why=str(why), remedy=remedy(why)),
    )
    schedule = Schedule.parse(destination.retry)
    entries.spread(catalog, destination.name, within=schedule.steps[0].delay, apart=APART)
    before = entries.destination_state(catalog, destination.name)
    if before.code == CLOSED:
        entries.wake(catalog, destination.name)
    elif before.resting_until is not None:
        resting.resume(before.resting_until, before.times)
    return Lane(
        call=call,
        patience=Patience(schedule=schedule, give_up_after=timedelta(seconds=destination.give_up_after)),
        resting=resting,
        streak=Streak(tripped=before.code == REFUSES_ALL),
        window=Window(Hours.parse(destination.window), zone) if destination.window else None,
        workers=destination.workers,
        commitment=destination.storage_commitment,
        decoding=decoding if destination.decompress else None,
        commitment_wait=timedelta(seconds=destination.commitment_wait),
        commitment_overdue=timedelta(seconds=destination.commitment_overdue),
        calling=destination.calling_ae_titles,
        keeper_of=keeper_of,
    )


def _note(catalog: Catalog, name: str, until: datetime | None, why: Outcome | None, log: Any) -> None:
    """Let operators see the rest; the memory of the running gateway decides, so a catalog that is away is no harm."""
    try:
        if until is None or why is None:
            entries.wake(catalog, name)
        else:
            entries.rest(catalog, name, until, why.code, f"{why}. {remedy(why)}")
    except CatalogUnavailableError as error:
        log.warning("the destination's rest is not noted", destination=name, why=str(error))
