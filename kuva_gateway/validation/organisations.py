"""Rules on organisations: ORG-01 (OIDs are well-formed, the register keeper is known), ORG-02 (it has joined).

Keeps nothing. Register keepers are those of the linked documents and those that are configured for the senders.
"""

from __future__ import annotations

from collections.abc import Iterator

from kuva_gateway.clinical.identifiers import is_organisation_oid
from kuva_gateway.validation import tags
from kuva_gateway.validation.facts import StudyFacts, told
from kuva_gateway.validation.findings import Fault
from kuva_gateway.validation.parties import own_keepers, registers


def judge_organisations(facts: StudyFacts) -> Iterator[Fault]:
    """ORG-01."""
    for one in told(facts.sets, lambda header: header.institution_code):
        if one.value and not is_organisation_oid(one.value):
            quoted = {"found": one.value}
            yield Fault(rule="ORG-01", message="institution", where=tags.INSTITUTION_CODE, quoted=quoted)
    known = facts.parties.known_keepers
    for keeper, where in _keepers(facts).items():
        if not is_organisation_oid(keeper):
            yield Fault(rule="ORG-01", message="keeper_form", where=where, quoted={"keeper": keeper})
        elif known and keeper not in known:
            yield Fault(rule="ORG-01", message="keeper_unknown", where=where, quoted={"keeper": keeper})


def judge_membership(facts: StudyFacts) -> Iterator[Fault]:
    """ORG-02: of register keepers whose provider an operator has named."""
    for keeper, where in _keepers(facts).items():
        for provider in facts.parties.providers:
            if provider.keeps(keeper) and provider.joined > facts.today:
                values = {"provider": provider.name, "joined": provider.joined.isoformat()}
                yield Fault(
                    rule="ORG-02",
                    message="not_joined",
                    where=where,
                    values=values,
                    look_again_on=provider.joined,
                )


def _keepers(facts: StudyFacts) -> dict[str, str]:
    """Each register keeper, and where it stands: a document's OID, or ``peer``."""
    found = dict.fromkeys(own_keepers(facts.parties), "peer")
    named = {register.keeper for register in registers((one.document, one.current) for one in facts.documents)}
    for linked in facts.documents:
        keeper = linked.document.register_keeper
        if linked.current and keeper in named:
            found.setdefault(keeper, linked.document.oid)
    return found
