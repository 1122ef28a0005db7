"""Every harness by its name."""

from __future__ import annotations

import data_set_parsers
import network_parsers
import own_files
import paper_parsers
from harness import Harness

HARNESSES: dict[str, Harness] = {
    one.name: one
    for module in (network_parsers, data_set_parsers, paper_parsers, own_files)
    for one in module.HARNESSES
}
