"""Data sets that hypothesis makes: wanted and unwanted elements, sequences in all forms, many character sets."""

from __future__ import annotations

import warnings
from typing import Any

from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

SYNTAXES = {
    "1.2.840.10008.1.2": {"implicit": True},
    "1.2.840.10008.1.2.1": {},
    "1.2.840.10008.1.2.2": {"big_endian": True},
    "1.2.840.10008.1.2.1.99": {},
}
"""Transfer syntax to the arguments of ``reference.encoded``."""

_ASCII = "ABCxyz 019-_.,:/"
CHARACTER_SETS: list[tuple[list[str], str]] = [
    ([], _ASCII),
    (["ISO_IR 100"], _ASCII + "äöåÄÖÅéß"),
    (["ISO_IR 101"], _ASCII + "ąčęłž"),
    (["ISO_IR 144"], _ASCII + "ЖЩЮяБ"),
    (["ISO_IR 126"], _ASCII + "αβγΔΩ"),
    (["ISO_IR 138"], _ASCII + "אבגש"),
    (["ISO_IR 148"], _ASCII + "ğışİ"),
    (["ISO_IR 166"], _ASCII + "กขฮ"),
    (["ISO_IR 192"], _ASCII + "äЖ日\U0001f984אạ"),
    (["GB18030"], _ASCII + "张小东ä"),
    (["GBK"], _ASCII + "张小东"),
    (["", "ISO 2022 IR 87"], "ABC 山田太郎やまだ"),
    (["", "ISO 2022 IR 149"], "ABC 홍길동김희중"),
    (["ISO 2022 IR 6", "ISO 2022 IR 100"], _ASCII + "äöå"),
    (["ISO 2022 IR 100", "ISO 2022 IR 144", "ISO 2022 IR 126"], "ABC äöЖЩαβ"),
]

_UIDS = st.lists(st.integers(min_value=0, max_value=99999), min_size=1, max_size=6).map(
    lambda arcs: ".".join(("1.2", *map(str, arcs)))
)
_WITH_WAVEFORMS = ("1.2.840.10008.5.1.4.1.1.9.1.1", "1.2.3.4")
_CLASSES = st.sampled_from(["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.104.1", *_WITH_WAVEFORMS])
_DATES = st.sampled_from(["20240229", "19991231", ""])
_TIMES = st.sampled_from(["235959.123456", "0102", ""])
_CODES = st.text("ABCDEF_ ", max_size=9)
_NUMBERS = st.integers(min_value=0, max_value=2**31 - 1)
_SHORTS = st.integers(min_value=0, max_value=65535)


def _names(alphabet: str) -> st.SearchStrategy[str]:
    parts = st.text(alphabet.replace(" ", ""), max_size=6)
    group = st.lists(parts, min_size=1, max_size=3).map("^".join)
    return st.lists(group, min_size=1, max_size=3).map("=".join)


@st.composite
def code_items(draw: st.DrawFn, alphabet: str) -> Dataset:
    words = st.text(alphabet, max_size=8)
    return _data_set(
        draw,
        {
            0x00080100: ("SH", words),
            0x00080102: ("SH", words),
            0x00080104: ("LO", words),
            0x0008010C: ("UI", _UIDS),
            0x00080119: ("UC", words),
            0x00091001: ("LO", words),
        },
    )


@st.composite
def issuers(draw: st.DrawFn, alphabet: str) -> Dataset:
    words = st.text(alphabet, max_size=8)
    return _data_set(draw, {0x00400031: ("UT", words), 0x00400032: ("UT", words), 0x00400033: ("CS", _CODES)})


@st.composite
def nested(draw: st.DrawFn, alphabet: str, depth: int) -> Dataset:
    """An item that nobody wants, with wanted tags and more sequences in it."""
    made = _data_set(draw, {0x00100010: ("PN", _names(alphabet)), 0x00080018: ("UI", _UIDS)})
    if depth:
        made.add(
            _sequence(draw, draw(st.sampled_from([0x00081115, 0x0040A730, 0x00091010])), nested(alphabet, depth - 1))
        )
    if draw(st.booleans()):
        made.add(DataElement(0x00110010, "LO", "SOMEBODY"))
        made.add(DataElement(0x00111001, draw(st.sampled_from(["OB", "UN"])), draw(st.binary(max_size=40).map(_even))))
    return made


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def _data_set(draw: st.DrawFn, elements: dict[int, tuple[str, st.SearchStrategy[Any]]]) -> Dataset:
    made = Dataset()
    made.is_undefined_length_sequence_item = draw(st.booleans())
    for tag, (vr, values) in elements.items():
        if draw(st.booleans()):
            value = draw(values)
            made.add(DataElement(tag, vr, PersonName(value) if vr == "PN" else value))
    return made


