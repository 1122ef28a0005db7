"""Well-formed XML out of any bytes: a document, and edits of its tree that the bytes tell.

Random bytes are refused by the first parser that sees them; what lies behind it is only reached by documents.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_MOST_EDITS = 60
_MOST_ELEMENTS = 2000


def edited(document: bytes, edits: bytes, *, names: tuple[str, ...], values: tuple[str, ...]) -> bytes:
    """``document`` after edits of four bytes each: what, where, and two choices."""
    root = ElementTree.fromstring(document)
    for at in range(0, min(len(edits), 4 * _MOST_EDITS) - 3, 4):
        what, where, one, two = edits[at : at + 4]
        elements = list(root.iter())
        if len(elements) > _MOST_ELEMENTS:
            break
        _edit(elements, what % 7, elements[where % len(elements)], one, two, names, values)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _edit(
    elements: list[Element],
    what: int,
    element: Element,
    one: int,
    two: int,
    names: tuple[str, ...],
    values: tuple[str, ...],
) -> None:
    value = values[two % len(values)]
    if what == 0:
        element.set(names[one % len(names)], value)
    elif what == 1:
        element.attrib.pop(names[one % len(names)], None)
    elif what == 2:
        element.text = value * (1 + one % 4)
    elif what == 3 and len(element):
        del element[one % len(element)]
    elif what == 4:
        copied = elements[one % len(elements)]
        if copied not in set(element.iter()) and element not in set(copied.iter()):
            element.insert(two, copied)  # stands twice from now on, as far as it goes
    elif what == 5:
        element.tag, elements[one % len(elements)].tag = elements[one % len(elements)].tag, element.tag
    elif what == 6:
        made = Element(elements[one % len(elements)].tag, dict(elements[two % len(elements)].attrib))
        element.append(made)
