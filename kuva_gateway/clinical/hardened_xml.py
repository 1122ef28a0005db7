"""XML from strangers, screened before it is built into a tree.

A first pass with expat counts and looks, and builds nothing: it stops at a DTD, at an entity, beyond a depth, a number
of elements or of namespaces. Only then does lxml build the tree, with entities, DTDs and the network turned off once
more. Nothing is kept, and no error repeats content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from kuva_gateway.clinical.documents import DocumentError

if TYPE_CHECKING:
    from lxml.etree import _Element


MOST_NAMESPACES: Final = 64
"""Declarations that may hold at one place; to find a prefix takes as long as there are."""


class _Screen:
    """Counts what passes by and raises at the first thing that is not allowed."""

    def __init__(self, *, maximum_depth: int, maximum_elements: int) -> None:
        self._maximum_depth = maximum_depth
        self._maximum_elements = maximum_elements
        self._depth = 0
        self._declared: list[int] = []
        self._namespaces = 0
        self._elements = 0
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.EntityDeclHandler = self._entity
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def run(self, data: bytes) -> None:
        """Pass over the whole file; raises DocumentError."""
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            raise DocumentError(f"the XML is not well-formed: {expat.ErrorString(error.code)}", error.lineno) from None
        except (ValueError, LookupError):
            raise DocumentError("the encoding named in the XML declaration is not supported", 1) from None

    def _doctype(self, *_: object) -> None:
        self._refuse("a document type declaration (DTD) is not allowed")

    def _entity(self, *_: object) -> None:
        self._refuse("an entity declaration is not allowed")

    def _start(self, _: str, attributes: dict[str, str]) -> None:
        declared = sum(name.startswith("xmlns") for name in attributes)
        self._declared.append(declared)
        self._namespaces += declared
        if self._namespaces > MOST_NAMESPACES:
            self._refuse(f"more than {MOST_NAMESPACES} namespaces are declared around one element")
        self._depth += 1
        self._elements += 1
        if self._depth > self._maximum_depth:
            self._refuse(f"elements are nested more than {self._maximum_depth} deep")
        if self._elements > self._maximum_elements:
            self._refuse(f"there are more than {self._maximum_elements} elements")

    def _end(self, *_: object) -> None:
        self._namespaces -= self._declared.pop()
        self._depth -= 1

    def _refuse(self, why: str) -> None:
        raise DocumentError(why, self._parser.CurrentLineNumber)


def parse_hardened(data: bytes, *, maximum_bytes: int, maximum_depth: int, maximum_elements: int) -> _Element:
    """The root element of a well-formed file within bounds.

    Raises
    ------
    DocumentError
        When the file is empty, too long, too deep, not well-formed, or has a DTD or entities.
    """
    if len(data) > maximum_bytes:
        raise DocumentError(f"the file is longer than {maximum_bytes} bytes")
    if not data.strip():
        raise DocumentError("the file is empty")
    _Screen(maximum_depth=maximum_depth, maximum_elements=maximum_elements).run(data)

    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        # lxml's own text may repeat names from the file.
        why = "the XML is not well-formed, or one text in it is longer than 10 MB"
        raise DocumentError(why, error.lineno or None) from None
    except (ValueError, LookupError):
        raise DocumentError("the encoding named in the XML declaration is not supported", 1) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise DocumentError("a document type declaration (DTD) is not allowed", 1)
    return root
