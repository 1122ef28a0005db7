"""The gateway's programs leave decoders of pixels where they are."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kuva_gateway.lean import LEFT_OUT
from tests.support import module

LEAN = "from kuva_gateway.lean import import_pydicom; import_pydicom(); "
PROGRAMS = {"a daemon": "import kuva_gateway.daemon", "a receiving process": "import kuva_gateway.receiving.process"}


def loaded(code: str) -> set[str]:
    """Which of the modules are loaded after this code has run in an interpreter of its own."""
    code += f"; import sys; print(*[name for name in {LEFT_OUT!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_loads_no_decoders_and_what_comes_with_them(program: str) -> None:
    assert loaded(LEAN + PROGRAMS[program]) == set()


def test_who_wants_them_afterwards_gets_them() -> None:
    module("numpy")
    assert loaded(LEAN + "import numpy; numpy.zeros(3)") == {"numpy"}
    assert "numpy" in loaded("import pydicom.pixels")
