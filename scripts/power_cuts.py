"""Cuts the power of the gateway's disk again and again while it receives, then counts what is missing.

The disk is an image file that lies on a file system with reflink; a copy of it, taken at a random moment, is what a
power cut leaves. The gateway is started on each copy, and everything that was acknowledged before the copy was begun
must be there: in the catalog, with the same bytes, with its receipt. The same code as in ``tests/power``. Needs root;
loopback only; everything is unmounted and removed at the end, also after an interruption.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gateway_process import GaveUpError

from tests.power.broken import BREAKAGES
from tests.power.cuts import Campaign, Options, Run
from tests.power.disk import FILE_SYSTEMS, CannotCutError, Shelf, missing


def interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends it as Ctrl-C does: everything is unmounted on the way out."""
    raise KeyboardInterrupt


def campaign(options: Options, folder: Path | None) -> Campaign:
    """Run one campaign on a shelf of its own."""
    with Shelf(folder) as shelf:
        return Run(shelf, options).go()


def main() -> int:
    """Run a campaign for each file system; exit status 1 when anything is wrong, 2 when it cannot be done here."""
    parser = argparse.ArgumentParser(prog="power-cuts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--file-system", choices=[*FILE_SYSTEMS, "all"], default="all", help="of the state directory (%(default)s)"
    )
    parser.add_argument("--cuts", type=int, default=1000, help="how many per file system (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="to repeat the same choices (not the same timing)")
    parser.add_argument("--senders", type=int, default=6, help="associations at once (default: %(default)s)")
    parser.add_argument(
        "--hesitant", action="store_true", help="one sender whose images are written out before they end"
    )
    parser.add_argument("--breakage", choices=sorted(BREAKAGES), default="", help="break the gateway on purpose")
    parser.add_argument(
        "--minutes", type=float, default=120.0, help="begin no cuts after this, per file system (default: %(default)s)"
    )
    parser.add_argument("--folder", type=Path, default=None, help="where the disk's file lies (a temporary folder)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures here")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupt)
    wanted = FILE_SYSTEMS if options.file_system == "all" else (options.file_system,)
    summaries: list[dict[str, object]] = []
    for file_system in wanted:
        chosen = Options(
            file_system=file_system,
            cuts=options.cuts,
            seed=options.seed if options.seed is not None else random.SystemRandom().randrange(10**6),
            senders=options.senders,
            hesitant=options.hesitant,
            breakage=options.breakage,
            at_most=options.minutes * 60,
        )
        try:
            if reason := missing(file_system):
                raise CannotCutError(reason)
            done = campaign(chosen, options.folder)
        except (CannotCutError, GaveUpError) as error:
            print(f"{file_system}: gave up (seed {chosen.seed}): {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted; everything is unmounted", file=sys.stderr)
            return 2
        print(done.line, flush=True)
        for sentence in done.wrong[:50]:
            print(f"wrong: {sentence}", file=sys.stderr)
        summaries.append(done.summary)
    if options.json is not None:
        options.json.write_text(json.dumps(summaries, indent=1) + "\n", encoding="utf-8")
    return 1 if any(summary["wrong"] for summary in summaries) else 0


if __name__ == "__main__":
    sys.exit(main())
