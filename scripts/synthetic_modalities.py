"""What modalities of a hospital produce: classes, syntaxes, sizes, procedures and how many images, as plain facts.

The shares are those of studies in a Finnish hospital district, rounded; means and spreads of counts give the heavy tail
of cross-sectional imaging. Only :mod:`synthetic_studies` draws from them.
"""

from __future__ import annotations

from dataclasses import dataclass

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
LOSSLESS, J2K, BASELINE = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"
CLASSES = "1.2.840.10008.5.1.4.1.1"
DOSE_REPORT = f"{CLASSES}.88.67"
SECONDARY_CAPTURE = f"{CLASSES}.7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """A study's procedure code, its name, and the body part that images of it name."""

    code: str
    name: str
    body_part: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """What studies of one kind look like; ``images`` is the mean per study, ``spread`` of its logarithm."""

    name: str
    share: float
    sop_class: str
    images: float
    spread: float
    images_per_series: float
    size: int
    """Bytes of a usual object."""
    rows: int
    columns: int
    peers: tuple[str, ...]
    procedures: tuple[Procedure, ...]
    series: tuple[str, ...]
    """Series descriptions."""
    syntaxes: tuple[str, ...] = (EXPLICIT, LOSSLESS)
    frames: int = 0
    """Number of Frames of a usual object; 0: the attribute is absent."""
    dose_report: float = 0.0
    """The share of studies whose last series is a radiation dose report."""

    @property
    def heavy(self) -> bool:
        """Has it so many images that totals are tuned by it?"""
        return self.images >= 10


def _procedures(*rows: tuple[str, str, str]) -> tuple[Procedure, ...]:
    return tuple(Procedure(code=code, name=name, body_part=part) for code, name, part in rows)


_PLAIN = _procedures(
    ("GD1AA", "Thoraxin röntgen, radiologinen lausunto", "CHEST"),
    ("GD1AA", "Thoraxin röntgen, radiologinen lausunto", "CHEST"),
    ("GD1QA", "Thoraxin röntgen makuuasennossa", "CHEST"),
    ("NA3AA", "Lannerangan röntgen, radiologinen lausunto", "LSPINE"),
    ("NB1AA", "Olkanivelen röntgen, radiologinen lausunto", "SHOULDER"),
    ("ND1AA", "Ranteen röntgen, radiologinen lausunto", "WRIST"),
    ("NF1AA", "Lonkan röntgen, radiologinen lausunto", "HIP"),
    ("NG1AA", "Polven röntgen, radiologinen lausunto", "KNEE"),
    ("NH1AA", "Nilkan röntgen, radiologinen lausunto", "ANKLE"),
    ("DM1AA", "Nenän sivuonteloiden röntgen, radiologinen laus.", "PARANASALSINUS"),
)

