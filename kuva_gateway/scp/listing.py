"""What an archive has of what a C-MOVE or C-GET asks for and the catalog does not know: listed by C-FIND.

Promises an end within the time that an asker can wait, and that what is hidden here is not listed as the archive's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

from pydicom.dataset import Dataset

from kuva_gateway.catalog.database import Catalog
from kuva_gateway.catalog.known import Place, unknown
from kuva_gateway.catalog.visibility import Condition
from kuva_gateway.dicom import statuses, syntaxes
from kuva_gateway.dicom.data_set import ElementError, read_elements
from kuva_gateway.dicom.information_model import (
    INSTANCE_UID,
    PATIENT_ID,
    SERIES_UID,
    STUDY_ROOT_FIND,
    STUDY_UID,
    Level,
)
from kuva_gateway.dicom.uids import is_valid_uid
from kuva_gateway.forward import outcome
from kuva_gateway.forward.call import Call, judge_call
from kuva_gateway.forward.references import encoded
from kuva_gateway.network.errors import AssociationRejected, NetworkError, NoContext
from kuva_gateway.network.requestor import RequestorAssociation
from kuva_gateway.scp.upstream_rest import UpstreamRest
from kuva_gateway.spool.awaited import Wanted

MOST_INSTANCES = 100_000
"""Instances that are listed for one request at most."""

_SOP_CLASS, _SOP_CLASSES = 0x0008_0016, 0x0008_0062
_PLAIN = (syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE)


class NotListedError(Exception):
    """The archive did not say what it has."""


class Listing:
    """The instances that the archive has of what unique keys name, asked on a thread of its own; it begins at once.

    Parameters
    ----------
    seconds
        How long it may take.
    rest
        Whether the archive is left alone; None: it never is.
    classes
        Whether SOP classes matter.
    """

    def __init__(
        self,
        call: Call,
        level: Level,
        keys: Mapping[Level, Sequence[str]],
        seconds: float,
        rest: UpstreamRest | None = None,
        *,
        classes: bool = True,
    ) -> None:
        self._call = call
        self._asked = level, keys, classes
        self._deadline = monotonic() + seconds
        self._rest = rest
        self._why = "" if rest is None else rest.refusal()
        self._began = 0.0 if rest is None else rest.began()
        self._heard = threading.Event()
        self._over, self._stopped = threading.Event(), threading.Event()
        self._found: list[Wanted] = []
        self._association: RequestorAssociation | None = None
        if self._why:
            self._rest = None  # it was not asked
            self._over.set()
        else:
            threading.Thread(target=self._run, name=f"list at {call.name}", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most; whether it is over, or its time is."""
        left = self._deadline - monotonic()
        return self._over.wait(max(0.0, min(seconds, left))) or left <= seconds

    def stop(self) -> None:
        """Nobody waits any more."""
        self._stopped.set()
        association = self._association
        if association is not None and not self._over.is_set():
            association.abort("nobody waits for the listing")

    def found(self) -> list[Wanted]:
        """What there is.

        Raises
        ------
        NotListedError
            It did not answer, or not in time, or with a failure, or is left alone for a while.
        """
        why = self._why if self._over.is_set() else "no answer in time"
        if self._rest is not None and self._heard.is_set():
            self._rest.answered()
        elif self._rest is not None and why:
            self._rest.failed(why, self._began)
        if why:
            raise NotListedError(why)
        return self._found

    def _run(self) -> None:
        level, keys, classes = self._asked
        try:
            with self._call.associate([(STUDY_ROOT_FIND, _PLAIN)]) as association:
                self._association = association
                if self._stopped.is_set():
                    return
                self._found.extend(_list(association, level, keys, self._heard.set, classes=classes))
        except NetworkError as error:
            self._why = judge_call(error).code
            if isinstance(error, AssociationRejected | NoContext):
                self._heard.set()
        except NotListedError as error:
            self._why = str(error)
        except Exception as error:  # whatever it answered costs its own answers only
            self._why = type(error).__name__
        finally:
            self._over.set()


def elsewhere(
    catalog: Catalog,
    level: Level,
    keys: Mapping[Level, Sequence[str]],
    restriction: Condition,
    *,
    covered_only: bool,
) -> dict[Level, Sequence[str]]:
    """As much of a request's unique keys as the catalog does not know: what the archive is asked for; {}: nothing.

    What stands below a study needs its study's UID, and an image its series'. Of a patient everything is asked.
    """
    if level is Level.PATIENT:
        return {} if covered_only else dict(keys)
    above = [one for one in (Level.STUDY, Level.SERIES) if one < level]
    if any(len(keys.get(one, ())) != 1 for one in above):
        return {}
    higher = {place: keys[place][0] for place in above}
    study, series = higher.get(Level.STUDY, ""), higher.get(Level.SERIES, "")

    def place(uid: str) -> Place:
        if level is Level.STUDY:
            return Place(study=uid)
        return (
            Place(study=study, series=uid) if level is Level.SERIES else Place(study=study, series=series, instance=uid)
        )

    uids = keys[level]
    asked = unknown(catalog, level, [place(uid) for uid in uids], restriction, covered_only=covered_only)
    left = [uid for uid, new in zip(uids, asked, strict=True) if new]
    return {**{one: keys[one] for one in above}, level: left} if left else {}


