"""The small change of reading CDA R2 elements: attributes, texts, lines. Keeps nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lxml.etree import _Element

V3: Final = "{urn:hl7-org:v3}"
FI: Final = "{urn:hl7finland}"
XSI_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"


def attribute(element: _Element, name: str) -> str:
    """The attribute without surrounding blanks, "" when the element lacks it."""
    value = element.get(name)
    return "" if value is None else str(value).strip()


def text_of(element: _Element) -> str:
    """All text below the element, blanks folded."""
    return " ".join("".join(str(part) for part in element.itertext()).split())


def line_of(element: _Element) -> int | None:
    """The element's line in the file."""
    line: object = element.sourceline
    return line if isinstance(line, int) else None


def is_identifier(element: _Element) -> bool:
    """Whether ``xsi:type`` names the type II of CDA, with or without a prefix."""
    prefix, _, name = attribute(element, XSI_TYPE).rpartition(":")
    return name == "II" and (not prefix or element.nsmap.get(prefix) == V3[1:-1])
