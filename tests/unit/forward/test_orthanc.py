"""Orthanc as the archive."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from kuva_gateway.dicom.syntaxes import IMPLICIT_LITTLE
from kuva_gateway.forward.commitment import Question, ask
from kuva_gateway.forward.deliver import deliver
from kuva_gateway.forward.outcome import Outcome
from kuva_gateway.forward.references import Result, read_result
from tests.unit.forward.instances import CT, MR, Shelf
from tests.unit.forward.orthanc import orthanc
from tests.unit.forward.test_deliver import Notes, call_to


@contextmanager
def listening_for_reports() -> Iterator[tuple[int, list[Result], threading.Event]]:
    """An AE that takes N-EVENT-REPORT on associations which the archive opens, as the gateway's own acceptor does."""
    results: list[Result] = []
    came = threading.Event()

    def report(event: evt.Event) -> tuple[int, None]:
        results.append(read_result(event.request.EventInformation.getvalue(), str(event.context.transfer_syntax)))
        came.set()
        return 0x0000, None

    ae = AE(ae_title="KUVAGW")
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
    try:
        yield server.server_address[1], results, came
    finally:
        server.shutdown()


def test_orthanc_takes_everything_and_commits_on_its_own_association(tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    shelf = Shelf(tmp_path / "shelf")
    instances = [shelf.put(1), shelf.put(2, syntax=IMPLICIT_LITTLE, size=300_000), shelf.put(3, sop_class=MR)]
    references = tuple((i.sop_class, i.sop_instance) for i in instances)
    absent = (CT, "1.2.246.99.404")
    asked: list[Outcome] = []
    with (
        listening_for_reports() as (report_port, results, came),
        orthanc(tmp_path / "orthanc", report_port=report_port) as archive,
    ):
        notes = Notes()
        assert deliver(call_to(archive.port), instances, open_file=shelf.open, on_answer=notes).complete
        found = ask(
            call_to(archive.port),
            [Question(transaction_uid="2.25.77", references=(*references, absent))],
            on_asked=lambda question, outcome: asked.append(outcome),
            on_result=results.append,
            wait=30,
            enough=came.is_set,
        )
        assert found is None
        assert came.wait(30)
    assert [outcome.stored for outcome in asked] == [True]
    [result] = results
    assert result.transaction_uid == "2.25.77"
    assert set(result.committed) == set(references)
    assert result.failed == ((*absent, 0x0112),)