def news(found: Sequence[Wanted], catalog: Catalog, restriction: Condition, *, covered_only: bool) -> list[Wanted]:
    """What of that the catalog does not know, nor hides."""
    places = [Place(study=one.study, series=one.series, instance=one.sop_instance) for one in found]
    shown = unknown(catalog, Level.IMAGE, places, restriction, covered_only=covered_only)
    return [one for one, new in zip(found, shown, strict=True) if new]


def _list(
    association: RequestorAssociation,
    level: Level,
    keys: Mapping[Level, Sequence[str]],
    heard: Callable[[], None],
    *,
    classes: bool,
) -> Iterator[Wanted]:
    """IMAGE by IMAGE (PS3.4 C.4.1.2.1 wants the higher keys, one value each)."""
    studies = list(keys.get(Level.STUDY, ()))
    if level is Level.PATIENT:
        patient = keys[Level.PATIENT][0]
        found = _find(association, heard, "STUDY", PatientID=patient)
        studies = [one[STUDY_UID] for one in found if one.get(PATIENT_ID, "") in ("", patient)]
    number = 0
    for study in studies:
        known = _classes(association, heard, study) if classes else ()
        more = {"SOPClassUID": ""} if classes and not known else {}
        series = list(keys.get(Level.SERIES, ())) if level >= Level.SERIES else []
        if not series:
            found = _find(association, heard, "SERIES", StudyInstanceUID=study)
            series = [one[SERIES_UID] for one in found if one.get(STUDY_UID, "") in ("", study)]
        for each in series:
            images = list(keys.get(Level.IMAGE, ())) if level is Level.IMAGE else ""
            for one in _find(
                association,
                heard,
                "IMAGE",
                StudyInstanceUID=study,
                SeriesInstanceUID=each,
                SOPInstanceUID=images,
                **more,
            ):
                if one.get(STUDY_UID, "") not in ("", study) or one.get(SERIES_UID, "") not in ("", each):
                    continue  # nobody asked for that
                number += 1
                if number > MOST_INSTANCES:
                    raise NotListedError("too many instances")
                named = one.get(_SOP_CLASS, "")
                yield Wanted(
                    study=study,
                    series=each,
                    sop_instance=one[INSTANCE_UID],
                    sop_class=known[0] if len(known) == 1 else named if is_valid_uid(named) else "",
                    may_be=known,
                )


def _classes(association: RequestorAssociation, heard: Callable[[], None], study: str) -> tuple[str, ...]:
    """The SOP classes of a study; (): the archive does not say.

    Asked of the study and not of each image: an archive may have to open each image's file to tell (Orthanc does, which
    made a listing of 1,000 images last ten seconds).
    """
    found = _find(association, heard, "STUDY", StudyInstanceUID=study, SOPClassesInStudy="")
    named = [one.get(_SOP_CLASSES, "") for one in found if one[STUDY_UID] == study]
    return tuple(sorted({uid for text in named for uid in text.split("\\") if is_valid_uid(uid)}))


_UNIQUE = {"STUDY": STUDY_UID, "SERIES": SERIES_UID, "IMAGE": INSTANCE_UID}


def _find(
    association: RequestorAssociation, heard: Callable[[], None], level: str, **given: Any
) -> list[dict[int, str]]:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    asked.StudyInstanceUID = asked.PatientID = ""
    if level != "STUDY":
        asked.SeriesInstanceUID = ""
    if level == "IMAGE":
        asked.SOPInstanceUID = ""
    for keyword, value in given.items():
        setattr(asked, keyword, value)
    context = association.context_for(STUDY_ROOT_FIND)
    found = []
    until = monotonic() + association.timers.response
    for answer in association.find(context, encoded(asked, context.transfer_syntax)):
        heard()
        if statuses.is_pending(answer.status):
            one = _uids(answer.data_set or b"", context.transfer_syntax)
            if one.get(_UNIQUE[level]):
                found.append(one)
            if len(found) > MOST_INSTANCES or monotonic() > until:
                raise NotListedError("too much, or too slow")
        elif answer.status != statuses.SUCCESS:
            raise NotListedError(outcome.classify(answer.status, answer.comment, answer.offending).code)
    return found


def _uids(data_set: bytes, transfer_syntax: str) -> dict[int, str]:
    try:
        elements = read_elements(data_set, transfer_syntax)
    except ElementError:
        return {}
    return {
        tag: value.decode("ascii", "replace").strip("\0 ")
        for tag in (PATIENT_ID, *_UNIQUE.values(), _SOP_CLASS, _SOP_CLASSES)
        if isinstance(value := elements.get(tag, ("", b""))[1], bytes)
    }
