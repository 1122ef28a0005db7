"""What must be true after kills: every acknowledged image is kept, accounted for and delivered, and nothing is twice.

Compares three witnesses: what the senders wrote down, what the gateway has (files, catalog, receipts), and what the
archive took. Each check returns sentences about what is wrong; none of them asks the gateway's process.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import math
import sqlite3
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gateway_process import Gateway
from kill_senders import Attempt, Record

Json = dict[str, Any]
PREFIX = 128 + 4  # bytes: preamble and DICM
LATE = 5.0  # seconds after a kill in which the archive may still read what was on its way
GROUP_LENGTH = 12  # bytes of the element that tells how long the rest of the meta information is (PS3.10 7.1)


@dataclass(slots=True, kw_only=True)
class Findings:
    """Counts for the summary, and a sentence for each thing that is wrong (the first few of a kind)."""

    acknowledged: int = 0
    lost: int = 0
    damaged: int = 0
    receipts: int = 0
    wrong_receipts: int = 0
    delivered: int = 0
    not_delivered: int = 0
    delivered_twice: int = 0
    twice_after_cut: int = 0
    """Of those delivered twice, how many because the answer of the first time was cut off."""
    wrong: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        """Keep a sentence."""
        if len(self.wrong) < 50:
            self.wrong.append(sentence)


def acknowledged(record: Record) -> dict[str, str]:
    """Digest by SOP Instance UID of what was answered with success."""
    answered = {attempt.uid for attempt in record.attempts if attempt.answered_ns is not None}
    return {uid: record.digests[uid] for uid in answered}


# -- kept --------------------------------------------------------------------------------------------------------------


def check_kept(gateway: Gateway, record: Record, found: Findings) -> None:
    """Every acknowledged image is in the catalog, and its file has the bytes that were sent."""
    with gateway.catalog() as catalog:
        files = catalogued(catalog)
    wanted = acknowledged(record)
    found.acknowledged = len(wanted)
    for uid, digest in wanted.items():
        check_instance(gateway.spool, uid, digest, files.get(uid, []), found)
    for uid in set(files) - set(record.digests):
        found.say(f"{uid} is in the catalog and nobody sent it")
    for folder in ("incoming", "arrived", "corrupt", "removing"):
        names = [path.name for path in (gateway.spool / folder).iterdir()]
        if names:
            found.say(f"{folder}/ holds {len(names)} files, such as {names[0]}")


def catalogued(catalog: sqlite3.Connection) -> dict[str, list[str]]:
    """The digests of the current files, by SOP Instance UID."""
    files: dict[str, list[str]] = defaultdict(list)
    for uid, digest in catalog.execute("SELECT uid, digest FROM instances WHERE current"):
        files[uid].append(bytes(digest).hex())
    return files


class Kept(Protocol):
    """Where :func:`check_instance` counts."""

    lost: int
    damaged: int

    def say(self, sentence: str) -> None:
        """Keep a sentence about what is wrong."""


def check_instance(spool: Path, uid: str, digest: str, files: Sequence[str], found: Kept) -> None:
    """One acknowledged image: once in the catalog, and its file holds the data set that was sent."""
    if len(files) != 1:
        found.lost += 1
        found.say(f"{uid} was acknowledged and the catalog has it {len(files)} times")
        return
    try:
        content = (spool / "instances" / files[0][:2] / files[0]).read_bytes()
    except OSError as error:
        found.lost += 1
        found.say(f"{uid} was acknowledged and its file cannot be read: {error.strerror}")
        return
    if hashlib.sha256(content).hexdigest() != files[0]:
        found.damaged += 1
        found.say(f"{uid} was acknowledged and its file is not the one of its name ({len(content)} bytes)")
    elif hashlib.sha256(data_set(content)).hexdigest() != digest:
        found.damaged += 1
        found.say(f"{uid} was acknowledged and its file holds another data set")


def data_set(content: bytes) -> memoryview:
    """What follows the file meta information; its first element tells how long it is (PS3.10 7.1)."""
    (length,) = struct.unpack_from("<I", content, PREFIX + GROUP_LENGTH - 4)
    return memoryview(content)[PREFIX + GROUP_LENGTH + length :]


# -- receipts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A row of the table of receipts."""

    time_ns: int
    association: int
    number: int
    peer: str


