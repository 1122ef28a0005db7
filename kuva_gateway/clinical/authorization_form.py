"""The authorization document's form (CDA R2, view 362): its numbered fields read and checked, every fault told at once.

Keeps nothing beyond one document. Input is never trusted: the document goes through the same hardened reading as
imaging documents. No fault repeats what the document says about people.

Source: fields and mandatory ones as in the archive's published form and its validator; that the header and field 26
name the same patient is our own demand.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from kuva_gateway.clinical.authorizations import OCCUPATIONAL, VIEW, Authorization, AuthorizationError, Kind, Register
from kuva_gateway.clinical.cda import FI, V3, attribute, line_of, text_of
from kuva_gateway.clinical.document_profile import Profile
from kuva_gateway.clinical.documents import DocumentError, ImagingDocument
from kuva_gateway.clinical.extraction import extract
from kuva_gateway.clinical.identifiers import HETU_ROOT, IdentifierError, is_oid, normalise_hetu, parse_hetu

if TYPE_CHECKING:
    from lxml.etree import _Element

VIEWS: Final = "1.2.246.537.6.12.2002"
"""Code system of views; the form's fields are numbered in ``1.2.246.537.6.12.2002.362``."""
MAXIMUM_BYTES: Final = 2 * 1024 * 1024
"""An authorization has some 30 kB."""
_BOUNDS: Final = Profile(maximum_bytes=MAXIMUM_BYTES, maximum_depth=60, maximum_elements=20_000)
_KINDS: Final[dict[str, Kind]] = {"1": "patient", "2": "population"}
_DATE_DIGITS: Final = 8


def read_form(data: bytes) -> Authorization:
    """Read and check; raises AuthorizationError with every fault."""
    try:
        extraction = extract(data, _BOUNDS)
    except DocumentError as error:
        raise AuthorizationError([str(error)]) from None
    return _Form(extraction.root, extraction.document()).authorization()


