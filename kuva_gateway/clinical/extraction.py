"""The extraction itself: a document's tree walked once by the profile's rules, each value with its rule and line.

One :class:`Extraction` lives as long as one document is read. :mod:`documents` tells its outcome in two ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kuva_gateway.clinical.cda import FI, V3, attribute, is_identifier, line_of, text_of
from kuva_gateway.clinical.codes import PROCEDURE_SCHEMES
from kuva_gateway.clinical.document_profile import Kind, Profile, kind_of_text
from kuva_gateway.clinical.documents import DocumentError, Explained, ImagingDocument
from kuva_gateway.clinical.hardened_xml import parse_hardened
from kuva_gateway.clinical.identifiers import HETU_ROOT, is_oid, normalise_hetu

if TYPE_CHECKING:
    from lxml.etree import _Element

READY: Final = "3"
"""Record status "ready for archiving" in code system 1.2.246.537.5.40154."""
_STUDY_PARENTS: Final = ("externalObservation", "externalDocument")
_CODED: Final = ("code", "value", "translation")


@dataclass(frozen=True, slots=True)
class _Text:
    """A value, where it stood and what found it."""

    text: str
    rule: str
    line: int | None


_NOTHING: Final = _Text("", "", None)


def extract(data: bytes, profile: Profile) -> Extraction:
    """Read a document's bytes by ``profile``; raises DocumentError."""
    root = parse_hardened(
        data,
        maximum_bytes=profile.maximum_bytes,
        maximum_depth=profile.maximum_depth,
        maximum_elements=profile.maximum_elements,
    )
    if str(root.tag).endswith("}EncryptedData"):
        raise DocumentError("the document is encrypted; only plain ones can be read", line_of(root))
    if root.tag != f"{V3}ClinicalDocument":
        raise DocumentError("the root element is not ClinicalDocument of urn:hl7-org:v3", line_of(root))
    return Extraction(root, profile)


