"""What queries and retrieval need of the gateway beside the peer's request: the catalog, the barrier, who may see what.

Promises that a process which only stores never opens the catalog; and that what was acknowledged before a request is
in the catalog when the request is answered, or the peer hears A700 (DESIGN step 4: ``query.barrier``).

How a service uses it, once per request::

    refusal = lookup.wait(begun)                  # begun: datetime.now(UTC) when the request came
    if refusal is not None: return (refusal,)
    catalog = lookup.catalog()                    # DeferredError: answer A700
    restriction = lookup.may_see(association.peer)  # a condition on studies s, see catalog.visibility
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from kuva_gateway.dicom import statuses
from kuva_gateway.errors import CatalogUnavailableError, DeferredError, GatewayError
from kuva_gateway.network.records import Response
from kuva_gateway.scp.refusal import refuse

if TYPE_CHECKING:
    from kuva_gateway.catalog.database import Catalog
    from kuva_gateway.catalog.visibility import Condition


class WaitIndexed(Protocol):
    """Waits until the indexer has passed everything that was acknowledged before a moment."""

    def __call__(self, moment: datetime, seconds: float) -> bool:
        """False: it has not within so many seconds. Raises DeferredError when nobody can say."""


class Lookup:
    """One per receiving process; threads share it.

    Parameters
    ----------
    open_catalog
        Opens the catalog; called once, when the first request needs it.
    wait_indexed
        The barrier, in the daemon's process.
    may_see
        Peer's configured name to what it may see: a condition on studies ``s``. Authorizations restrict service
        producers here (OSV-04); it is asked for every request, so that a change counts at once.
    barrier
        Seconds that a request waits for the indexer at most.
    """

    def __init__(
        self,
        *,
        open_catalog: Callable[[], Catalog],
        wait_indexed: WaitIndexed,
        may_see: Callable[[Catalog, str], Condition],
        barrier: float,
    ) -> None:
        self._open_catalog = open_catalog
        self._wait_indexed = wait_indexed
        self._may_see = may_see
        self._barrier = barrier
        self._lock = threading.Lock()
        self._catalog: Catalog | None = None

    def follow(self, *, may_see: Callable[[Catalog, str], Condition], barrier: float) -> None:
        """Answer by these from now on; the catalog stays the same."""
        self._may_see, self._barrier = may_see, barrier

    def wait(self, begun: datetime) -> Response | None:
        """Wait for everything acknowledged before ``begun``; the refusal (A700), or None when it is there."""
        try:
            if self._wait_indexed(begun, self._barrier):
                return None
        except DeferredError:
            pass
        return refuse(statuses.OUT_OF_RESOURCES, "the latest images are not indexed yet: ask again")

    def catalog(self) -> Catalog:
        """The catalog, opened now if it is not open.

        Raises
        ------
        CatalogUnavailableError
            It is away, or is not this program's.
        """
        with self._lock:
            if self._catalog is None:
                try:
                    self._catalog = self._open_catalog()
                except DeferredError:
                    raise
                except GatewayError as error:  # there is none yet, or a newer program's
                    raise CatalogUnavailableError(str(error)) from error
            return self._catalog

    def may_see(self, peer: str) -> Condition:
        """What the peer of this name may see now."""
        return self._may_see(self.catalog(), peer)

    def close(self) -> None:
        """Close the catalog, once no request is answered any more."""
        with self._lock:
            if self._catalog is not None:
                self._catalog.close()
                self._catalog = None
