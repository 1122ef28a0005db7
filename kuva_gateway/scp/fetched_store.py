"""C-STORE under ``query.fetch_ae_title``: what an archive sends because this gateway asked for it by C-MOVE.

Promises that only what is awaited at this moment is taken (:class:`~kuva_gateway.spool.awaited.Awaited`), that it goes
to ``spool/fetched/`` and nowhere else, and that it never becomes a receipt: nothing is told to the catalog.
"""

from __future__ import annotations

from kuva_gateway.dicom import statuses
from kuva_gateway.errors import DeferredError
from kuva_gateway.network.association import Association
from kuva_gateway.network.commands import Command
from kuva_gateway.network.records import AcceptedContext, Response
from kuva_gateway.scp.activity import Activities, Activity
from kuva_gateway.scp.refusal import refuse
from kuva_gateway.scp.store import AFFECTED_SOP_CLASS, AFFECTED_SOP_INSTANCE, answer_failure
from kuva_gateway.spool.fetched import Copying, FetchedFiles, NotAskedError


class FetchedStore:
    """The C-STORE service for what was asked for."""

    def __init__(self, files: FetchedFiles, activities: Activities) -> None:
        self._files = files
        self._activities = activities

    def begin(self, association: Association, context: AcceptedContext, command: Command) -> FetchedSink | Response:
        """Where the data set goes, or why it is not taken."""
        activity = self._activities.of(association)
        if not context.scp or command.affected_class != context.abstract_syntax:
            words = "the SOP class is not the one of the presentation context"
            return activity.refuse(refuse(statuses.CLASS_NOT_SUPPORTED, words, AFFECTED_SOP_CLASS))
        wanted = self._files.awaited.find(command.affected_instance)
        if wanted is None:
            words = "nobody here asks for this instance now"
            return activity.refuse(refuse(statuses.NOT_AUTHORISED, words, AFFECTED_SOP_INSTANCE))
        try:
            copying = self._files.begin(wanted, command.affected_class, context.transfer_syntax)
        except (DeferredError, OSError) as error:
            return activity.refuse(answer_failure(error))
        return FetchedSink(activity, copying)


class FetchedSink:
    """One data set on its way to ``spool/fetched/``."""

    def __init__(self, activity: Activity, copying: Copying) -> None:
        self._activity = activity
        self._copying = copying
        self.write = copying.write

    def finish(self) -> Response:
        """The data set is complete: it gets its name, from which the process that waits for it knows."""
        self._copying.keep()
        self._activity.fetched += 1
        return Response(status=statuses.SUCCESS)

    def failed(self, error: Exception) -> Response:
        """It could not be kept; nothing of it is left, and the archive hears why."""
        self._copying.drop()
        if isinstance(error, NotAskedError):
            return self._activity.refuse(refuse(statuses.DATA_SET_MISMATCH, str(error)))
        return self._activity.refuse(answer_failure(error))

    def abandon(self) -> None:
        """The archive went away in the middle."""
        self._copying.drop()
