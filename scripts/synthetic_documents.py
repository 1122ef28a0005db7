"""Synthetic imaging documents for tests and demonstrations; every one says in its title and text that it is synthetic.

The header follows the CDA skeleton of the national archive; the body is our own invention, made for the default
extraction profile. Standard library only.
"""

from __future__ import annotations

import uuid
from xml.sax.saxutils import escape, quoteattr

TITLES = {
    "request": "Radiologinen tutkimuspyyntö",
    "examination_entry": "Tutkimusmerkintä",
    "report": "Radiologinen lausunto",
    "other": "Hoitokertomus",
}
MARK = "SYNTEETTINEN / SYNTHETIC"
ORGANISATION = "1.2.246.10.99999984"

_DOCUMENT = """\
<?xml version="1.0" encoding="{encoding}"?>
<!-- {mark}: made for tests; no real person, no real care. -->
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:hl7fi="urn:hl7finland"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <realmCode code="FI"/>
  <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
  <templateId root={template}/>
  <id root={oid}/>
  <code code={register} codeSystem="1.2.246.537.5.40150.2009"/>
  <title>{title} ({mark})</title>
  <effectiveTime value={effective_time}/>
  <confidentialityCode code="5" codeSystem="1.2.246.777.5.99902.2006"/>
  <languageCode code="fi"/>
  <setId root={set_id}/>
  <versionNumber value={version}/>
  <recordTarget>
    <patientRole>
      <id root={hetu_root} extension={hetu}/>
      <patient><name><given>Testi</given><family>Synteettinen</family></name></patient>
    </patientRole>
  </recordTarget>
  <custodian>
    <assignedCustodian>
      <representedCustodianOrganization>
        <id root={keeper}/><name>Testirekisterinpitäjä</name>
      </representedCustodianOrganization>
    </assignedCustodian>
  </custodian>
{related}  <componentOf>
    <encompassingEncounter>
      <id root={service_event}/>
      <effectiveTime nullFlavor="NA"/>
      <responsibleParty>
        <assignedEntity>
          <id nullFlavor="NA"/>
          <representedOrganization><id root={producer}/><name>Testituottaja</name></representedOrganization>
        </assignedEntity>
      </responsibleParty>
    </encompassingEncounter>
  </componentOf>
  <hl7fi:localHeader>
    <hl7fi:tableOfContents>
      <hl7fi:contentsCode code={view} codeSystem="1.2.246.537.6.12.2002"/>
    </hl7fi:tableOfContents>
    <hl7fi:recordStatus code={record_status} codeSystem="1.2.246.537.5.40154.2008"/>
    <hl7fi:custodianTypeCode code="1" codeSystem="1.2.246.537.5.40172.2008"/>
{specifier}  </hl7fi:localHeader>
  <component>
    <structuredBody>
      <component>
        <section>
          <code code={view} codeSystem="1.2.246.537.6.12.2002"/>
          <title>{title}</title>
          <text>{mark}. Keksitty asiakirja testausta varten.</text>
{entries}        </section>
      </component>
    </structuredBody>
  </component>
</ClinicalDocument>
"""
_RELATED = """\
  <relatedDocument typeCode="RPLC">
    <parentDocument><id root={old}/><setId root={set_id}/></parentDocument>
  </relatedDocument>
"""
_CODE = """\
          <entry>
            <observation classCode="OBS" moodCode="EVN">
              <code code={code} codeSystem="1.2.246.537.6.2.2007"/>
            </observation>
          </entry>
"""
_ACCESSION = """\
          <entry>
            <observation classCode="OBS" moodCode="EVN">
              <code nullFlavor="NA"/>
              <value xsi:type="II" root={root} extension={accession}/>
            </observation>
          </entry>
"""
_STUDY = """\
          <entry>
            <observation classCode="DGIMG" moodCode="EVN">
              <id root={study_uid}/>
              <code nullFlavor="NA"/>
            </observation>
          </entry>
"""


def new_document_oid() -> str:
    """A document OID under the synthetic organisation."""
    return f"{ORGANISATION}.91.2024.{uuid.uuid4().int % 10**15}"


def build_document(
    *,
    kind: str = "request",
    study_uid: str | None = None,
    accession: str | None = None,
    hetu: str = "010516B903X",
    hetu_root: str = "1.2.246.21",
    code: str | None = "GD1AA",
    version: int = 1,
    oid: str | None = None,
    set_id: str | None = None,
    replaces: str | None = None,
    record_status: str = "3",
    accession_root: str = f"{ORGANISATION}.99",
    register_keeper: str = f"{ORGANISATION}.19.0",
    register: str = "2",
    register_specifier: str | None = None,
    producer: str = f"{ORGANISATION}.10.0",
    service_event: str = f"{ORGANISATION}.14.2024.1",
    effective_time: str = "20240304101500",
    template: str = "1.2.246.777.11.2020.8",
    view: str = "SYN",
    title: str | None = None,
    encoding: str = "UTF-8",
) -> bytes:
    """A document of ``kind`` (request, examination_entry, report, other).

    ``replaces`` is the OID of the version it replaces. ``study_uid``, ``accession`` and ``code`` may be None: the
    document then does not name them. ``oid`` None makes a new one; ``set_id`` None means the first version, whose
    set has the same OID.
    """
    own = oid or new_document_oid()
    first = set_id or own
    entries = ""
    if code is not None:
        entries += _CODE.format(code=quoteattr(code))
    if accession is not None:
        entries += _ACCESSION.format(root=quoteattr(accession_root), accession=quoteattr(accession))
    if study_uid is not None:
        entries += _STUDY.format(study_uid=quoteattr(study_uid))
    specifier = ""
    if register_specifier is not None:
        specifier = (
            f'    <hl7fi:patientRegistrySpecifier root="1.2.246.10" extension={quoteattr(register_specifier)}/>\n'
        )
    related = _RELATED.format(old=quoteattr(replaces), set_id=quoteattr(first)) if replaces is not None else ""
    attributes = {
        "template": template,
        "oid": own,
        "register": register,
        "effective_time": effective_time,
        "set_id": first,
        "version": str(version),
        "hetu_root": hetu_root,
        "hetu": hetu,
        "keeper": register_keeper,
        "service_event": service_event,
        "producer": producer,
        "view": view,
        "record_status": record_status,
    }
    return _DOCUMENT.format(
        encoding=encoding,
        mark=MARK,
        title=escape(title if title is not None else TITLES[kind]),
        related=related,
        specifier=specifier,
        entries=entries,
        **{name: quoteattr(value) for name, value in attributes.items()},
    ).encode(encoding)
