"""Backups and restores in processes that kill themselves: ``python -m tests.unit.backup.dying CONFIG BACKUP``.

For each line on standard input (``backup|restore OPERATION NTH``) a child is forked that runs the command and gets
SIGKILL from itself before the ``NTH`` call of the file operation; how it ended is printed.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from kuva_gateway.backup.backup import back_up
from kuva_gateway.backup.restore import restore
from kuva_gateway.config import load
from tests.faults import FaultyFiles


def run(config: Path, backup: Path, what: str, operation: str, nth: int) -> None:
    """Run the command, and die."""
    files = FaultyFiles()
    files.call(operation, lambda: os.kill(os.getpid(), signal.SIGKILL), nth=nth)
    if what == "backup":
        back_up(load(config), config, backup, now=datetime.now(UTC), files=files)
    else:
        restore(load(config), backup, files=files)


def main() -> None:
    """Serve the lines."""
    config, backup = Path(sys.argv[1]), Path(sys.argv[2])
    for line in sys.stdin:
        what, operation, nth = line.split()
        child = os.fork()
        if child == 0:
            try:
                run(config, backup, what, operation, int(nth))
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