def check_receipts(gateway: Gateway, record: Record, starts_ns: Sequence[int], found: Findings) -> None:
    """Who, when and on which association: one receipt for each attempt that was answered, none without an attempt.

    ``starts_ns`` are the moments at which the gateway was started: association numbers begin anew with each.
    """
    by_uid = _receipts(gateway)
    found.receipts = sum(map(len, by_uid.values()))
    ours_to_theirs: dict[int, set[tuple[int, int]]] = defaultdict(set)
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in record.attempts:
        attempts[attempt.uid].append(attempt)
    for uid, made in attempts.items():
        left = list(by_uid.pop(uid, ()))
        ends = [attempt.answered_ns or _next(made, number) for number, attempt in enumerate(made)]
        for attempt, end_ns in sorted(zip(made, ends, strict=True), key=lambda one: one[0].answered_ns is None):
            receipt = next((one for one in left if _belongs(one, attempt, end_ns)), None)
            if receipt is None:
                if attempt.answered_ns is not None:
                    found.wrong_receipts += 1
                    found.say(f"{uid}: no receipt of {attempt.peer} between its sending and its acknowledgement")
                continue
            left.remove(receipt)
            run = bisect.bisect_right(starts_ns, receipt.time_ns)
            ours_to_theirs[attempt.association].add((run, receipt.association))
        for receipt in left:
            found.wrong_receipts += 1
            found.say(f"{uid}: a receipt of {receipt.peer} at {receipt.time_ns} that no attempt explains")
    for uid in by_uid:
        found.wrong_receipts += 1
        found.say(f"{uid}: a receipt of something that nobody sent")
    _check_associations(ours_to_theirs, found)


def _receipts(gateway: Gateway) -> dict[str, list[Receipt]]:
    by_uid: dict[str, list[Receipt]] = defaultdict(list)
    with gateway.catalog() as catalog:
        for uid, *values in catalog.execute(
            "SELECT i.uid, r.time_ns, r.association, r.number, r.peer FROM receipts r "
            "JOIN instances i ON i.id = r.instance_id ORDER BY r.time_ns"
        ):
            time_ns, association, number, peer = values
            by_uid[uid].append(Receipt(time_ns=time_ns, association=association, number=number, peer=peer))
    return by_uid


def _next(made: Sequence[Attempt], number: int) -> float:
    """An attempt that was cut off ended before the next one began: it ended with the gateway."""
    return made[number + 1].began_ns if number + 1 < len(made) else math.inf


def _belongs(receipt: Receipt, attempt: Attempt, end_ns: float) -> bool:
    return receipt.peer == attempt.peer and attempt.began_ns <= receipt.time_ns <= end_ns


def _check_associations(ours_to_theirs: Mapping[int, set[tuple[int, int]]], found: Findings) -> None:
    for ours, theirs in ours_to_theirs.items():
        if len(theirs) != 1:
            found.wrong_receipts += 1
            found.say(f"the images of sender's association {ours} have receipts of {len(theirs)} associations")
    shared = Counter(number for theirs in ours_to_theirs.values() for number in theirs)
    for (run, number), count in shared.items():
        if count != 1:
            found.wrong_receipts += 1
            found.say(f"receipts of {count} associations bear the number {number} in run {run} of the gateway")


# -- delivered ---------------------------------------------------------------------------------------------------------


def check_delivered(record: Record, events: Iterable[Json], kills_at: Sequence[float], found: Findings) -> None:
    """The archive has every acknowledged image with its bytes; twice only what a kill cut off from its answer.

    ``kills_at``: the moments of the kills, in seconds since the epoch.
    """
    taken: dict[str, list[Json]] = defaultdict(list)
    last: dict[int, Json] = {}
    released: set[int] = set()
    for event in events:
        if event["event"] == "stored":
            taken[event["sop_instance_uid"]].append(event)
            last[event["association"]] = event
        elif event["event"] == "released":
            released.add(event["association"])
    for uid in acknowledged(record):
        if uid not in taken:
            found.not_delivered += 1
            found.say(f"{uid} was acknowledged and never delivered")
    for uid, times in taken.items():
        found.delivered += 1
        if any(event["digest"] != record.digests.get(uid) for event in times):
            found.damaged += 1
            found.say(f"{uid} was delivered with other bytes than it was sent with")
        if len(times) > 1:
            _judge_again(uid, times, last, released, kills_at, found)


def _judge_again(
    uid: str,
    times: Sequence[Json],
    last: Mapping[int, Json],
    released: set[int],
    kills_at: Sequence[float],
    found: Findings,
) -> None:
    """All but the last delivery must have been the last word of an association that a kill ended."""
    found.delivered_twice += 1
    for before, after in itertools.pairwise(times):
        number = before["association"]
        cut_off = last[number] is before and number not in released
        killed = bisect.bisect_left(kills_at, before["at"] - LATE) < bisect.bisect_right(kills_at, after["at"])
        if not (cut_off and killed):
            found.say(
                f"{uid} was delivered at {before['at']} on association {number} and again at {after['at']}, "
                f"{'and no kill was between' if not killed else 'although its answer was not cut off'}"
            )
            return
    found.twice_after_cut += 1