class Extraction:
    """What one document says, found once."""

    def __init__(self, root: _Element, profile: Profile) -> None:
        self._root = root
        self._profile = profile
        self._body = root.findall(f"{V3}component")
        self._header = [child for child in root if child.tag == f"{FI}localHeader"]
        self._found: list[Explained] = []
        self._document = self._read()

    @property
    def root(self) -> _Element:
        """The root element, for those who read more of the document than its profile does."""
        return self._root

    def document(self) -> ImagingDocument:
        """The document's record."""
        return self._document

    def explained(self) -> list[Explained]:
        """Every value with its rule and line, header first."""
        return list(self._found)

    def _read(self) -> ImagingDocument:
        oid = self._oid()
        patient_id, patient_root = self._patient()
        status = self._one("record_status", self._header_attribute("recordStatus", "code"))
        templates = self._many("template_ids", self._attributes(f"{V3}templateId", "root"))
        kind, kind_rule = self._kind()
        return ImagingDocument(
            oid=oid,
            set_id=self._one("set_id", self._attributes(f"{V3}setId", "root")) or oid,
            version=self._version(),
            replaces=self._many("replaces", self._replaced()),
            kind=kind,
            kind_rule=kind_rule,
            patient_id=patient_id,
            patient_id_root=patient_root,
            register_keeper=self._one("register_keeper", self._register_keeper()),
            register=self._one("register", self._attributes(f"{V3}code", "code")),
            register_specifier=self._one("register_specifier", self._specifier()),
            producer=self._one("producer", self._producer()),
            service_event=self._one(
                "service_event", self._attributes(f"{V3}componentOf/{V3}encompassingEncounter/{V3}id", "root")
            ),
            ready=status == READY,
            record_status=status,
            effective_time=self._one("effective_time", self._attributes(f"{V3}effectiveTime", "value")),
            template_ids=templates,
            recognised=not self._profile.templates.isdisjoint(templates),
            study_uids=self._many("study_uids", self._studies()),
            accessions=self._accessions(),
            procedure_codes=self._many("procedure_codes", self._codes()),
            title=self._one("title", self._title()),
            views=self._many("views", self._views()),
        )

    # -- telling what was found ---------------------------------------------------------------------------------------

    def _one(self, field: str, candidates: Iterable[_Text]) -> str:
        """The first candidate that is not empty; it is explained."""
        chosen = next((candidate for candidate in candidates if candidate.text), _NOTHING)
        if chosen.text:
            self._explain(field, chosen)
        return chosen.text

    def _many(self, field: str, candidates: Iterable[_Text]) -> tuple[str, ...]:
        """Every candidate that is not empty, once each; each place is explained."""
        values: dict[str, None] = {}
        for candidate in candidates:
            if candidate.text:
                self._explain(field, candidate)
                values[candidate.text] = None
        return tuple(values)

    def _explain(self, field: str, found: _Text) -> None:
        self._found.append(Explained(field=field, value=found.text, rule=found.rule, line=found.line))

    def _attributes(self, path: str, name: str) -> Iterator[_Text]:
        """The attribute of every element at ``path`` from the root."""
        rule = f"{path.replace(V3, '').replace(FI, 'hl7fi:')}/@{name}"
        for element in self._root.findall(path):
            yield _Text(attribute(element, name), rule, line_of(element))

    def _header_attribute(self, element: str, name: str) -> Iterator[_Text]:
        yield from self._attributes(f"{FI}localHeader/{FI}{element}", name)

    # -- the header ---------------------------------------------------------------------------------------------------

    def _oid(self) -> str:
        oid = self._one("oid", self._attributes(f"{V3}id", "root"))
        if not oid:
            raise DocumentError("the document has no id of its own (ClinicalDocument/id/@root)", line_of(self._root))
        if not is_oid(oid):
            element = self._root.find(f"{V3}id")
            line = None if element is None else line_of(element)
            raise DocumentError("the document's id is not a well-formed OID", line)
        return oid

    def _version(self) -> int:
        element = self._root.find(f"{V3}versionNumber")
        text = attribute(element, "value") if element is not None else ""
        if element is None or not text:
            return 1
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise DocumentError("the version number is not a whole number", line_of(element))
        self._explain("version", _Text(text, "versionNumber/@value", line_of(element)))
        return int(text)

    def _replaced(self) -> Iterator[_Text]:
        for related in self._root.findall(f"{V3}relatedDocument"):
            if attribute(related, "typeCode") != "RPLC":
                continue
            for element in related.findall(f"{V3}parentDocument/{V3}id"):
                rule = "relatedDocument[@typeCode='RPLC']/parentDocument/id/@root"
                yield _Text(attribute(element, "root"), rule, line_of(element))

    def _patient(self) -> tuple[str, str]:
        """The patient's id and its root: the personal identity code when there are several ids."""
        elements = [
            element
            for element in self._root.findall(f"{V3}recordTarget/{V3}patientRole/{V3}id")
            if attribute(element, "extension")
        ]
        if not elements:
            return "", ""
        chosen = next((one for one in elements if attribute(one, "root") == HETU_ROOT), elements[0])
        root = attribute(chosen, "root")
        value = attribute(chosen, "extension")
        if root == HETU_ROOT:
            value = normalise_hetu(value)
        rule = "recordTarget/patientRole/id"
        self._explain("patient_id", _Text(value, f"{rule}/@extension", line_of(chosen)))
        self._explain("patient_id_root", _Text(root, f"{rule}/@root", line_of(chosen)))
        return value, root

    def _register_keeper(self) -> Iterator[_Text]:
        yield from self._attributes(f"{V3}custodian//{V3}representedCustodianOrganization/{V3}id", "root")

    def _producer(self) -> Iterator[_Text]:
        way = f"{V3}componentOf/{V3}encompassingEncounter/{V3}responsibleParty//{V3}representedOrganization/{V3}id"
        yield from self._attributes(way, "root")

    def _specifier(self) -> Iterator[_Text]:
        """The specifier is an identifier: its extension (a business or person id), else its root, a code or text."""
        for name in ("extension", "root", "code"):
            yield from self._header_attribute("patientRegistrySpecifier", name)
        for element in self._root.findall(f"{FI}localHeader/{FI}patientRegistrySpecifier"):
            yield _Text(text_of(element), "hl7fi:localHeader/hl7fi:patientRegistrySpecifier", line_of(element))

    def _title(self) -> Iterator[_Text]:
        for element in self._root.findall(f"{V3}title"):
            yield _Text(text_of(element), "title", line_of(element))

    def _views(self) -> Iterator[_Text]:
        for header in self._header:
            for element in header.iter(f"{FI}contentsCode"):
                yield _Text(attribute(element, "code"), "hl7fi:contentsCode/@code", line_of(element))

    # -- the kind -----------------------------------------------------------------------------------------------------

    def _kind(self) -> tuple[Kind, str]:
        """The document's kind and what decided it: the code map, else title, display names, section titles."""
        decided = self._kind_by_code() or self._kind_by_stem()
        if decided is None:
            return "other", ""
        kind, rule, line = decided
        self._explain("kind", _Text(kind, rule, line))
        return kind, rule

    def _kind_by_code(self) -> tuple[Kind, str, int | None] | None:
        for header in self._header:
            for element in header.iter(f"{FI}contentsCode"):
                kind = self._profile.kind_of_code(attribute(element, "code"))
                if kind is not None:
                    return kind, "code map, hl7fi:contentsCode/@code", line_of(element)
        for element in self._section_codes():
            kind = self._profile.kind_of_code(attribute(element, "code"))
            if kind is not None:
                return kind, "code map, section/code/@code", line_of(element)
        return None

    def _kind_by_stem(self) -> tuple[Kind, str, int | None] | None:
        for where, text, line in self._kind_texts():
            found = kind_of_text(text)
            if found is not None:
                kind, stem = found
                return kind, f"{where} contains {stem}", line
        return None

    def _kind_texts(self) -> Iterator[tuple[str, str, int | None]]:
        for title in self._title():
            yield "title", title.text, title.line
        for element in self._section_codes():
            yield "section/code/@displayName", attribute(element, "displayName"), line_of(element)
        for section in self._in_body("section"):
            for element in section.findall(f"{V3}title"):
                yield "section/title", text_of(element), line_of(element)

    def _section_codes(self) -> Iterator[_Element]:
        for section in self._in_body("section"):
            yield from section.findall(f"{V3}code")

    # -- the body -----------------------------------------------------------------------------------------------------

    def _in_body(self, *names: str) -> Iterator[_Element]:
        tags = [f"{V3}{name}" for name in names]
        for component in self._body:
            yield from component.iter(*tags)

    def _studies(self) -> Iterator[_Text]:
        """Every UID that may name a study, in order of appearance."""
        for element in self._in_body("id", "value"):
            rule = _study_rule(element)
            uid = attribute(element, "root")
            if rule and is_oid(uid):
                yield _Text(uid, rule, line_of(element))

    def _accessions(self) -> tuple[tuple[str, str], ...]:
        """Every identifier in the body that may be an accession number; a person's code never is."""
        roots = self._profile.accession_roots
        found: dict[tuple[str, str], None] = {}
        for element in self._in_body("id", "value"):
            tag = element.tag.removeprefix(V3)
            if tag == "value" and not is_identifier(element):
                continue
            root = attribute(element, "root")
            extension = attribute(element, "extension")
            if not extension or root == HETU_ROOT or (roots and root not in roots):
                continue
            rule = "id/@extension" if tag == "id" else "value[@xsi:type='II']/@extension"
            shown = f"{extension} ({root})" if root else extension
            self._explain("accessions", _Text(shown, rule, line_of(element)))
            found[root, extension] = None
        return tuple(found)

    def _codes(self) -> Iterator[_Text]:
        for element in self._in_body(*_CODED):
            system = attribute(element, "codeSystem")
            if any(system == scheme or system.startswith(f"{scheme}.") for scheme in PROCEDURE_SCHEMES):
                tag = element.tag.removeprefix(V3)
                yield _Text(attribute(element, "code"), f"{tag}[@codeSystem={system}]/@code", line_of(element))


def _study_rule(element: _Element) -> str:
    """The rule by which an identifier may name a study; empty when none does."""
    if element.tag == f"{V3}value":
        return "value[@xsi:type='II']/@root" if is_identifier(element) else ""
    parent = element.getparent()
    if parent is None:
        return ""
    name = str(parent.tag).removeprefix(V3)
    if name in _STUDY_PARENTS:
        return f"{name}/id/@root"
    if name == "observation" and attribute(parent, "classCode") == "DGIMG":
        return "observation[@classCode='DGIMG']/id/@root"
    return ""
