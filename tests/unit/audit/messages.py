"""One message of each kind, with names that try to break out."""

from __future__ import annotations

from datetime import UTC, datetime

from kuva_gateway.audit import events
from kuva_gateway.audit.events import Node, StudyTold
from kuva_gateway.audit.message import Message, Source

AT = datetime(2026, 11, 22, 3, 4, 5, 678, UTC)
US = Node(ae_title="KUVAGW", address="gateway.hospital.example")
SOURCE = Source(identifier="KUVAGW", site='Sairaala "A" & <B>')
NASTY = Node(ae_title='CT"1<&>\x01', address="192.0.2.7", certificate="commonName=CT1", user="h\u00e4mmer\ufffe\ud800")
STUDY = StudyTold(
    uid="1.2.3",
    patient_id="010199-999X<",
    accession_number='A"1',
    sop_classes={"1.2.840.10008.5.1.4.1.1.2": 3, "": 2},
)
PACS = Node(ae_title="PACS", address="::1")


def every_kind() -> dict[str, Message]:
    """Kind -> message."""
    return {
        "start": events.application(US, AT, starts=True, process=4711),
        "stop": events.application(US, AT, starts=False, process=4711),
        "audit": events.audit_log_used(US, AT, person="root", place="file:///var/lib/kuva-gateway/audit"),
        "backed up": events.backed_up(US, AT, person="ops<", place="file:///srv/b%20a", studies=3, images=70),
        "restored": events.restored(US, AT, person="root", place="file:///srv/b", studies=3, images=70),
        "refused": events.refused(US, AT, caller=NASTY, why="nobody with this calling AE title", times=7),
        "refused without a name": events.refused(US, AT, caller=Node(ae_title="", address="192.0.2.9"), why="TLS"),
        "alert": events.alert(US, AT, what="4 audit messages could not be kept"),
        "received": events.received(US, AT, sender=NASTY, study=STUDY),
        "delivered": events.sent(US, AT, receiver=PACS, studies=[STUDY]),
        "moved": events.sent(US, AT, receiver=PACS, studies=[STUDY, STUDY], asker=NASTY, failure="2 failed: A700"),
        "got": events.sent(US, AT, receiver=PACS, studies=[STUDY], asker=PACS),
        "decided": events.decided(US, AT, person="Päivi <x>", what="released: \x00 seen", study=STUDY),
        "removed": events.deleted(US, AT, person="ops", why="removed", study=StudyTold(uid="1.2.4")),
        "purged": events.deleted(US, AT, person="", why="retention", study=STUDY),
        "queried": events.queried(
            US, AT, asker=PACS, sop_class="1.2.840.10008.5.1.4.1.2.2.1", transfer_syntax="1.2.840.10008.1.2",
            identifier=bytes(range(256)),
        ),
        "query failed": events.queried(
            US, AT, asker=PACS, sop_class="1.2", transfer_syntax="1.2.840.10008.1.2", identifier=b"", failure="A900",
        ),
    }  # fmt: skip
