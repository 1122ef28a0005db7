"""The daemon's share of the journal: every second what changed, and after the first start all that was known before."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kuva_gateway import parts
from kuva_gateway.audit.trouble import Trouble
from kuva_gateway.catalog import journaling
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.config import Configuration
from kuva_gateway.log import get_logger
from kuva_gateway.queue.schedule import Tick

TELL_EVERY = 1.0  # seconds


class Journaling:
    """Tells the journal until :meth:`stop`, which ``undo`` gets to know.

    ``stopping``: the daemon is asked to stop. The first time with a large catalog takes minutes, and is left for the
    next start: the clock ends before the journal does, and waits for what it called.
    """

    def __init__(
        self,
        configuration: Configuration,
        catalog: Catalog,
        undo: list[tuple[str, Callable[[], object]]],
        *,
        stopping: Callable[[], bool],
    ) -> None:
        self._journal = parts.open_journal(configuration)
        self._catalog = catalog
        log = self._log = get_logger("journal")
        self._stopping = stopping
        self._trouble = Trouble(
            lambda why: log.error("the journal cannot be written", why=why),
            lambda: log.info("the journal is written again"),
        )
        undo.append(("journal", self.stop))

    def ticks(self) -> Mapping[str, Tick]:
        """What is to be called now and then."""
        return {"journal": Tick(call=self._tell, every=TELL_EVERY)}

    def stop(self) -> None:
        """Tell what is left; nothing else writes the catalog any more."""
        self._stopping = lambda: True
        self._tell()

    def _tell(self) -> None:
        try:
            if not self._journal.whole and journaling.begin(self._catalog, self._journal, self._stopping):
                self._log.info("the journal has all that the catalog knows")
            journaling.tell(self._catalog, self._journal)
        except OSError as error:
            self._trouble.met(error)
        else:
            self._trouble.passed()
