"""Kills the gateway again and again (``kill -9``) while it receives and delivers, then counts what is missing.

Several modalities send without an end over several associations, images of 8 and 512 KiB; a stand-in archive takes what
is delivered, commits to it and writes down every reception. The moments are random: during the start, under load, and
while only deliveries are under way. Afterwards every acknowledged image must be there with the same bytes and its
receipt, and delivered; only one whose answer was cut off may have been delivered twice. Loopback only; everything is
removed at the end unless something is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway_process import Archive, Gateway, GaveUpError, wait
from kill_checks import Findings, check_delivered, check_kept, check_receipts
from kill_senders import Record, Senders

DURING_START = 0.12  # the share of kills that hit the start
LOAD_AT_MOST = 1.2  # seconds of load before a kill
BREATH = 0.1  # seconds for an answer to come to its sender
LIFE = 10.0  # seconds in which a gateway that listens acknowledges or delivers something
BACKLOG_HIGH = 1500  # acknowledged and not delivered; above it the senders rest for a few kills
REST_FOR, SEND_FOR = 6, 12  # kills
SETTLE = 600.0  # seconds for everything to be delivered in the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a campaign goes. ``pause`` is what a sender waits between two images on average, in seconds."""

    kills: int
    seed: int
    senders: int = 4
    victim: str = "main"
    pause: float = 0.012
    at_most: float = 7200.0
    """Seconds after which no further kill is begun."""
    processes: int | None = None


@dataclass(slots=True, kw_only=True)
class Campaign:
    """What happened."""

    seed: int
    kills: int = 0
    killed_children: int = 0
    while_receiving: int = 0
    while_delivering: int = 0
    while_starting: int = 0
    attempts: int = 0
    cut_off: int = 0
    associations: int = 0
    restart_seconds: list[float] = field(default_factory=list)
    starts_ns: list[int] = field(default_factory=list)
    kills_at: list[float] = field(default_factory=list)
    dying: list[tuple[float, float]] = field(default_factory=list)
    """From the blow to the end of every process."""
    seconds: float = 0.0
    found: Findings = field(default_factory=Findings)

    @property
    def summary(self) -> dict[str, object]:
        """The figures, as one flat object."""
        figures = asdict(self)
        for name in ("starts_ns", "kills_at", "dying", "restart_seconds", "found"):
            del figures[name]
        restarts = sorted(self.restart_seconds) or [0.0]
        figures["restart_seconds_median"] = round(statistics.median(restarts), 2)
        figures["restart_seconds_longest"] = round(restarts[-1], 2)
        return figures | asdict(self.found)

    @property
    def line(self) -> str:
        """One line for people."""
        found, figures = self.found, self.summary
        return (
            f"{self.kills} kills ({self.while_receiving} while receiving, {self.while_delivering} while delivering, "
            f"{self.while_starting} while starting; {self.killed_children} of a receiving process): "
            f"{found.acknowledged} acknowledged, {found.lost} lost, {found.damaged} damaged, "
            f"{found.wrong_receipts} wrong receipts, {found.delivered} delivered, {found.not_delivered} not delivered, "
            f"{found.delivered_twice} delivered twice ({found.twice_after_cut} after a cut answer), "
            f"restart {figures['restart_seconds_median']} s (longest {figures['restart_seconds_longest']} s), "
            f"{self.seconds:.0f} s in all, seed {self.seed}"
        )


def unexplained(refusals: Sequence[tuple[float, str]], dying: Sequence[tuple[float, float]]) -> list[str]:
    """Refusals that a kill does not explain.

    A receiving process that outlives the daemon by a moment cannot tell it of an image any more: the sender hears 0110,
    send again, instead of nothing.
    """
    return [
        said
        for at, said in refusals
        if not (said.startswith("0110") and any(began <= at <= ended + BREATH for began, ended in dying))
    ]


