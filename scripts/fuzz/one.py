"""One harness under atheris, for as long as it is told; started by ``run``. Needs atheris, which needs CPython."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
SLOWED = 3.0
"""How much slower the gateway is while its branches are counted."""


def main() -> None:
    """``one.py NAME [option of libFuzzer ...] CORPUS``."""
    name = sys.argv.pop(1)
    sys.path[:0] = [str(HERE), str(HERE.parents[1])]
    warnings.simplefilter("ignore")  # as in the daemon: libraries quote what they read
    with atheris.instrument_imports(
        include=["kuva_gateway", "yaml.constructor", "yaml.resolver"],
        enable_loader_override=False,
    ):
        import harness
        import parsers

        import kuva_gateway.clinical

        for module in pkgutil.iter_modules(kuva_gateway.clinical.__path__):  # some of them are imported where used
            importlib.import_module(f"kuva_gateway.clinical.{module.name}")

    chosen = parsers.HARNESSES[name]

    def test_one(data: bytes) -> None:
        harness.within_bounds(chosen.check, data, seconds=SLOWED * harness.SECONDS)

    atheris.Setup(sys.argv, test_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
