"""The operators' command line, ``kuva-gateway``: one file per command group.

Exit status: 0 done; 1 refused, not found, damage found or would be held; 2 wrong usage or configuration. One line on
standard error says why.
"""

from kuva_gateway.cli.main import main

__all__ = ["main"]