class _Form:
    """One document's numbered fields, and the faults found so far."""

    def __init__(self, root: _Element, header: ImagingDocument) -> None:
        self._root = root
        self._header = header
        self._faults: list[str] = []
        self._sections: dict[str, list[_Element]] = {}
        for section in root.iter(f"{V3}section"):
            code = section.find(f"{V3}code")
            if code is not None and _in(attribute(code, "codeSystem"), f"{VIEWS}.{VIEW}"):
                self._sections.setdefault(attribute(code, "code"), []).append(section)
        if not self._is_authorization():
            raise AuthorizationError(["the document is no service-purchase authorization (view 362)"])

    def _is_authorization(self) -> bool:
        views = [*self._root.iter(f"{FI}contentsCode"), *self._root.findall(f".//{V3}section/{V3}code")]
        return any(attribute(one, "code") == VIEW and _in(attribute(one, "codeSystem"), VIEWS) for one in views)

    def authorization(self) -> Authorization:
        """The record; raises AuthorizationError with every fault."""
        header = self._header
        if not header.ready and header.replaces:
            # It ends what it replaces, whatever its form still says.
            return Authorization(
                oid=header.oid,
                set_id=header.set_id,
                version=header.version,
                replaces=header.replaces,
                ready=False,
                register_keeper=header.register_keeper,
            )
        made = self._read()
        if self._faults:
            raise AuthorizationError(self._faults)
        return made

    def _read(self) -> Authorization:
        header = self._header
        keeper, keeper_name = self._keeper()
        kind = self._kind()
        valid_from, valid_to = self._validity()
        patient = kind == "patient"
        documents_from, documents_to = self._range("31", "the range of documents")
        return Authorization(
            oid=header.oid,
            set_id=header.set_id,
            version=header.version,
            replaces=header.replaces,
            ready=header.ready,
            kind=kind,
            valid_from=valid_from,
            valid_to=valid_to,
            register_keeper=keeper,
            register_keeper_name=keeper_name,
            organiser=self._oid("8", "the organiser"),
            organiser_name=self._text("9", "the organiser's name"),
            organiser_unit=self._oid("10", "the organiser's unit", needed=patient),
            organiser_unit_name=self._text("11", "the organiser's unit's name", needed=patient),
            producer=self._oid("13", "the producer"),
            producer_name=self._text("14", "the producer's name"),
            search=self._register(16, "the search right", needed=False),
            storing=self._register(21, "the storing right", needed=True),
            patient_id=self._patient() if patient else "",
            patient_name=self._text("27", "the patient's name", needed=patient),
            patient_birth=self._attribute("28", "value"),
            all_documents=self._attribute("30", "value") == "true",
            documents_from=documents_from,
            documents_to=documents_to,
            service_events=self._events(kind, documents_from, documents_to),
            organisers_event=self._attribute("42", "root"),
            saver_id=self._extension("34", "the saver's id"),
            saver_name=self._text("35", "the saver's name"),
            saver_unit=self._oid("36", "the saver's unit"),
            saved_at=self._attribute("37", "value"),
        )

    # -- single fields ------------------------------------------------------------------------------------------------

    def _fault(self, field: str, what: str, why: str) -> None:
        at = next((line_of(one) for one in self._sections.get(field, ())), None)
        line = "" if at is None else f"line {at}: "
        self._faults.append(f"{line}field {field} ({what}) {why}" if field else f"{what} {why}")

    def _values(self, field: str) -> list[_Element]:
        return [
            value
            for section in self._sections.get(field, ())
            for value in section.findall(f"{V3}entry/{V3}observation/{V3}value")
        ]

    def _attribute(self, field: str, name: str) -> str:
        return next((found for value in self._values(field) if (found := attribute(value, name))), "")

    def _text(self, field: str, what: str, *, needed: bool = True) -> str:
        texts = (text_of(text) for section in self._sections.get(field, ()) for text in section.findall(f"{V3}text"))
        names = (text_of(value) for value in self._values(field))
        found = next((one for one in (*texts, *names) if one), "")
        if needed and not found:
            self._fault(field, what, "is missing")
        return found

    def _oid(self, field: str, what: str, *, needed: bool = True) -> str:
        found = self._attribute(field, "root")
        if not found and needed:
            self._fault(field, what, "is missing")
        elif found and not is_oid(found):
            self._fault(field, what, "is not a well-formed OID")
        return found

    def _extension(self, field: str, what: str) -> str:
        found = self._attribute(field, "extension") or self._attribute(field, "root")
        if not found:
            self._fault(field, what, "is missing")
        return found

    def _day(self, field: str, what: str, text: str) -> date | None:
        digits = text[:_DATE_DIGITS]
        try:
            if len(digits) != _DATE_DIGITS or not (digits.isascii() and digits.isdigit()):
                raise ValueError
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        except ValueError:
            self._fault(field, what, "is not a date (yyyymmdd)")
            return None

    def _range(self, field: str, what: str) -> tuple[date | None, date | None]:
        """Both ends of a range of days, None for one that is not written."""
        ends: list[date | None] = []
        for name, end in (("low", "the start"), ("high", "the end")):
            texts = (attribute(one, "value") for value in self._values(field) for one in value.findall(f"{V3}{name}"))
            text = next((one for one in texts if one), "")
            ends.append(self._day(field, f"{what}, {end}", text) if text else None)
        first, last = ends
        if first is not None and last is not None and first > last:
            self._fault(field, what, "ends before it starts")
        return first, last

    # -- what belongs together ----------------------------------------------------------------------------------------

    def _keeper(self) -> tuple[str, str]:
        """The custodian: identifier and name."""
        way = f"{V3}custodian//{V3}representedCustodianOrganization/{V3}name"
        name = next((found for one in self._root.findall(way) if (found := text_of(one))), "")
        keeper = self._header.register_keeper
        if not keeper:
            self._fault("", "custodian: the register keeper", "has no identifier")
        elif not is_oid(keeper):
            self._fault("", "custodian: the register keeper", "is not a well-formed OID")
        if not name:
            self._fault("", "custodian: the register keeper", "has no name")
        return keeper, name

    def _kind(self) -> Kind:
        code = self._attribute("4", "code")
        if code not in _KINDS:
            self._fault("4", "the type", "is neither 1 (patient) nor 2 (population)" if code else "is missing")
        return _KINDS.get(code, "population")

    def _validity(self) -> tuple[date | None, date | None]:
        before = len(self._faults)
        first, last = self._range("6", "the validity")
        if len(self._faults) == before:
            for found, end in ((first, "start"), (last, "end")):
                if found is None:
                    self._fault("6", "the validity", f"has no {end}")
        return first, last

    def _register(self, field: int, what: str, *, needed: bool) -> Register | None:
        """A right's four fields: keeper, register, specifier, its name."""
        keeper = self._oid(str(field), f"{what}'s register keeper", needed=needed)
        if not keeper:
            return None
        code = self._attribute(str(field + 1), "code")
        if not code:
            self._fault(str(field + 1), f"{what}'s register", "is missing")
        specifier = self._attribute(str(field + 2), "extension") or self._attribute(str(field + 2), "root")
        if self._attribute(str(field + 2), "root") == HETU_ROOT:
            specifier = normalise_hetu(specifier)
        occupational = code == OCCUPATIONAL
        if occupational and not specifier:
            self._fault(str(field + 2), f"{what}'s specifier", "is missing; register 4 needs it")
        name = self._text(str(field + 3), f"{what}'s specifier's name", needed=occupational)
        return Register(keeper=keeper, code=code, specifier=specifier, specifier_name=name)

    def _patient(self) -> str:
        what = "the patient's identity code"
        value = normalise_hetu(self._attribute("26", "extension"))
        if not value:
            self._fault("26", what, "is missing")
            return ""
        if self._attribute("26", "root") == HETU_ROOT:
            try:
                parse_hetu(value)
            except IdentifierError as error:
                self._fault("26", what, f"is wrong: {error}")
        if self._header.patient_id and normalise_hetu(self._header.patient_id) != value:
            self._fault("26", what, "is not that of the header (recordTarget)")
        return value

    def _events(self, kind: Kind, first: date | None, last: date | None) -> tuple[str, ...]:
        """The listed service events; a patient's authorization must say in one of three ways what it covers."""
        events = tuple(dict.fromkeys(root for value in self._values("32") if (root := attribute(value, "root"))))
        if any(not is_oid(one) for one in events):
            self._fault("32", "the service events", "have one that is not a well-formed OID")
        everything = self._attribute("30", "value") == "true"
        if kind == "patient" and not (everything or events or (first is not None and last is not None)):
            self._fault(
                "30" if "30" in self._sections else "29",
                "what is covered",
                "is none of: all documents (30), a range of days with both ends (31), service events (32)",
            )
        return events


def _in(system: str, family: str) -> bool:
    """Whether a code system is that one, or a version of it."""
    return system == family or system.startswith(f"{family}.")
