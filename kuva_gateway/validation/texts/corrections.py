"""The words of the rule on rejection notes."""

from __future__ import annotations

from typing import Final

from kuva_gateway.validation.wording import Message, Rule, Text

IOC_01 = Rule(
    id="IOC-01",
    severity="hold",
    title=Text(
        "Rejection notes come from those who may reject, and go on when a person lets them",
        "Hylkäysmerkinnät tulevat niiltä, jotka saavat hylätä, ja lähtevät eteenpäin ihmisen luvalla",
    ),
    looks_at=Text(
        "Key object selections with the document title 113001, 113037, 113038 or 113039 (DCM); the peer's allow: reject"
        " and forward_rejections; whether anything that the note rejects has been delivered.",
        "Avainobjektivalinnat, joiden otsikko on 113001, 113037, 113038 tai 113039 (DCM); lähettäjän asetukset"
        " allow: reject ja forward_rejections; onko hylätyistä mitään toimitettu.",
    ),
    remedy=Text(
        "Release the study to let the note count and go to the destinations; studies dismiss keeps it from going.",
        "Vapauta tutkimus, jolloin merkintä tulee voimaan ja lähtee eteenpäin; studies dismiss estää sen lähtemisen.",
    ),
    messages={
        "foreign": Message(
            text=Text(
                "The rejection note {sop_instance} came from a peer that may not reject; nothing is hidden by it",
                "Hylkäysmerkintä {sop_instance} tuli lähettäjältä, joka ei saa hylätä; se ei piilota mitään",
            )
        ),
        "unreadable": Message(
            text=Text(
                "What the rejection note {sop_instance} rejects cannot be read",
                "Hylkäysmerkinnän {sop_instance} viittauksia ei voi lukea",
            )
        ),
        "release": Message(
            text=Text(
                "The rejection note {sop_instance} is in force here; it goes to the destinations when a person says so",
                "Hylkäysmerkintä {sop_instance} on täällä voimassa; eteenpäin se lähtee vasta ihmisen luvalla",
            )
        ),
        "forwarded": Message(
            severity="info",
            text=Text(
                "The rejection note {sop_instance} is in force and goes to the destinations",
                "Hylkäysmerkintä {sop_instance} on voimassa ja lähtee eteenpäin",
            ),
        ),
        "kept": Message(
            severity="info",
            text=Text(
                "The rejection note {sop_instance} is in force; nothing that it rejects was delivered: it stays here",
                "Hylkäysmerkintä {sop_instance} on voimassa; hylätyistä mitään ei ole toimitettu, joten se jää tänne",
            ),
        ),
        "retention": Message(
            severity="info",
            text=Text(
                "The note {sop_instance} says that the time of instances is over; it is in force here and goes nowhere",
                "Merkintä {sop_instance} kertoo säilytysajan päättyneen; se on voimassa vain täällä",
            ),
        ),
        "dismissed": Message(
            severity="info",
            text=Text(
                "A person decided that the rejection note {sop_instance} goes nowhere",
                "Hylkäysmerkintä {sop_instance} ei ihmisen päätöksellä lähde eteenpäin",
            ),
        ),
        "copy": Message(
            severity="info",
            text=Text(
                "Copies of rejected instances have come and are kept out of sight (instances: {instances})",
                "Hylättyjen instanssien kopioita on saapunut, ja ne on piilotettu (instansseja: {instances})",
            ),
        ),
    },
)

RULES: Final[tuple[Rule, ...]] = (IOC_01,)
