"""The words of the rules on amendments and code mappings."""

from __future__ import annotations

from typing import Final

from kuva_gateway.validation.wording import Message, Rule, Text

AMD_01 = Rule(
    id="AMD-01",
    severity="hold",
    title=Text("What was amended can be written into the images", "Oikaistut tiedot voidaan kirjoittaa kuviin"),
    looks_at=Text(
        "The study's amendments against the character set of each image. Latin-1 text also fits where an image names no"
        " character set.",
        "Tutkimuksen oikaisut ja kunkin kuvan merkistö. Latin-1-teksti sopii myös kuvaan, joka ei nimeä merkistöä.",
    ),
    remedy=Text(
        "Amend the study again with a value that the images' character set has (studies amend).",
        "Oikaise tutkimus uudelleen arvolla, joka sopii kuvien merkistöön (studies amend).",
    ),
    messages={
        "character_set": Message(
            text=Text(
                "The amended value cannot be written in the images' character set (instances: {instances})",
                "Oikaistua arvoa ei voi kirjoittaa kuvien merkistöllä (instansseja: {instances})",
            )
        )
    },
)

AMD_02 = Rule(
    id="AMD-02",
    severity="warning",
    title=Text(
        "A delivered study has the patient id that counts today", "Lähetetyn tutkimuksen potilastunniste on voimassa"
    ),
    looks_at=Text(
        "Links of patient ids (patients link, ADT messages) against a study of which something was delivered before.",
        "Potilastunnisteiden liitokset (patients link, ADT-sanomat) ja tutkimus, josta jotain on jo lähetetty.",
    ),
    remedy=Text(
        "Withdraw the study (studies withdraw), then send it again with the right id.",
        "Peruuta tutkimus (studies withdraw) ja lähetä se uudelleen oikealla tunnisteella.",
    ),
    messages={
        "delivered": Message(
            text=Text(
                "The patient id was replaced after something of the study had been delivered",
                "Potilastunniste on korvattu sen jälkeen, kun tutkimuksesta oli lähetetty jotain",
            )
        )
    },
)

MAP_01 = Rule(
    id="MAP-01",
    severity="warning",
    title=Text("The sender's local code is in its code mapping", "Lähettäjän paikallinen koodi on koodikartassa"),
    looks_at=Text(
        "Local procedure codes of a peer with a code_mapping, where the study names no code of the national list.",
        "Paikalliset tutkimuskoodit lähettäjältä, jolla on code_mapping, kun tutkimuksella ei ole kansallista koodia.",
    ),
    remedy=Text(
        "Add the code to the peer's mapping file and reload (config reload), or amend the study (studies amend).",
        "Lisää koodi lähettäjän koodikarttaan ja käynnistä yhdyskäytävä uudelleen, tai oikaise tutkimus (studies"
        " amend).",
    ),
    messages={
        "unknown": Message(
            text=Text(
                "The local code {code} is not in the sender's code mapping",
                "Paikallista koodia {code} ei ole lähettäjän koodikartassa",
            )
        )
    },
)

RULES: Final[tuple[Rule, ...]] = (AMD_01, AMD_02, MAP_01)
