"""Fictional patients with the names and identity codes of Finland's registers, for catalogs and tests.

Promises that no code is anybody's (the individual numbers are those of the 900 series, which the population register
gives to nobody), that every code is valid, that no two patients share one, and that equal seeds give equal patients.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SURNAMES = _words("""
    Korhonen Virtanen Mäkinen Nieminen Mäkelä Hämäläinen Laine Heikkinen Koskinen Järvinen Lehtonen Lehtinen Saarinen
    Salminen Heinonen Niemi Heikkilä Kinnunen Salonen Turunen Salo Laitinen Tuominen Rantanen Karjalainen Jokinen
    Mattila Savolainen Lahtinen Ahonen Ojala Leppänen Kallio Väisänen Hiltunen Miettinen Pitkänen Aaltonen Manninen
    Hakala Koivisto Anttila Laaksonen Hirvonen Räsänen Lehto Toivonen Mustonen Aalto Vainio Äijälä Öhman Yli-Mäyry
    Nyström Johansson Lindholm Karlsson Sjöberg Björklund Söderström Åkerlund Lindström Häggblom Östman Grönroos
""")
_WOMEN = _words("""
    Maria Anneli Johanna Helena Kaarina Marjatta Hannele Liisa Kristiina Tuulikki Elina Päivi Sofia Aino Eeva Hilja
    Säde Åsa Ulla-Maija Linnéa Märta Birgitta Tyyne Köpi-Anna Riitta Leena Sari Minna Venla Kerttu
""")
_MEN = _words("""
    Juhani Olavi Antero Tapani Johannes Tapio Mikael Kalevi Matti Pekka Heikki Väinö Yrjö Jyrki Mårten Björn Göran
    Jukka-Pekka Eero Onni Leevi Elias Håkan Åke Timo Kari Jorma Seppo Toivo Arttu
""")
_NOBLE = ("von", "af", "de la")
_IDEOGRAPHIC = (
    ("Yamada^Tarou", "山田^太郎", "やまだ^たろう"),
    ("Wang^XiaoDong", "王^小東", ""),
    ("Hong^Gildong", "洪^吉洞", "홍^길동"),
)
_CONTROL = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_SEPARATORS = {18: "+", 19: "-YXWVU", 20: "ABCDEF"}
_FIRST_BIRTH = date(1925, 1, 1)
_DAYS = 365 * 99
_INDIVIDUALS = 100  # of one day: 900 to 999
UPPER_CASE = 0.25  # of patients are registered by a system that knows no small letters
MIDDLE_NAME = 0.45
IDEOGRAPHIC = 0.002
NOBLE = 0.004
LATIN_1 = ("ISO_IR 100",)
UTF_8 = ("ISO_IR 192",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A patient as modalities know them."""

    hetu: str
    name: str
    """Person name (PS3.5 6.2, PN): components between carets, groups between equals signs."""
    birth_date: str
    sex: str
    character_set: tuple[str, ...]


def hetu(born: date, individual: int, separator: str) -> str:
    """The personal identity code of a date of birth, an individual number and a century's separator."""
    digits = f"{born:%d%m%y}{individual:03d}"
    return f"{digits[:6]}{separator}{digits[6:]}{_CONTROL[int(digits) % 31]}"


def person_name(rng: random.Random, female: bool) -> tuple[str, tuple[str, ...]]:
    """A name and the character set that it needs."""
    chance = rng.random()
    if chance < IDEOGRAPHIC:
        return "=".join(rng.choice(_IDEOGRAPHIC)).rstrip("="), UTF_8
    given = _WOMEN if female else _MEN
    name = f"{rng.choice(_SURNAMES)}^{rng.choice(given)}"
    if chance < MIDDLE_NAME:
        name += f"^{rng.choice(given)}"
    if chance > 1 - NOBLE:
        name = f"{rng.choice(_NOBLE)} {name}"
    return (name.upper() if rng.random() < UPPER_CASE else name), LATIN_1


def physicians(rng: random.Random, count: int) -> Sequence[str]:
    """Names of referring physicians."""
    return [person_name(rng, rng.random() < 0.5)[0] for _ in range(count)]


def patients(rng: random.Random, count: int) -> list[Patient]:
    """So many patients of all ages.

    Raises
    ------
    ValueError
        There are not that many codes in the 900 series.
    """
    if count > _DAYS * _INDIVIDUALS // 2:
        raise ValueError(f"there are codes for {_DAYS * _INDIVIDUALS // 2} patients at most")
    numbers = iter(rng.sample(range(_DAYS * _INDIVIDUALS), count))
    return [_patient(rng, number) for number in numbers]


def _patient(rng: random.Random, number: int) -> Patient:
    day, individual = divmod(number, _INDIVIDUALS)
    born = _FIRST_BIRTH + timedelta(days=day)
    female = individual % 2 == 0
    separators = _SEPARATORS[born.year // 100]
    name, character_set = person_name(rng, female)
    return Patient(
        hetu=hetu(born, 900 + individual, separators[0] if rng.random() < 0.9 else rng.choice(separators)),
        name=name,
        birth_date=f"{born:%Y%m%d}",
        sex="F" if female else "M",
        character_set=character_set,
    )
