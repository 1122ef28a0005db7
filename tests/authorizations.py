"""Synthetic service-purchase authorizations in the real form, and how to spoil one thing about each."""

from __future__ import annotations

from typing import Any

from kuva_gateway.clinical.authorizations import Authorization, parse_authorization

ORGANISER = "1.2.246.10.99999984.10.0"
KEEPER = "1.2.246.10.99999984.19.0"
PRODUCER = "1.2.246.10.48484841.10.0"
HETU = "010516B903X"
FORM = "1.2.246.537.6.12.2002.362"
_NAMESPACES = (
    'xmlns="urn:hl7-org:v3" xmlns:hl7fi="urn:hl7finland" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)


def section(field: int, text: str = "", value: str = "") -> str:
    entry = f"<entry><observation><code nullFlavor='NA'/>{value}</observation></entry>" if value else ""
    return (
        f'<component><section><code code="{field}" codeSystem="{FORM}"/>'
        f"{f'<text>{text}</text>' if text else ''}{entry}</section></component>"
    )


def oid(field: int, root: str, extension: str = "") -> str:
    second = f' extension="{extension}"' if extension else ""
    return section(field, root, f'<value xsi:type="II" root="{root}"{second}/>')


def coded(field: int, code: str) -> str:
    return section(field, code, f'<value xsi:type="CV" code="{code}"/>')


def days(field: int, first: str, last: str) -> str:
    ends = (f'<low value="{first}"/>' if first else "") + (f'<high value="{last}"/>' if last else "")
    return section(field, "", f'<value xsi:type="IVL_TS">{ends}</value>')


def right(field: int, keeper: str, register: str, specifier: str) -> str:
    made = oid(field, keeper) + coded(field + 1, register)
    if specifier:
        made += oid(field + 2, "1.2.246.10", specifier) + section(field + 3, "Yritys Oy")
    return made


def build_authorization(**changes: Any) -> bytes:
    """An authorization of the fictional organiser for the fictional producer.

    ``without`` leaves fields out by number; ``patient`` makes it one patient's; ``search=None`` gives no search right.
    """
    values: dict[str, Any] = {
        "oid": f"{ORGANISER}.91.2024.1",
        "set_id": "",
        "version": 1,
        "replaces": "",
        "status": "3",
        "kind": "1" if changes.get("patient") else "2",
        "valid": ("20240101", "20241231"),
        "keeper": KEEPER,
        "organiser": ORGANISER,
        "producer": PRODUCER,
        "register": "2",
        "specifier": "",
        "search": "2",
        "patient": "",
        "header_patient": None,
        "everything": True,
        "span": ("", ""),
        "events": (),
        "without": (),
        "custodian_name": "Testi tk",
        **changes,
    }
    v = values
    patient = v["patient"]
    fields: dict[int, str] = {
        4: coded(4, v["kind"]),
        6: days(6, *v["valid"]),
        8: oid(8, v["organiser"]),
        9: section(9, "Testi tk"),
        10: oid(10, f"{v['organiser']}.1"),
        11: section(11, "Testi tk pääterveysasema"),
        13: oid(13, v["producer"]),
        14: section(14, "Testi yksityinen"),
        16: right(16, v["keeper"], v["search"], v["specifier"]) if v["search"] else "",
        21: right(21, v["keeper"], v["register"], v["specifier"]),
        26: oid(26, "1.2.246.21", patient) + section(27, "Potilas, Testi") if patient else "",
        30: section(30, "kyllä", '<value xsi:type="BL" value="true"/>') if v["everything"] else "",
        31: days(31, *v["span"]) if any(v["span"]) else "",
        32: "".join(oid(32, one) for one in v["events"]),
        34: oid(34, "1.2.246.21", "290165-980W"),
        35: section(35, "Hiille, Tes-Arvi"),
        36: oid(36, f"{v['organiser']}.1"),
        37: section(37, "", '<value xsi:type="TS" value="202401011044"/>'),
    }
    form = "".join(made for field, made in fields.items() if field not in v["without"])
    header_patient = patient if v["header_patient"] is None else v["header_patient"]
    replaced = v["replaces"]
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument {_NAMESPACES}>
<!-- SYNTHETIC: for tests -->
<id root="{v["oid"]}"/>
<code code="13" codeSystem="1.2.246.537.5.40150.2009"/>
<title>Ostopalvelun valtuutus asiakirja</title>
<effectiveTime value="20240101104421"/>
<setId root="{v["set_id"] or v["oid"]}"/>
<versionNumber value="{v["version"]}"/>
<recordTarget><patientRole>{f'<id root="1.2.246.21" extension="{header_patient}"/>' if header_patient else ""}
</patientRole></recordTarget>
<custodian><assignedCustodian><representedCustodianOrganization>
<id root="{v["keeper"]}"/>{f"<name>{v['custodian_name']}</name>" if v["custodian_name"] else ""}
</representedCustodianOrganization></assignedCustodian></custodian>
{
        f'<relatedDocument typeCode="RPLC"><parentDocument><id root="{replaced}"/></parentDocument></relatedDocument>'
        if replaced
        else ""
    }
<hl7fi:localHeader><hl7fi:tableOfContents>
<hl7fi:contentsCode code="362" codeSystem="1.2.246.537.6.12.2002"/></hl7fi:tableOfContents>
<hl7fi:recordStatus code="{v["status"]}"/></hl7fi:localHeader>
<component><structuredBody><component><section>
<code code="362" codeSystem="1.2.246.537.6.12.2002"/>
{form}
</section></component></structuredBody></component>
</ClinicalDocument>
""".encode()


def authorization(**changes: Any) -> Authorization:
    """The record of such a document."""
    return parse_authorization(build_authorization(**changes))
