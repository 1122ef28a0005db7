"""The archive behind the gateway, asked at the same time as the catalog (``query.upstream``; docs/query.rst).

Keeps one query on a thread of its own. Promises that whoever waits for it waits so long in all and no longer, that an
asker who cancels or goes away cancels it there, that a bounded number of answers is in memory, and that whatever the
archive answers is read as data and nothing else: an answer that cannot be read is left out and counted.
"""

from __future__ import annotations

import json
import queue
import re
import struct
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import replace
from time import monotonic

from kuva_gateway.catalog.attributes import ATTRIBUTES, AVAILABILITY_TAG, RETRIEVE_AE_TITLE, Attribute, Kind
from kuva_gateway.catalog.known import Place
from kuva_gateway.catalog.search import Row, Search
from kuva_gateway.dicom import statuses, syntaxes
from kuva_gateway.dicom.data_set import ElementError, read_elements
from kuva_gateway.dicom.identifier import Identifier, IdentifierError, Value, read_match
from kuva_gateway.dicom.information_model import (
    INSTANCE_UID,
    PATIENT_ID,
    SERIES_UID,
    STUDY_ROOT_FIND,
    STUDY_UID,
    UNIQUE_KEYS,
    Level,
)
from kuva_gateway.forward import outcome
from kuva_gateway.forward.call import Call, judge_call
from kuva_gateway.network.errors import AssociationRejected, NetworkError, NoContext
from kuva_gateway.network.records import AcceptedContext, FindAnswer
from kuva_gateway.network.requestor import RequestorAssociation
from kuva_gateway.scp.answers import Template
from kuva_gateway.scp.upstream_rest import UpstreamRest

IN_MEMORY = 64
"""Answers that wait for the asker at most; then the archive waits."""
LOOK_EVERY = 0.1
"""Seconds between looks whether the asker cancels."""
NEARLINE = "NEARLINE"

_ISSUER = 0x0010_0021
_ABOVE = {Level.PATIENT: (PATIENT_ID, _ISSUER), Level.STUDY: (STUDY_UID,), Level.SERIES: (STUDY_UID, SERIES_UID)}
_ABOVE[Level.IMAGE] = (STUDY_UID, SERIES_UID, INSTANCE_UID)
_WORD = re.compile(r"[A-Za-z0-9 _.*?-]{1,64}")
_NUMBER = re.compile(r"[0-9]{1,12}")
_CONTEXT_SYNTAXES = (syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE)


class Match:
    """One answer of the archive: where it stands, and its row for the asker's template."""

    __slots__ = ("place", "row")

    def __init__(self, place: Place, row: Row) -> None:
        self.place = place
        self.row = row


