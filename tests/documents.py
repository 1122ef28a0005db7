"""The maker of synthetic imaging documents, loaded by path: ``scripts`` is no package."""

from __future__ import annotations

from tests.studies import load_script

_maker = load_script("synthetic_documents")
MARK: str = _maker.MARK
TITLES: dict[str, str] = _maker.TITLES
build_document = _maker.build_document
new_document_oid = _maker.new_document_oid
