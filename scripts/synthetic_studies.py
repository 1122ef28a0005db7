"""Plans of synthetic studies: who, when, what, how many series and images, and how far each has come in the gateway.

Promises totals that are exactly those asked for, a realistic spread (weekdays and hours of twelve years, modalities'
shares, a heavy tail of images), and equal plans for equal seeds. Nothing here is a row or a file yet.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from synthetic_modalities import DOSE_REPORT, EXPLICIT, MODALITIES, Modality, Procedure
from synthetic_patients import UTF_8, Patient, patients, physicians

from kuva_gateway.dicom.header import CodeItem, Header

YEARS = 12
HETU_ROOT = "1.2.246.21"
CODE_SCHEME = "1.2.246.537.6.2"
ORGANISATION = "1.2.246.10.99999984"
"""A fictional organisation."""
_HOSPITALS = (("Esimerkkisairaala", "10"), ("Pohjolan keskussairaala", "20"), ("Saariston terveysasema", "30"))
_WEEKDAYS = (1.0, 1.02, 1.0, 0.98, 0.85, 0.22, 0.2)
_HOURS = (2, 1, 1, 1, 1, 2, 6, 30, 62, 70, 68, 58, 52, 60, 50, 34, 18, 12, 10, 9, 8, 7, 5, 3)
_SECOND = 1_000_000  # microseconds
STUDIES_PER_PATIENT = 2.6
RANDOM_UIDS = 0.35  # of studies come from devices whose UIDs are made of random UUIDs (PS3.5 B.2)
COMPRESSED = 0.35  # of the size, for syntaxes that compress
WITHOUT_CODE_ITEM = 0.3  # of studies name their code in Study Description alone
STATES = (("archived", 0.985), ("held", 0.012), ("rejected", 0.003))
NEWEST = (("receiving", 0.00002), ("settled", 0.00001), ("accepted", 0.003))
"""What only the newest studies can be, and for how large a share of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSeries:
    """One series; ``facts`` is what its images say of the study, as the catalog keeps it (decision 0004)."""

    facts: Header
    uid: str
    number: str
    description: str
    body_part: str
    rows: int
    columns: int
    frames: int
    images: int
    size: int
    """Bytes of its smallest object."""

    @property
    def requests(self) -> tuple[tuple[str, str, str], ...]:
        """The one request that it was made for."""
        accession = self.facts.accession_number
        return ((f"R{accession}", f"S{accession}", accession),)

    def header(self, sop_instance_uid: str, number: int) -> Header:
        """What the gateway would read from one of its images."""
        return replace(
            self.facts,
            sop_instance_uid=sop_instance_uid,
            series_instance_uid=self.uid,
            series_number=self.number,
            series_date=self.facts.study_date,
            series_time=self.facts.study_time,
            requests=self.requests,
            series_description=self.description,
            body_part=self.body_part,
            rows=self.rows,
            columns=self.columns,
            number_of_frames=self.frames,
            instance_number=str(number),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStudy:
    """One study; ``began`` is when its first image was received, in microseconds since 1970."""

    number: int
    uid: str
    peer: str
    state: str
    began: int
    random_uids: bool
    series: tuple[PlannedSeries, ...]


def plan(seed: int, until: date, *, studies: int, series: int, instances: int) -> Iterator[PlannedStudy]:
    """Plan ``studies`` that came in the twelve years before ``until``, the oldest first.

    Raises
    ------
    ValueError
        The totals do not fit each other.
    """
    rng = random.Random(seed)
    kinds = rng.choices(MODALITIES, [one.share for one in MODALITIES], k=studies)
    images = _image_counts(rng, kinds, instances)
    parts = _series_counts(kinds, images, series)
    people = patients(rng, max(1, int(studies / STUDIES_PER_PATIENT)))
    doctors = physicians(rng, 400)
    for number, began in enumerate(_moments(rng, until, studies)):
        yield _study(
            rng,
            number=number,
            began=began,
            state=_state(rng, number, studies),
            kind=kinds[number],
            counts=(parts[number], images[number]),
            patient=people[int(len(people) * rng.random() ** 1.6)],
            doctor=rng.choice(doctors),
        )


# -- totals ------------------------------------------------------------------------------------------------------------


def _image_counts(rng: random.Random, kinds: Sequence[Modality], total: int) -> list[int]:
    """Images per study, log-normal by modality; the heavy modalities are stretched until the sum is ``total``."""
    if total < 2 * len(kinds):
        raise ValueError("there must be two instances per study at least")
    drawn = [kind.images * rng.lognormvariate(-(kind.spread**2) / 2, kind.spread) for kind in kinds]
    light = sum(max(1, round(one)) for one, kind in zip(drawn, kinds, strict=True) if not kind.heavy)
    heavy = sum(one for one, kind in zip(drawn, kinds, strict=True) if kind.heavy)
    stretch = max(0.0, total - light) / heavy if heavy else 1.0
    counts = [max(1, round(one * stretch if kind.heavy else one)) for one, kind in zip(drawn, kinds, strict=True)]
    return _sum_to(total, counts, [1] * len(counts), [total] * len(counts))


def _series_counts(kinds: Sequence[Modality], images: Sequence[int], total: int) -> list[int]:
    """Series per study: never more than it has images."""
    if not len(images) <= total <= sum(images):
        raise ValueError("there must be a series per study at least, and an instance per series")
    counts = [
        min(max(1, round(count / kind.images_per_series)), count) for kind, count in zip(kinds, images, strict=True)
    ]
    return _sum_to(total, counts, [1] * len(counts), images)


def _sum_to(total: int, counts: list[int], least: Sequence[int], most: Sequence[int]) -> list[int]:
    """Move ``counts`` step by step until their sum is ``total``; the largest give or take most."""
    missing = total - sum(counts)
    while missing:
        step = 1 if missing > 0 else -1
        for place, count in enumerate(counts):
            room = most[place] - count if step > 0 else count - least[place]
            moved = min(room, abs(missing), max(1, count // 4))
            counts[place] += step * moved
            missing -= step * moved
            if not missing:
                break
    return counts


# -- when and how far --------------------------------------------------------------------------------------------------


def _moments(rng: random.Random, until: date, count: int) -> list[int]:
    """When the first image of each study came, in order: more on weekdays and in the mornings, more every year."""
    first = until - timedelta(days=round(YEARS * 365.25))
    days = [first + timedelta(days=number) for number in range((until - first).days)]
    weights = [_WEEKDAYS[day.weekday()] * (1 + 0.6 * place / len(days)) for place, day in enumerate(days)]
    starts = [int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) for day in days]
    hours = rng.choices(range(24), _HOURS, k=count)
    return sorted(
        (start + hour * 3600) * _SECOND + rng.randrange(3600 * _SECOND)
        for start, hour in zip(rng.choices(starts, weights, k=count), hours, strict=True)
    )


def _state(rng: random.Random, number: int, studies: int) -> str:
    left, bound = studies - 1 - number, 0
    for state, share in NEWEST:
        bound += max(1, round(share * studies))
        if left < bound:
            return state
    return rng.choices([state for state, _ in STATES], [share for _, share in STATES])[0]


# -- one study ---------------------------------------------------------------------------------------------------------


def _study(
    rng: random.Random,
    *,
    number: int,
    began: int,
    state: str,
    kind: Modality,
    counts: tuple[int, int],
    patient: Patient,
    doctor: str,
) -> PlannedStudy:
    at = datetime.fromtimestamp(began / _SECOND, UTC) - timedelta(minutes=5)
    random_uids = rng.random() < RANDOM_UIDS
    peer = rng.choice(kind.peers)
    uid = f"2.25.{rng.getrandbits(122)}" if random_uids else f"{ORGANISATION}.14.{at:%Y}.{number + 1}"
    procedure = rng.choice(kind.procedures)
    header = _header(rng, kind, procedure, uid=uid, at=at, number=number, patient=patient, doctor=doctor)
    return PlannedStudy(
        number=number,
        uid=uid,
        peer=peer,
        state=state,
        began=began,
        random_uids=random_uids,
        series=tuple(_series(rng, number, header, kind, procedure, peer, at, counts, random_uids)),
    )


def _header(
    rng: random.Random,
    kind: Modality,
    procedure: Procedure,
    *,
    uid: str,
    at: datetime,
    number: int,
    patient: Patient,
    doctor: str,
) -> Header:
    """What all images of the study say."""
    hospital, unit = _HOSPITALS[number % 7 % 3]
    item = CodeItem(value=procedure.code, scheme="99THL", scheme_uid=CODE_SCHEME, meaning=procedure.name)
    accession = f"{unit}{at:%y}{number + 1:08d}"
    return Header(
        sop_class_uid=kind.sop_class,
        study_instance_uid=uid,
        transfer_syntax_uid=rng.choice(kind.syntaxes),
        character_set=patient.character_set if patient.character_set == UTF_8 or rng.random() < 0.8 else UTF_8,
        patient_id=patient.hetu,
        issuer_of_patient_id=HETU_ROOT,
        issuer_universal_id=HETU_ROOT,
        issuer_universal_type="ISO",
        patient_name=patient.name,
        birth_date=patient.birth_date,
        sex=patient.sex,
        accession_number=accession,
        accession_issuer=ORGANISATION,
        study_date=f"{at:%Y%m%d}",
        study_time=f"{at:%H%M%S}",
        study_id=accession,
        study_description=f"{procedure.code} {procedure.name}"[:64],
        referring_physician=doctor,
        modality=kind.name,
        institution_name=hospital,
        institution_code=f"{ORGANISATION}.10.{unit}",
        procedure_codes=() if rng.random() < WITHOUT_CODE_ITEM else (item,),
        waveform_items=1 if kind.name == "ECG" else 0,
    )


def _series(
    rng: random.Random,
    number: int,
    header: Header,
    kind: Modality,
    procedure: Procedure,
    peer: str,
    at: datetime,
    counts: tuple[int, int],
    random_uids: bool,
) -> Iterator[PlannedSeries]:
    """The study's images dealt to its series, the last of which may be a dose report."""
    series, images = counts
    report = series > 1 and rng.random() < kind.dose_report
    dealt = [*_deal(rng, images - 1, series - 1), 1] if report else _deal(rng, images, series)
    size = kind.size if header.transfer_syntax_uid == EXPLICIT else int(kind.size * COMPRESSED)
    for place, count in enumerate(dealt):
        root = f"2.25.{rng.getrandbits(122)}" if random_uids else f"{ORGANISATION}.13.{1000 + sum(peer.encode())}"
        uid = root if random_uids else f"{root}.{at:%Y%m%d%H%M%S}.{number + 1}.{place + 1}"
        if report and place == series - 1:
            yield _dose_report(header, uid)
            return
        yield PlannedSeries(
            facts=header,
            uid=uid,
            number=str(place + 1),
            description=rng.choice(kind.series),
            body_part=procedure.body_part,
            rows=kind.rows,
            columns=kind.columns,
            frames=kind.frames,
            images=count,
            size=size,
        )


def _dose_report(header: Header, uid: str) -> PlannedSeries:
    return PlannedSeries(
        facts=replace(header, sop_class_uid=DOSE_REPORT, transfer_syntax_uid=EXPLICIT, modality="SR"),
        uid=uid,
        number="999",
        description="Dose Report",
        body_part="",
        rows=0,
        columns=0,
        frames=0,
        images=1,
        size=11_000,
    )


def _deal(rng: random.Random, images: int, series: int) -> list[int]:
    """So many images in so many series, unevenly; no series is empty."""
    counts = [1] * series
    left = images - series
    for place in range(series - 1):
        taken = int(left * rng.random() * 2 / (series - place)) if left else 0
        counts[place] += min(left, taken)
        left -= min(left, taken)
    counts[-1] += left
    return counts
