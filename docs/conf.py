"""How Sphinx makes a site of these pages (scripts/make-docs).

Keeps no text. Promises that the pages stay plain: where they write ``docs/NAME.rst``, which reads well in a terminal,
the site has a link, and a page that is named and not there is a warning, that is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

project = "kuva_gateway"
copyright = "its authors, MIT licence"
version = release = re.search(  # type: ignore[union-attr]
    r'__version__ = "(.+)"', (Path(__file__).parent.parent / "kuva_gateway" / "__init__.py").read_text(encoding="utf-8")
)[1]
extensions: list[str] = []
exclude_patterns = ["figures"]
highlight_language = "none"
nitpicky = True
smartquotes = False
html_theme = "alabaster"
html_theme_options = {
    "description": "A DICOM gateway to the national imaging archive",
    "fixed_sidebar": False,
    "page_width": "70rem",
    "sidebar_width": "18rem",
    "font_family": "system-ui, sans-serif",
    "head_font_family": "system-ui, sans-serif",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_copy_source = False
html_show_sphinx = False

_PAGE = re.compile(r"docs/((?:decisions/)?[a-z0-9-]+)\.rst|docs/decisions/(\d{4})\b")
_LEFT_ALONE = (nodes.literal_block, nodes.reference, pending_xref, nodes.title)


def _target(source: Path, named: re.Match[str]) -> str:
    """The page that is named, from the folder of the pages; a decision may be named by its number alone."""
    if named[2] is None:
        return f"/{named[1]}"
    (path,) = (source / "decisions").glob(f"{named[2]}-*.rst")
    return f"/decisions/{path.stem}"


def link_pages(app: Sphinx, document: nodes.document) -> None:
    """Turn each name of a page, in double quotes or without, into a link to it."""
    for text in list(document.findall(nodes.Text)):
        parent = text.parent
        if any(isinstance(one, _LEFT_ALONE) for one in _around(parent)):
            continue
        literal = isinstance(parent, nodes.literal)
        names = list(_PAGE.finditer(str(text)))
        if not names or (literal and names[0].span() != (0, len(text))):
            continue
        made: list[nodes.Node] = []
        end = 0
        for named in names:
            shown = parent.deepcopy() if literal else nodes.inline(named[0], named[0])
            made += [nodes.Text(str(text)[end : named.start()]), _link(app, shown, _target(Path(app.srcdir), named))]
            end = named.end()
        made.append(nodes.Text(str(text)[end:]))
        (parent if literal else text).parent.replace(parent if literal else text, made)


def _around(node: nodes.Element | None) -> Iterator[nodes.Element]:
    while node is not None:
        yield node
        node = node.parent


def _link(app: Sphinx, shown: nodes.Node, target: str) -> pending_xref:
    options = {"refdomain": "std", "reftype": "doc", "refexplicit": True, "refwarn": True}
    return pending_xref("", shown, reftarget=target, refdoc=app.env.docname, **options)


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx's way in."""
    app.connect("doctree-read", link_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
