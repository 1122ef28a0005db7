"""Another configuration while the gateway runs: read, checked as a whole, compared, taken on, told of.

Keeps which configuration and which files' contents are in force. Promises that a file with a fault changes nothing,
that one reload follows the other however many are asked for at once, and that what cannot change now is named.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kuva_gateway import parts
from kuva_gateway.config import Configuration, load
from kuva_gateway.config.changes import Change, differences, in_force
from kuva_gateway.errors import ConfigurationError, GatewayError

MOST_TOLD = 500
"""Changes that one answer and one log line name."""

TakeOn = Callable[[Configuration], Sequence[str]]
"""Makes every part follow; returns what is still to come, in words. GatewayError: nothing has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What came of a reload. ``outcome``: ``done``, ``refused`` (faults in the file) or ``failed`` (try again)."""

    path: str
    outcome: str
    problems: tuple[str, ...] = ()
    changed: tuple[Change, ...] = ()
    needs_restart: tuple[Change, ...] = ()
    notices: tuple[str, ...] = ()

    def as_plain(self) -> dict[str, Any]:
        """For the control socket."""
        return {
            **asdict(self),
            "changed": [asdict(one) for one in self.changed[:MOST_TOLD]],
            "needs_restart": [asdict(one) for one in self.needs_restart],
        }


class Reloading:
    """Reloads when :meth:`ask` says so, on a thread of its own, or when :meth:`reload` is called.

    Parameters
    ----------
    stopping
        Set when the gateway ends: nothing is taken on then.
    around
        Entered for each reload.
    """

    def __init__(
        self,
        configuration: Configuration,
        path: Path,
        take_on: TakeOn,
        *,
        stopping: threading.Event,
        log: Any,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._around = around
        self._path = path
        self._take_on = take_on
        self._stopping = stopping
        self._log = log
        self._configuration = configuration
        self._files = parts.outside_files(configuration)
        self._turn = threading.Lock()
        self._asked = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)

    def start(self) -> None:
        """Begin to hear what is asked."""
        self._thread.start()

    def ask(self) -> None:
        """Reload soon; asked again before it began, it is one reload. May be called before :meth:`start`."""
        self._asked.set()

    def stop(self) -> None:
        """Reload no more; returns when one that was under way has ended."""
        with self._turn:
            self._ended = True
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join()

    def reload(self) -> Reloaded:
        """Read the file again and take on what it says; a second caller waits for the first one's end."""
        with self._turn:
            if self._ended or self._stopping.is_set():
                return Reloaded(path=str(self._path), outcome="failed", problems=("the gateway stops",))
            try:
                with self._around():
                    found = self._reload()
            except ConfigurationError as error:
                found = Reloaded(path=str(self._path), outcome="refused", problems=tuple(map(str, error.problems)))
            except GatewayError as error:
                found = Reloaded(path=str(self._path), outcome="failed", problems=(str(error),))
            except Exception as error:
                self._log.error("the reload failed", exc_info=True)
                found = Reloaded(
                    path=str(self._path), outcome="failed", problems=(f"a fault of ours: {type(error).__name__}",)
                )
        self._tell(found)
        return found

    def _run(self) -> None:
        while self._asked.wait() and not (self._ended or self._stopping.is_set()):
            self._asked.clear()
            self.reload()

    def _reload(self) -> Reloaded:
        wanted = load(self._path)
        parts.check_configuration(wanted, self._path)
        found = differences(self._configuration, wanted)
        possible = in_force(self._configuration, wanted)
        if possible != wanted:
            parts.check_configuration(possible, self._path)
        files = parts.outside_files(possible)
        changed = [one for one in found if not one.needs_restart]
        known = {change.key for change in changed}
        changed += [
            Change(key=key)
            for key, digest in files.items()
            if key not in known and key in self._files and digest != self._files[key]
        ]
        notices = [*parts.notices(wanted), *self._take_on(possible)]
        self._configuration, self._files = possible, files
        return Reloaded(
            path=str(self._path),
            outcome="done",
            changed=tuple(changed),
            needs_restart=tuple(one for one in found if one.needs_restart),
            notices=tuple(notices),
        )

    def _tell(self, found: Reloaded) -> None:
        if found.outcome != "done":
            self._log.error("configuration not reloaded", outcome=found.outcome, problems=list(found.problems))
            return
        self._log.info(
            "configuration reloaded",
            changed=[str(one) for one in found.changed[:MOST_TOLD]],
            needs_restart=[str(one) for one in found.needs_restart],
            notices=list(found.notices),
        )