class Run:
    """One campaign in one folder."""

    def __init__(self, folder: Path, options: Options) -> None:
        self._options = options
        self._chance = random.Random(options.seed)
        self._folder = folder
        self._record = Record()
        self._campaign = Campaign(seed=options.seed)

    def go(self) -> Campaign:
        """Kill, wait for the end of all deliveries, compare.

        Raises
        ------
        GaveUpError
            The gateway does not start, or does not come to an end of its work.
        """
        began = time.monotonic()
        gateway = Gateway(self._folder / "gateway", archive_port=0)
        archive = Archive(self._folder, "--report-to", f"127.0.0.1:{gateway.port}")
        try:
            gateway = Gateway(
                self._folder / "gateway",
                archive_port=archive.port,
                port=gateway.port,
                processes=self._options.processes,
            )
            with gateway:
                self._kill_and_settle(gateway, archive, began)
                if gateway.stop() != 0:
                    self._campaign.found.say("the gateway did not stop with status 0")
        finally:
            archive.stop()
        self._compare(gateway, archive)
        self._campaign.seconds = round(time.monotonic() - began, 1)
        return self._campaign

    def _kill_and_settle(self, gateway: Gateway, archive: Archive, began: float) -> None:
        senders = Senders(
            gateway.port,
            self._record,
            seed=self._options.seed,
            count=self._options.senders,
            pause=self._options.pause,
        )
        self._start(gateway)
        senders.start()
        try:
            while self._campaign.kills < self._options.kills and time.monotonic() - began < self._options.at_most:
                self._one_kill(gateway, archive, senders)
                if senders.failures:
                    raise GaveUpError(f"a sender failed: {senders.failures[0]}")
        finally:
            finished = senders.finish(60.0)
        if not finished or senders.failures:
            raise GaveUpError(f"the senders did not come to their end: {senders.failures or 'no answer'}")
        self._settle(gateway)

    # -- kills -----------------------------------------------------------------------------------------------------

    def _start(self, gateway: Gateway) -> None:
        """Start the gateway and measure how long it took to listen; sometimes kill it on the way there."""
        while True:
            started = time.monotonic()
            self._campaign.starts_ns.append(time.time_ns())
            gateway.spawn()
            left = self._options.kills - self._campaign.kills
            if left <= 0 or not self._campaign.restart_seconds or self._chance.random() > DURING_START:
                break
            time.sleep(self._chance.uniform(0.0, 1.5) * statistics.median(self._campaign.restart_seconds))
            self._campaign.while_starting += 1
            self._note_kill("main", gateway)
        gateway.wait_listening()
        self._campaign.restart_seconds.append(time.monotonic() - started)

    def _one_kill(self, gateway: Gateway, archive: Archive, senders: Senders) -> None:
        """One kill at a random moment, and the next start where it is needed."""
        backlog = self._record.acknowledged - len({one["sop_instance_uid"] for one in archive.events("stored")})
        if backlog > BACKLOG_HIGH and self._campaign.kills % (REST_FOR + SEND_FOR) < REST_FOR:
            senders.going.clear()
        else:
            senders.going.set()
        self._wait_for_life(archive)
        acknowledged, delivered = self._record.acknowledged, len(archive.events("stored"))
        time.sleep(self._chance.uniform(0.0, LOAD_AT_MOST))
        self._campaign.while_receiving += self._record.acknowledged > acknowledged
        self._campaign.while_delivering += len(archive.events("stored")) > delivered
        self._note_kill(self._options.victim, gateway)
        if gateway.process is None:
            self._start(gateway)

    def _wait_for_life(self, archive: Archive) -> None:
        """Wait until something is acknowledged or delivered, so that a slow machine too has kills under load."""
        acknowledged, delivered = self._record.acknowledged, len(archive.events("stored"))

        def alive() -> bool:
            return self._record.acknowledged > acknowledged or len(archive.events("stored")) > delivered

        with contextlib.suppress(GaveUpError):
            wait(alive, "the first image after a start", timeout=LIFE)

    def _note_kill(self, victim: str, gateway: Gateway) -> None:
        began = time.time()
        killed = gateway.kill(victim, self._chance)
        self._campaign.kills_at.append(time.time())
        self._campaign.dying.append((began, time.time()))
        self._campaign.kills += 1
        self._campaign.killed_children += killed == "child"

    # -- the end ---------------------------------------------------------------------------------------------------

    def _settle(self, gateway: Gateway) -> None:
        """Wait until everything is catalogued and every study archived, or tell what is not."""
        try:
            gateway.wait_settled(SETTLE)
        except GaveUpError as error:
            with gateway.catalog() as catalog:
                states = catalog.execute("SELECT state, COUNT(*) FROM studies GROUP BY state").fetchall()
            self._campaign.found.say(f"{error}: {gateway.pending()} wait for the catalog, studies: {states}")

    def _compare(self, gateway: Gateway, archive: Archive) -> None:
        campaign, record = self._campaign, self._record
        campaign.attempts = len(record.attempts)
        campaign.cut_off = sum(attempt.answered_ns is None for attempt in record.attempts)
        campaign.associations = record.associations
        for refusal in unexplained(record.refusals, campaign.dying)[:5]:
            campaign.found.say(f"an image was refused: {refusal}")
        check_kept(gateway, record, campaign.found)
        check_receipts(gateway, record, campaign.starts_ns, campaign.found)
        check_delivered(record, archive.events("stored", "released"), campaign.kills_at, campaign.found)
        verified = gateway.command("spool", "verify")
        if verified.returncode != 0:
            campaign.found.say(f"spool verify: {verified.stderr.strip()[-300:]}")


def main() -> int:
    """Run a campaign; exit status 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="kill-runs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="to repeat the same choices (not the same timing)")
    parser.add_argument("--senders", type=int, default=4, help="modalities at once (default: %(default)s)")
    parser.add_argument("--victim", choices=("main", "child", "any"), default="main", help="which process is killed")
    parser.add_argument("--processes", type=int, default=None, help="listen.processes of the gateway")
    parser.add_argument("--minutes", type=float, default=120.0, help="begin no kill after this (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: the temporary folder)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures here")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    folder = Path(tempfile.mkdtemp(prefix="kuva-kills-", dir=options.folder))
    chosen = Options(
        kills=options.kills,
        seed=seed,
        senders=options.senders,
        victim=options.victim,
        at_most=options.minutes * 60,
        processes=options.processes,
    )
    try:
        campaign = Run(folder, chosen).go()
    except GaveUpError as error:
        print(f"gave up (seed {seed}, everything is left in {os.fspath(folder)}): {error}", file=sys.stderr)
        return 1
    print(campaign.line)
    for sentence in campaign.found.wrong:
        print(f"wrong: {sentence}", file=sys.stderr)
    if options.json is not None:
        options.json.write_text(json.dumps(campaign.summary, indent=1) + "\n", encoding="utf-8")
    if campaign.found.wrong:
        print(f"everything is left in {os.fspath(folder)}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
