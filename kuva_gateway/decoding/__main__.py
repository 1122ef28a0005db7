"""The program of the process that decodes; started by the daemon only."""

import sys

from kuva_gateway.decoding.child import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
