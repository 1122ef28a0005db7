"""What hypothesis makes of the formats that others send: valid ones, with what was meant by them.

Data sets are made by :mod:`tests.unit.dicom.strategies`. A property is tried on few examples, always the same, among
the fast tests, and on many among the slow ones::

    @pytest.mark.parametrize("examples", EXAMPLES)
    def test_what_is_written_is_read(examples):
        @examples
        @given(command_sets())
        def holds(command): ...

        holds()
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

_COMMON = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
FEW = settings(_COMMON, max_examples=8)
MANY = settings(_COMMON, max_examples=100)
EXAMPLES = [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)]
