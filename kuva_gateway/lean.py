"""Load pydicom without the decoders of pixels that are installed beside it.

pydicom brings every decoder in that it finds, with numpy, Pillow and an HTTP client: 36 MiB of memory and a quarter of
the time to start, in each of the gateway's processes. None of them decodes: images are decoded in processes of their
own (:mod:`kuva_gateway.decoding`), which do not come by here.

``python -m kuva_gateway.lean MODULE ...`` runs a module so.
"""

from __future__ import annotations

import runpy
import sys

LEFT_OUT = ("numpy", "gdcm", "PIL", "pylibjpeg", "requests")


def import_pydicom() -> None:
    """Import pydicom while the decoders are not to be found; afterwards whoever wants them may import them."""
    hidden = [name for name in LEFT_OUT if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # what makes an import of it fail
    try:
        import pydicom.pixels  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]


if __name__ == "__main__":
    import_pydicom()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
