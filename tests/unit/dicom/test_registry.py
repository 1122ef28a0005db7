"""The names of UIDs are those of the libraries that are installed."""

from __future__ import annotations

import subprocess
import sys

from pydicom._uid_dict import UID_dictionary
from pynetdicom.presentation import AllStoragePresentationContexts

from kuva_gateway.dicom import registry
from kuva_gateway.dicom.sop_classes import STORAGE_CLASSES, class_name
from kuva_gateway.dicom.syntaxes import name
from tests.studies import load_script


def test_the_registry_is_what_its_script_writes() -> None:
    script = load_script("make_uid_registry")
    assert script.TARGET.read_text("utf-8") == script.text(), "run scripts/make-uid-registry"


def test_every_class_that_pynetdicom_stores_is_stored() -> None:
    assert {str(context.abstract_syntax) for context in AllStoragePresentationContexts} <= STORAGE_CLASSES


def test_classes_and_syntaxes_have_the_names_of_the_standard() -> None:
    for uid, (title, kind, *_rest) in UID_dictionary.items():
        if kind == "SOP Class":
            assert class_name(uid) == (title or uid)
        if kind == "Transfer Syntax":
            assert name(uid) == class_name(uid) == (title or uid)
    assert class_name("1.2.3") == name("1.2.3") == "1.2.3"
    assert len(registry.SOP_CLASSES) > 300


def test_judging_files_needs_neither_numpy_nor_a_database() -> None:
    """What a command imports it pays for at every start."""
    code = (
        "import sys, kuva_gateway.cli.check, kuva_gateway.validation.rules, kuva_gateway.validation.files\n"
        "import kuva_gateway.dicom.scanner\n"
        "print(*({'numpy', 'peewee', 'psycopg', 'pynetdicom', 'pydicom'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
