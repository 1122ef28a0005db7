"""The catalog: whether it can be used, is whole, and knows the codes of today."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta

from kuva_gateway import parts
from kuva_gateway.catalog import health
from kuva_gateway.doctor.findings import Diagnosis, Subject, fault, warning, well
from kuva_gateway.errors import CatalogUnavailableError, NotFoundError, RefusedError

APART = timedelta(seconds=5)  # between the clocks of two machines
OLD_LIST = timedelta(days=400)
_REBUILD = "Stop the gateway, keep a copy of the state directory, kuva-gateway catalog rebuild."


def catalog(subject: Subject) -> Iterator[Diagnosis]:
    """Whether the database answers, is whole and durable, and lies in the past."""
    try:
        with contextlib.closing(parts.open_catalog(subject.configuration, create=False)) as opened:
            found = health.look(opened)
    except NotFoundError:
        yield warning("catalog", "there is none yet", "It is made at the first start, or by an import.")
        return
    except RefusedError as error:
        older = error.code == "schema-older"
        remedy = (
            "Restart the gateway." if older else "Install the version of the program that wrote it, or a newer one."
        )
        yield fault("catalog", str(error), remedy)
        return
    except CatalogUnavailableError as error:
        yield fault("catalog", str(error), f"Start the database; if it is damaged: {_REBUILD}")
        return
    if found.damage:
        yield fault("catalog", f"the database is damaged: {found.damage}", _REBUILD)
    for setting in found.unsafe:
        yield fault(
            "catalog",
            f"PostgreSQL runs with {setting}: a power cut may cost what was catalogued",
            "Set it back to on in postgresql.conf.",
        )
    if found.clock is not None and abs(found.clock - subject.now) > APART:
        yield warning(
            "catalog", f"the database's clock is {_apart(found.clock - subject.now)}", "Synchronise both clocks."
        )
    if found.newest is not None and found.newest - subject.now > APART:
        yield fault(
            "clock",
            f"the newest event of the catalog is {_apart(found.newest - subject.now)}: the clock was set back",
            "Set the clock right; until then retries wait.",
        )
    if not found.damage:
        yield well(
            "catalog", f"{found.database}, {found.studies} studies" + ("" if found.whole else ", looked at in part")
        )


def code_list(subject: Subject) -> Iterator[Diagnosis]:
    """Whether the code list has been brought up to date within about a year: THL publishes one each year."""
    try:
        with contextlib.closing(parts.open_catalog(subject.configuration, create=False)) as opened:
            count, newest = health.code_list(opened)
    except (NotFoundError, RefusedError, CatalogUnavailableError):
        return  # told by the examination before
    if not count:
        yield fault("codes", "there is no procedure code", "kuva-gateway codes import FILE, with THL's export.")
    elif newest is None or subject.now.date() - newest > OLD_LIST:
        since = "none" if newest is None else f"the newest from {newest}"
        yield warning(
            "codes",
            f"{count} codes, {since}: the list may be out of date",
            "Import THL's present export: kuva-gateway codes import FILE.",
        )
    else:
        yield well("codes", f"{count} codes, the newest from {newest}")


def _apart(difference: timedelta) -> str:
    seconds = abs(difference.total_seconds())
    amount = f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds:.0f} s"
    return f"{amount} {'ahead' if difference > timedelta() else 'behind'}"
