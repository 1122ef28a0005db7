"""``python -m kuva_gateway`` is ``kuva-gateway``."""

import sys

from kuva_gateway.cli import main

if __name__ == "__main__":
    sys.exit(main())