MODALITIES: tuple[Modality, ...] = (
    Modality(
        name="DX", share=0.38, sop_class=f"{CLASSES}.1.1", images=2.3, spread=0.5, images_per_series=1.0,
        size=9_400_000, rows=2688, columns=2208, peers=("dx1", "dx2", "dx3"), procedures=_PLAIN,
        series=("AP", "PA", "LAT", "Sivu", "Viisto", "W Chest PA"), dose_report=0.1,
    ),
    Modality(
        name="CR", share=0.06, sop_class=f"{CLASSES}.1", images=2.0, spread=0.4, images_per_series=1.3,
        size=8_100_000, rows=2140, columns=1760, peers=("cr1",), procedures=_PLAIN, series=("AP", "LAT", ""),
    ),
    Modality(
        name="PX", share=0.08, sop_class=f"{CLASSES}.1.1", images=1.1, spread=0.2, images_per_series=1.0,
        size=6_300_000, rows=1536, columns=2860, peers=("px1", "px2"), series=("Panoraama", "Panoramic"),
        procedures=_procedures(("EB1HA", "Hampaat+leuka,panoraamatomogr, radiologinen laus.", "JAW")),
    ),
    Modality(
        name="IO", share=0.06, sop_class=f"{CLASSES}.1.3", images=1.7, spread=0.5, images_per_series=1.5,
        size=1_200_000, rows=1200, columns=900, peers=("px1",), series=("Bite-wing", "Periapikaali"),
        procedures=_procedures(
            ("EB1AA", "Hammasröntgen, radiologinen lausunto", "JAW"),
            ("EB1SA", "Hammas-rtg,Bite-Wing-sivualue,radiologinen laus.", "JAW"),
        ),
    ),
    Modality(
        name="US", share=0.12, sop_class=f"{CLASSES}.6.1", images=6.0, spread=0.8, images_per_series=8.0,
        size=310_000, rows=768, columns=1024, peers=("us1", "us2"), series=("", "Abdomen", "General"),
        syntaxes=(BASELINE, EXPLICIT),
        procedures=_procedures(
            ("JN1AE", "Ylävatsan UÄ", "ABDOMEN"), ("JN3AE", "Vatsan UÄ", "ABDOMEN"),
            ("BA1AE", "Kilpirauhasen UÄ", "THYROID"), ("HA1AE", "Rintarauhasten UÄ", "BREAST"),
            ("PH2AE", "Alaraajalaskimoiden UÄ", "LEG"), ("FM1AE", "Sydämen yleinen UÄ", "HEART"),
        ),
    ),
    Modality(
        name="CT", share=0.06, sop_class=f"{CLASSES}.2", images=60.0, spread=1.1, images_per_series=25.0,
        size=527_000, rows=512, columns=512, peers=("ct1", "ct2"), dose_report=0.8,
        series=("Topogram", "Ohut 1.0 Br40", "Ax 3.0", "Cor 3.0", "Sag 3.0", "Luu 2.0 Br64", "Keuhko 5.0"),
        procedures=_procedures(
            ("AA1AD", "Pään TT", "HEAD"), ("AA1BD", "Pään laaja TT", "HEAD"), ("GD1AD", "Thoraxin TT", "CHEST"),
            ("JN3AD", "Vatsan TT", "ABDOMEN"), ("JN4AD", "Vartalon TT", "ABDOMEN"),
            ("FB1BD", "Keuhkoembolia-TT", "CHEST"), ("NA3AD", "Lannerangan ja ristiluun TT", "LSPINE"),
        ),
    ),
    Modality(
        name="MR", share=0.05, sop_class=f"{CLASSES}.4", images=45.0, spread=0.9, images_per_series=9.0,
        size=264_000, rows=384, columns=384, peers=("mr1", "mr2"),
        series=("localizer", "t2_tse_sag", "t1_tse_sag", "t2_tirm_cor", "ep2d_diff_ADC", "t2_fl3d_tra"),
        procedures=_procedures(
            ("AA1BG", "Pään MT", "HEAD"), ("NA3BG", "Lannerangan MT", "LSPINE"),
            ("NB1BG", "Olkapään ja/tai olkavarren MT", "SHOULDER"), ("NG1BG", "Polven ja/tai säären MT", "KNEE"),
        ),
    ),
    Modality(
        name="MG", share=0.07, sop_class=f"{CLASSES}.1.2", images=4.2, spread=0.15, images_per_series=1.0,
        size=27_000_000, rows=3328, columns=2560, peers=("mg1",), series=("R CC", "L CC", "R MLO", "L MLO"),
        procedures=_procedures(
            ("HA1AA", "Rintarauhasten röntgen", "BREAST"),
            ("HA1CA", "Rintarauhasten seulontatutk.(mammografiaseulonta)", "BREAST"),
        ),
    ),
    Modality(
        name="ECG", share=0.08, sop_class=f"{CLASSES}.9.1.1", images=1.0, spread=0.05, images_per_series=1.0,
        size=262_000, rows=0, columns=0, peers=("ecg1",), series=("12-kytkentäinen EKG", "Lepo-EKG"),
        syntaxes=(EXPLICIT, IMPLICIT), procedures=_procedures(("FP1B5", "Pt-EKG-12", "")),
    ),
    Modality(
        name="XA", share=0.015, sop_class=f"{CLASSES}.12.1", images=14.0, spread=0.7, images_per_series=1.0,
        size=21_000_000, rows=1024, columns=1024, peers=("xa1",), frames=38, series=("LCA", "RCA", "Aorta", ""),
        dose_report=0.9,
        procedures=_procedures(
            ("FN1AC", "Sepelvaltimoiden kontrastiainetutkimus", "HEART"),
            ("PA2AC", "Aivovaltimoiden kontrastiainetutkimus", "HEAD"),
        ),
    ),
    Modality(
        name="RF", share=0.01, sop_class=f"{CLASSES}.12.2", images=8.0, spread=0.6, images_per_series=2.0,
        size=2_100_000, rows=1024, columns=1024, peers=("dx3",), frames=1, series=("Nielu", "Ruokatorvi"),
        procedures=_procedures(("JX1LA", "Ruuansulatuselimistön läpivalaisu ja röntgen", "ABDOMEN")),
    ),
    Modality(
        name="OP", share=0.01, sop_class=f"{CLASSES}.77.1.5.1", images=4.0, spread=0.3, images_per_series=2.0,
        size=1_900_000, rows=2048, columns=2592, peers=("op1",), syntaxes=(BASELINE, J2K), series=("OD", "OS"),
        procedures=_procedures(("CK2S4", "Silmänpohjan natiivivalokuvaus", "EYE")),
    ),
    Modality(
        name="NM", share=0.005, sop_class=f"{CLASSES}.20", images=3.0, spread=0.5, images_per_series=1.0,
        size=1_050_000, rows=256, columns=1024, peers=("nm1",), frames=2, series=("WB Static", "SPECT"),
        procedures=_procedures(("JN5AN", "Koko kehon gammakuvaus", "WHOLEBODY")),
    ),
)  # fmt: skip