def _sequence(draw: st.DrawFn, tag: int, items: st.SearchStrategy[Dataset]) -> DataElement:
    element = DataElement(tag, "SQ", Sequence(draw(st.lists(items, max_size=3))))
    element.is_undefined_length = draw(st.booleans())
    return element


@st.composite
def data_sets(draw: st.DrawFn) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _top(draw)


def _top(draw: st.DrawFn) -> Dataset:
    character_set, alphabet = draw(st.sampled_from(CHARACTER_SETS))
    words = st.text(alphabet, max_size=12)
    long = st.one_of(words, st.lists(words, min_size=2, max_size=3))
    made = _data_set(
        draw,
        {
            0x00080016: ("UI", _CLASSES),
            0x00080018: ("UI", _UIDS),
            0x00080020: ("DA", _DATES),
            0x00080021: ("DA", _DATES),
            0x00080030: ("TM", _TIMES),
            0x00080050: ("SH", words),
            0x00080060: ("CS", _CODES),
            0x00080080: ("LO", words),
            0x00080090: ("PN", _names(alphabet)),
            0x00081030: ("LO", long),
            0x0008103E: ("LO", long),
            0x00090010: ("LO", st.just("MAKER")),
            0x00091001: ("UN", st.binary(max_size=3000).map(_even)),
            0x00100010: ("PN", _names(alphabet)),
            0x00100020: ("LO", words),
            0x00100021: ("LO", words),
            0x00100030: ("DA", _DATES),
            0x00100040: ("CS", _CODES),
            0x00180015: ("CS", _CODES),
            0x0020000D: ("UI", _UIDS),
            0x0020000E: ("UI", _UIDS),
            0x00200010: ("SH", words),
            0x00200011: ("IS", _NUMBERS),
            0x00200013: ("IS", _NUMBERS),
            0x00200060: ("CS", _CODES),
            0x00280008: ("IS", _NUMBERS),
            0x00280010: ("US", _SHORTS),
            0x00280011: ("US", _SHORTS),
            0x00401003: ("SH", words),
            0x00420011: ("OB", st.binary(min_size=2, max_size=50).map(_even)),
            0x00420012: ("LO", words),
            0x7FE00010: ("OW", st.binary(max_size=20).map(_even)),
        },
    )
    if len(made) == 1 and "PixelData" in made:
        made.Modality = "OT"
    if character_set:
        made.SpecificCharacterSet = character_set
    for tag, items in {
        0x00080051: issuers(alphabet),
        0x00080082: code_items(alphabet),
        0x00081032: code_items(alphabet),
        0x00100024: issuers(alphabet),
        0x00321064: code_items(alphabet),
        0x0040A043: code_items(alphabet),
        0x00081115: nested(alphabet, 3),
        0x00091010: nested(alphabet, 2),
    }.items():
        if draw(st.booleans()):
            made.add(_sequence(draw, tag, items))
    if draw(st.booleans()):
        made.add(_sequence(draw, 0x00400275, _requests(alphabet)))
    if made.get("SOPClassUID", "") in ("", *_WITH_WAVEFORMS) and draw(st.booleans()):
        made.add(_sequence(draw, 0x54000100, _waveforms()))
    return made


@st.composite
def _requests(draw: st.DrawFn, alphabet: str) -> Dataset:
    made = _data_set(draw, {0x00400007: ("LO", st.text(alphabet, max_size=5))})
    made.add(_sequence(draw, 0x00321064, code_items(alphabet)))
    return made


@st.composite
def _waveforms(draw: st.DrawFn) -> Dataset:
    return _data_set(draw, {0x003A0005: ("US", _SHORTS), 0x54001010: ("OW", st.binary(max_size=70000).map(_even))})