class UpstreamQuery:
    """One query to the archive; it begins at once.

    Parameters
    ----------
    seconds
        How long whoever takes the answers waits for them, all waits together.
    """

    def __init__(
        self,
        call: Call,
        sop_class: str,
        identifier: Identifier,
        search: Search,
        seconds: float,
        rest: UpstreamRest,
    ) -> None:
        self.why = ""
        """Why there are not all answers; "" as long as nothing is wrong."""
        self.unread = 0
        """Answers that could not be read."""
        self._call = call
        self._sop_class = sop_class
        self._identifier = identifier
        self._search = search
        self._left = seconds
        self._rest = rest
        self._began = rest.began()
        self._heard = False
        self._stopped = threading.Event()
        self._over = threading.Event()
        self._found: queue.Queue[Match | None] = queue.Queue(IN_MEMORY)  # None: that was all
        self._association: RequestorAssociation | None = None
        threading.Thread(target=self._run, name=f"query to {call.name}", daemon=True).start()

    def take(self) -> list[Match] | None:
        """What has come, some answers at most, [] when nothing came for a moment; None: there is no more."""
        if self._stopped.is_set():
            return None
        begun, over = monotonic(), self._over.is_set()
        try:
            first = self._found.get(timeout=0 if over else min(LOOK_EVERY, max(0.0, self._left)) or 0.001)
        except queue.Empty:
            self._left -= monotonic() - begun
            if over:
                return None
            if self._left <= 0:
                self.why = self.why or "no answer in time"
                if not self._heard:
                    self._rest.failed(self.why, self._began)
                self.stop()
                return None
            return []
        self._left -= monotonic() - begun
        found = []
        while first is not None:
            found.append(first)
            try:
                first = self._found.get_nowait() if len(found) < IN_MEMORY else None
            except queue.Empty:
                break
        return found or None

    def stop(self) -> None:
        """No more is wanted: the archive hears C-CANCEL, and is cut off if it does not end soon after that."""
        self._stopped.set()
        if not self._over.is_set():
            cut = threading.Timer(self._call.timers.response, self._cut)
            cut.daemon = True
            cut.start()

    def _cut(self) -> None:
        association = self._association
        if association is not None and not self._over.is_set():
            association.abort("a query that nobody waits for does not end")

    # -- on its own thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._ask()
        except NoContext:
            self.why = "it offers no such query"
            self._rest.answered()
        except AssociationRejected as error:
            self.why = self.why or judge_call(error).code
            self._rest.answered()
        except NetworkError as error:
            self.why = self.why or judge_call(error).code
            if not (self._heard or self._stopped.is_set()):
                self._rest.failed(self.why, self._began)
        except Exception as error:  # whatever it answered costs its own answers only
            self.why = type(error).__name__
        finally:
            self._over.set()
            with suppress(queue.Full):  # then there is enough to take, and it is looked whether it is over
                self._found.put_nowait(None)

    def _ask(self) -> None:
        models = dict.fromkeys((self._sop_class, *([] if self._search.level is Level.PATIENT else [STUDY_ROOT_FIND])))
        with self._call.associate([(one, _CONTEXT_SYNTAXES) for one in models]) as association:
            self._association = association
            context = self._context(association)
            asked = self._asked(context.transfer_syntax)
            with closing(association.find(context, asked, enough=self._stopped.is_set)) as answers:
                for answer in answers:
                    if self._stopped.is_set():
                        return
                    self._take(answer, context.transfer_syntax)

    def _context(self, association: RequestorAssociation) -> AcceptedContext:
        try:
            return association.context_for(self._sop_class)
        except NoContext:
            return association.context_for(STUDY_ROOT_FIND)

    def _asked(self, transfer_syntax: str) -> bytes:
        """The query as the archive gets it: what is understood of it, and the keys that say where a match stands."""
        tags = tuple(sorted({*self._search.tags, *_ABOVE[self._search.level]} - {AVAILABILITY_TAG, RETRIEVE_AE_TITLE}))
        wanted = replace(self._search, tags=tags)
        template = Template(
            wanted, character_set=self._identifier.character_set, ae_title="", transfer_syntax=transfer_syntax
        )
        keys = {tag: value for tag, value in self._identifier.keys.items() if ATTRIBUTES.get(tag) is not None}
        return template.encode(_row(keys, tags))

    def _take(self, answer: FindAnswer, transfer_syntax: str) -> None:
        if not self._heard:
            self._heard = True
            self._rest.answered()
        if not statuses.is_pending(answer.status):
            if answer.status != statuses.SUCCESS:
                self.why = outcome.classify(answer.status, answer.comment, answer.offending).code
            return
        try:
            match = self._match(answer.data_set or b"", transfer_syntax)
        except (IdentifierError, ElementError, ValueError, struct.error):
            match = None
        if match is None:
            self.unread += 1
            return
        while not self._stopped.is_set():
            try:
                self._found.put(match, timeout=LOOK_EVERY)
                return
            except queue.Full:
                continue

    def _match(self, data: bytes, transfer_syntax: str) -> Match | None:
        """None: it does not say where it stands, or is of something else than what was asked for."""
        keys = dict(read_match(data, transfer_syntax))
        for tag in self._search.tags:
            if ATTRIBUTES[tag].vr == "US":
                keys[tag] = _unsigned(data, transfer_syntax, tag)
        for tag in _ABOVE[self._search.level]:
            asked = self._identifier.values(tag) if tag in UNIQUE_KEYS.values() else ()
            if not keys.get(tag) and len(asked) == 1 and tag != UNIQUE_KEYS[self._search.level]:
                keys[tag] = asked[0]
        if not all(_matches(self._identifier.values(tag), keys.get(tag)) for tag in UNIQUE_KEYS.values()):
            return None
        place = Place(*(str(keys.get(tag) or "") for tag in (PATIENT_ID, _ISSUER, STUDY_UID, SERIES_UID, INSTANCE_UID)))
        needed = {STUDY_UID: place.study, UNIQUE_KEYS[self._search.level]: keys.get(UNIQUE_KEYS[self._search.level])}
        if self._search.level is Level.PATIENT:
            del needed[STUDY_UID]
        if not all(needed.values()):
            return None
        keys[AVAILABILITY_TAG] = NEARLINE
        return Match(place, _row(keys, self._search.tags))


def _matches(asked: tuple[str, ...], found: object) -> bool:
    """Whether a unique key may have this value, where single values were asked for (PS3.4 C.2.2.2.1, C.2.2.2.2)."""
    return not asked or not found or any("*" in one or "?" in one for one in asked) or str(found) in asked


def _row(keys: Mapping[int, Value], tags: tuple[int, ...]) -> Row:
    """Values as the catalog has them, for :class:`~kuva_gateway.scp.answers.Template`."""
    return tuple(_as_kept(ATTRIBUTES[tag], keys.get(tag, "")) for tag in tags)


def _as_kept(attribute: Attribute, value: Value) -> str:
    if attribute.kind is Kind.SEQUENCE:
        items = (
            []
            if isinstance(value, str)
            else [
                [str(one) if isinstance(one := item.get(tag, ""), str) else "" for tag, _ in attribute.members]
                for item in value
            ]
        )
        kept = [item for item in items if any(item)]
        return json.dumps(kept, ensure_ascii=False) if kept else ""
    if not isinstance(value, str):
        return ""
    if attribute.kind in (Kind.CODES, Kind.CLASSES):
        words = [word for word in value.split("\\") if _WORD.fullmatch(word)]
        return json.dumps(words) if words else ""
    if attribute.kind is Kind.COUNT:
        return value.strip() if _NUMBER.fullmatch(value.strip()) else ""
    return value


def _unsigned(data: bytes, transfer_syntax: str, tag: int) -> str:
    _, value = read_elements(data, transfer_syntax).get(tag, ("", b""))
    if not isinstance(value, bytes) or len(value) != 2:
        return ""
    return str(struct.unpack(">H" if syntaxes.is_big_endian(transfer_syntax) else "<H", value)[0])
