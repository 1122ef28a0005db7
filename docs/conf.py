"""How Sphinx makes a site of these pages (scripts/make-docs).

Keeps no text. Promises that the pages stay plain: what they call ``docs/NAME.rst`` in double quotes, so that it reads
well in a terminal, becomes a link on the site, and a page that is named and not there is a warning, that is a fault.
"""

from __future__ import annotations

import re
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
    "sidebar_width": "15rem",
    "font_family": "system-ui, sans-serif",
    "head_font_family": "system-ui, sans-serif",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_copy_source = False
html_show_sphinx = False

_PAGE = re.compile(r"docs/((?:decisions/)?[a-z0-9-]+)(?:\.rst)?")
_DECISION = re.compile(r"docs/decisions/(\d{4})")


def link_pages(app: Sphinx, document: nodes.document) -> None:
    """Turn each literal that names a page into a link to it."""
    for literal in list(document.findall(nodes.literal)):
        name = literal.astext()
        decision = _DECISION.fullmatch(name)
        if decision is not None:
            (path,) = (Path(app.srcdir) / "decisions").glob(f"{decision[1]}-*.rst")
            target = f"decisions/{path.stem}"
        elif name.endswith(".rst") and (page := _PAGE.fullmatch(name)) is not None:
            target = page[1]
        else:
            continue
        link = pending_xref(
            "",
            literal.deepcopy(),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{target}",
            refexplicit=True,
            refwarn=True,
            refdoc=app.env.docname,
        )
        literal.replace_self(link)


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx's way in."""
    app.connect("doctree-read", link_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
