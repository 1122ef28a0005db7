"""The project's own study maker and synthetic documents, loaded by path: ``scripts`` is no package."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

from tests.support import ROOT


def load_script(name: str) -> ModuleType:
    """The module ``scripts/<name>.py``."""
    known = sys.modules.get(name)
    if known is not None:
        return known
    path = ROOT / "scripts" / f"{name}.py"
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # a script finds its neighbours, as when it is run
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


_maker = load_script("studymaker")
HETUS: tuple[str, ...] = _maker.HETUS
Order = _maker.Order
Study = _maker.Study
make_study = _maker.make_study
load_files = _maker.load_files
new_uid = _maker.new_uid


def document(study: Any, kind: str, **changes: Any) -> bytes:
    """A synthetic imaging document of ``kind`` that belongs to ``study``."""
    order = study.order
    facts = {
        "study_uid": study.uid,
        "accession": order.accession,
        "hetu": order.hetu,
        "code": order.procedure[0],
        **changes,
    }
    content: bytes = load_script("synthetic_documents").build_document(kind=kind, **facts)
    return content
