"""The program of a receiving process; started by the daemon only."""

import sys

from kuva_gateway.receiving.process import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
