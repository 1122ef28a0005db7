"""A gateway that answers queries, behind a real acceptor, and what asks it."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from kuva_gateway import parts
from kuva_gateway.catalog.database import Catalog
from kuva_gateway.config import Configuration
from kuva_gateway.forward.call import Call
from kuva_gateway.network import (
    Acceptor,
    Limits,
    Listener,
    ProposedContext,
    RequestorAssociation,
    Target,
    Timers,
    connect,
)
from kuva_gateway.scp.dispatch import Dispatcher
from kuva_gateway.scp.lookup import Lookup
from tests.support import dcmtk, dcmtk_environment
from tests.unit.catalog.making import Clock, Hospital
from tests.unit.scp.conftest import EXPLICIT, IMPLICIT, TIMERS, Asked, Lines, Spool, encode

PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"


@dataclass
class Answers:
    """What came back: statuses, comments, offending elements, data sets of the pending ones."""

    statuses: list[int] = field(default_factory=list)
    data_sets: list[Dataset] = field(default_factory=list)
    comment: str = ""
    offending: tuple[int, ...] = ()

    @property
    def final(self) -> int:
        return self.statuses[-1]

    def values(self, keyword: str) -> list[Any]:
        return sorted(str(one.get(keyword)) for one in self.data_sets)


@dataclass
class Querying:
    """The gateway, and its hospital, whose images are indexed by hand."""

    hospital: Hospital
    acceptor: Acceptor
    log: Lines
    waits: list[datetime] = field(default_factory=list)
    indexed: bool = True

    @property
    def port(self) -> int:
        return self.acceptor.ports[0]

    @contextmanager
    def associate(
        self, root: str = STUDY_ROOT, *, syntax: str = EXPLICIT, extended: bytes | None = None, calling: str = "PACS"
    ) -> Iterator[RequestorAssociation]:
        contexts = [ProposedContext(id=1, abstract_syntax=root, transfer_syntaxes=(syntax,))]
        target = Target(host="127.0.0.1", port=self.port, called_ae="KUVAGW", calling_ae=calling)
        proposed = {} if extended is None else {root: extended}
        with connect(target, contexts, extended=proposed, timers=TIMERS) as association:
            yield association

    def find(
        self, root: str = STUDY_ROOT, *, syntax: str = EXPLICIT, extended: bytes | None = None, **keys: Any
    ) -> Answers:
        """One query on an association of its own."""
        with self.associate(root, syntax=syntax, extended=extended) as association:
            return ask(association, identifier(syntax, **keys), syntax)

    def findscu(self, *keys: str, folder: Path, root: str = "-S") -> list[Dataset]:
        """The same by DCMTK's findscu; its answers as files."""
        given = [part for key in keys for part in ("-k", key)]
        subprocess.run(
            [dcmtk("findscu"), root, "-X", "-aet", "PACS", "-aec", "KUVAGW", "127.0.0.1", str(self.port), *given],
            cwd=folder,
            env=dcmtk_environment(),
            check=True,
            timeout=30,
            capture_output=True,
        )
        return [dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]


def identifier(syntax: str = EXPLICIT, **keys: Any) -> bytes:
    """An identifier, level STUDY unless it says another."""
    made = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in {"QueryRetrieveLevel": "STUDY", **keys}.items():
            if value is not None:
                setattr(made, keyword, value)
        return encode(made, syntax)


def ask(association: RequestorAssociation, data: bytes, syntax: str = EXPLICIT) -> Answers:
    """One query on an association that is open."""
    found = Answers()
    for answer in association.find(association.contexts[1], data):
        found.statuses.append(answer.status)
        if answer.data_set is not None:
            found.data_sets.append(read_dataset(BytesIO(answer.data_set), syntax == IMPLICIT, True))
        found.comment, found.offending = answer.comment, answer.offending
    return found


def crowd(hospital: Hospital, count: int, **attributes: Any) -> None:
    """So many studies, 1.2.0 and 1.2.0.1 and on, all alike: rows only, but for the first."""
    hospital.send("1.2.0", 1, **attributes)
    columns = "state, revision, facts_version, judge, delivered, patient_id, patient_key, patient_name, description, "
    columns += "accession_number, study_date, modalities, series, instances, bytes, peer, first_arrival, last_arrival, "
    columns += "receiving_since"
    with hospital.catalog.write() as session:
        session.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) "
            f"INSERT INTO studies (id, uid, {columns}) SELECT s.id + n.i, s.uid || '.' || n.i, {columns} "
            "FROM n, studies s WHERE s.uid = '1.2.0'",
            count,
        )


@contextmanager
def querying(
    folder: Path,
    *,
    allow: Sequence[str] = ("find",),
    callee: Callable[[str], Call | None] | None = None,
    archive: Mapping[str, Any] | None = None,
    timers: Timers = TIMERS,
    also: Sequence[Mapping[str, Any]] = (),
    **query: Any,
) -> Iterator[Querying]:
    """A gateway with a catalog of its own, in which nothing is yet; ``callee``: the destinations of a C-MOVE.

    ``also``: further peers. ``archive``: the destination that is asked as well; further peers are then PRODUCER, of a
    service producer, and ARCHIVE.
    """
    values: Mapping[str, Any] = {
        "environment": "test",
        "state_directory": folder,
        "peers": [{"name": "pacs", "ae_title": "PACS", "allow": list(allow)}, *also],
        "query": query,
    }
    if archive is not None:
        peers = [
            {"name": "producer", "ae_title": "PRODUCER", "allow": list(allow), "producer": "1.2.246.10.7654321"},
            {"name": "archive-asks", "ae_title": "ARCHIVE", "allow": list(allow)},
        ]
        values = {
            **values,
            "peers": values["peers"] + peers,
            "destinations": [{"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", **archive}],
            "query": {"upstream": "archive", **query},
        }
    configuration = Configuration.model_validate(values)
    parts.make_state_directory(folder)
    log = Lines()
    catalog = Catalog.open(None, parts.catalog_path(configuration))
    spool = Spool(folder / "spool", minimum_free=0)
    running: Querying

    def wait_indexed(moment: datetime, seconds: float) -> bool:
        running.waits.append(moment)
        return running.indexed

    lookup = Lookup(
        open_catalog=lambda: parts.open_catalog(configuration, create=False),
        wait_indexed=wait_indexed,
        may_see=parts.make_may_see(configuration),
        barrier=configuration.query.barrier,
    )
    dispatcher = Dispatcher(
        configuration,
        spool,
        on_receipt=lambda arrival, header: None,
        immediate=lambda header, peer: None,
        on_commitment_result=lambda *result: None,
        commitment_requests=Asked(),
        lookup=lookup,
        callee=callee or (lambda ae_title: None),
        upstream=parts.call_upstream(configuration),
        log=log,
    )
    acceptor = Acceptor([Listener(host="127.0.0.1", port=0)], dispatcher, timers=timers, limits=Limits(), log=log)
    running = Querying(hospital=Hospital(catalog, spool, Clock()), acceptor=acceptor, log=log)
    acceptor.start()
    try:
        yield running
    finally:
        acceptor.drain(5)
        lookup.close()
        catalog.close()
