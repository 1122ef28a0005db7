"""All examinations, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kuva_gateway.doctor import database, disk, machine, network, records, service
from kuva_gateway.doctor.findings import Diagnosis, Subject, fault
from kuva_gateway.errors import GatewayError

Examination = Callable[[Subject], Iterator[Diagnosis]]

EXAMINATIONS: tuple[tuple[str, Examination], ...] = (
    ("installation", machine.installation),
    ("configuration", service.configuration),
    ("clock", machine.clock),
    ("daemon", service.daemon),
    ("permissions", disk.permissions),
    ("file system", disk.file_system),
    ("disk", disk.room),
    ("drop folders", disk.drop_folders),
    ("set aside", records.set_aside),
    ("records", records.records),
    ("catalog", database.catalog),
    ("codes", database.code_list),
    ("certificate", network.certificates),
    ("revocation", network.revocation),
    ("ports", network.ports),
    ("peers", network.peers),
)


def examine(subject: Subject) -> Iterator[Diagnosis]:
    """What each examination finds, as soon as it has found it; one that breaks down is a fault of its own."""
    for name, examination in EXAMINATIONS:
        try:
            yield from examination(subject)
        except (GatewayError, OSError) as error:
            why = error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
            yield fault(name, f"this could not be looked at: {why}", "Mend what the line names, and ask again.")
        except Exception as error:
            yield fault(
                name,
                f"this could not be looked at: {type(error).__name__}",
                "This is a fault of the program's: report it with the output of kuva-gateway --version.",
            )
