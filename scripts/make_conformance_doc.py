"""Writes docs/conformance.rst: docs/conformance.rst.in with the tables that the code gives; ``--check`` only compares.

Keeps no facts of its own but the words beside them. A mark of the template that nothing fills, or a table that no mark
asks for, is an error.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import generated
from generated import table
from service_answers import PACKAGE, Said, said

from kuva_gateway import __version__
from kuva_gateway.config.model import Configuration
from kuva_gateway.config.units import write_duration, write_size
from kuva_gateway.decoding.image import DECODABLE
from kuva_gateway.dicom import charsets, statuses, syntaxes, uids
from kuva_gateway.dicom.information_model import (
    MODELS,
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    Service,
    answer_negotiation,
)
from kuva_gateway.dicom.sop_classes import NON_PATIENT_CLASSES, STORAGE_CLASSES, class_name
from kuva_gateway.forward.contexts import CONTEXTS_PER_ASSOCIATION
from kuva_gateway.network import incoming, negotiation, tls
from kuva_gateway.network.records import Rejection
from kuva_gateway.network.timers import Limits, Timers
from kuva_gateway.scp import policy
from kuva_gateway.scp.suboperations import KINDS_PER_ASSOCIATION
from kuva_gateway.validation.rules import catalogue

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "conformance.rst"
TEMPLATE = ROOT / "docs" / "conformance.rst.in"
DEFAULTS = Configuration(environment="test")
PLAIN = (syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE)

PHASES = {
    "connect": "ours to others: the TCP connection",
    "handshake": "the TLS handshake",
    "associate": "from the connection to the complete A-ASSOCIATE-RQ, and ours until it is answered (ARTIM)",
    "idle": "between two messages",
    "message": "one message, and one second more for each ``minimum_rate`` bytes of it",
    "send_stall": "a peer takes nothing of what is sent to it",
    "response": "an answer to what was asked",
    "release": "an A-RELEASE-RP to ours",
    "closing": "the peer's end of a connection that is over",
}
"""What each deadline of an association is for."""
AGREED = {
    Service.FIND: ("relational queries", "combined date and time", "fuzzy semantic matching of names",
                   "time zone adjustment", "conversion of multi-frame images"),
    Service.MOVE: ("relational retrieval", "conversion of multi-frame images"),
}  # fmt: skip
"""The bytes of the application information, in their order."""
GROUPS = {
    syntaxes.Rank.LOSSLESS: "lossless compressed", syntaxes.Rank.EXPLICIT_LITTLE: "explicit little endian",
    syntaxes.Rank.IMPLICIT_LITTLE: "implicit little endian", syntaxes.Rank.DEFLATED: "deflated",
    syntaxes.Rank.BIG_ENDIAN: "big endian", syntaxes.Rank.LOSSY: "lossy, or both",
}  # fmt: skip
ASKED = {
    PATIENT_ROOT_FIND: "with query.upstream",
    STUDY_ROOT_FIND: "with query.upstream, and of a destination without storage commitment",
    STUDY_ROOT_GET: "with query.upstream",
    STUDY_ROOT_MOVE: "with query.fetch_ae_title",
}
"""What the gateway itself asks of others."""
QUERY_FILES = ("scp/find.py", "scp/lookup.py", "dicom/identifier.py", "catalog/search.py")
RETRIEVE_FILES = ("scp/retrieval.py", "scp/lookup.py", "dicom/identifier.py")
FIND_ALSO = (
    Said(status=statuses.SUCCESS, comment="(none; or *not all of the archive: ...*)"),
    Said(status=statuses.PENDING, comment="(a match)"),
    Said(status=statuses.PENDING_WARNING, comment="(a match; a key of the query is not supported)"),
)
RETRIEVE_ALSO = (
    Said(status=statuses.SUCCESS, comment="(none: everything was sent, or nothing matched)"),
    Said(status=statuses.PENDING, comment="(counts of sub-operations)"),
    Said(status=statuses.CANCELLED, comment="(after C-CANCEL)"),
    Said(status=statuses.SUB_OPERATIONS_WITH_FAILURES, comment="... failed: (the first reason)"),
    Said(status=statuses.CANNOT_PERFORM_SUB_OPERATIONS, comment="... failed: (the first reason)"),
)
DONE = Said(status=statuses.SUCCESS, comment="(none)")
ANY_ALSO = (
    Said(status=statuses.PROCESSING_FAILURE, comment="(none: a fault of the gateway, which has a line in its log)"),
    Said(status=statuses.OUT_OF_RESOURCES, comment="data set too long"),
    Said(status=statuses.RESOURCE_LIMITATION, comment="data set too long"),
    Said(status=statuses.UNRECOGNISED_OPERATION, comment="(none: no request)"),
)


def overview() -> str:
    """The network services: PS3.2 table A.1-1."""
    commitment = uids.STORAGE_COMMITMENT_PUSH_MODEL
    rows = [
        ("Storage: every class of the annex", "", "yes", "yes"),
        (class_name(uids.VERIFICATION), uids.VERIFICATION, "yes", "yes"),
        (class_name(commitment), commitment, "yes", "yes"),
    ]
    rows += [(class_name(uid), uid, ASKED.get(uid, "no"), "yes") for uid in MODELS]
    return table(("SOP class", "UID", "SCU", "SCP"), rows)


def tls_suites() -> str:
    """The suites of each profile, in the order of preference."""
    rows = [("both", "1.3", name) for name in tls.SUITES_1_3]
    rows += [(f"``{profile}``", "1.2", name) for profile, suites in tls.SUITES.items() for name in suites]
    return "\n".join(f"  {line}".rstrip() for line in table(("profile", "TLS", "suite"), rows).splitlines())


def answers(files: Sequence[str], *also: Said) -> str:
    """Statuses that a service answers."""
    rows = [
        (f"{one.status:04X}", statuses.meaning(one.status), one.comment.replace("*", "\\*"))
        for one in sorted({*said(files), *also})
    ]
    return table(("status", "meaning", "Error Comment (0000,0902)"), rows)


def timers() -> str:
    """Every deadline, its default, and whether it can be configured."""
    own = type(DEFAULTS.timers).model_fields
    rows = []
    for name, words in PHASES.items():
        seconds = getattr(DEFAULTS.timers if name in own else Timers(), name)
        rows.append((f"``timers.{name}``" if name in own else f"{name} (fixed)", write_duration(seconds), words))
    rate = f"{write_size(DEFAULTS.timers.minimum_rate)}/s"
    rows.append(("``timers.minimum_rate``", rate, "what the slowest peer must reach"))
    return table(("timer", "default", "for"), rows)


def general() -> str:
    """Lengths that are agreed on or enforced."""
    own = Limits()
    rows = [
        ("longest PDU received (``limits.pdu_length``)", write_size(DEFAULTS.limits.pdu_length)),
        ("longest PDU sent", "what the peer takes"),
        ("presentation contexts of an association", str(own.contexts)),
        ("longest A-ASSOCIATE-RQ", write_size(own.associate_pdu)),
        ("longest command set", write_size(own.command_set)),
        ("longest data set of a request other than C-STORE", write_size(own.data_set)),
    ]
    return table(("what", "how much"), rows)


def associations() -> str:
    """How many at a time."""
    peer, destination = _defaults()
    rows = [
        ("by all peers (``limits.associations``)", str(DEFAULTS.limits.associations)),
        ("by one peer (``peers[].limits.associations``)", str(peer)),
        ("connections without a request yet (``limits.half_open``)", str(DEFAULTS.limits.half_open)),
        ("the same from one address (``limits.half_open_per_address``)", str(DEFAULTS.limits.half_open_per_address)),
        ("ours to one destination (``destinations[].workers``)", str(destination)),
    ]
    return table(("associations at a time", "default"), rows)


def _defaults() -> tuple[int, int]:
    from kuva_gateway.config.model import Destination
    from kuva_gateway.config.peer import PeerLimits

    return PeerLimits().associations, Destination.model_fields["workers"].default


def rejections() -> str:
    """Every A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    known = [one for one in vars(incoming).values() if isinstance(one, Rejection)]
    tree = ast.parse((PACKAGE / "scp" / "policy.py").read_text(encoding="utf-8"))
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "_reject":
            why = ast.literal_eval(call.args[0])
            reason = {
                one.arg: getattr(policy, one.value.id) for one in call.keywords if isinstance(one.value, ast.Name)
            }
            known.append(policy._reject(why, **{str(key): value for key, value in reason.items()}))
    rows = sorted({(str(one.result), str(one.source), str(one.reason), one.why) for one in known})
    return table(("result", "source", "reason", "why (in the gateway's log)"), rows)


def accepted() -> str:
    """What a peer may propose for which word of ``allow``."""
    plain = "explicit and implicit little endian, explicit big endian"
    rows = [
        ("echo", class_name(uids.VERIFICATION), "SCP", plain),
        ("store", "each storage SOP class", "SCP", "all of the order below"),
        ("get", "each storage SOP class, proposed with the role SCP", "SCU", "all of the order below"),
        ("commit", class_name(uids.STORAGE_COMMITMENT_PUSH_MODEL), "SCP", plain),
        ("(a destination)", class_name(uids.STORAGE_COMMITMENT_PUSH_MODEL), "SCU", plain),
    ]
    rows += [(model.service.value, class_name(uid), "SCP", plain) for uid, model in MODELS.items()]
    return table(("allow", "abstract syntax", "role", "transfer syntaxes"), rows)


def order() -> str:
    """Every transfer syntax that is accepted, in the order of choice."""
    rows = []
    for rank, group in groupby(sorted(syntaxes.ACCEPTED, key=syntaxes.rank), key=syntaxes.rank):
        rows += [(uid, syntaxes.name(uid), GROUPS[syntaxes.Rank(rank)]) for uid in group]
    return table(("UID", "transfer syntax", "group"), rows)


def immediate() -> str:
    """The rules that can refuse an instance, and the status with which."""
    rows = []
    for rule in catalogue():
        if rule.immediate:
            found = {
                one.status if one.status is not None else statuses.NOT_AUTHORISED for one in rule.messages.values()
            }
            codes = ", ".join(f"{code:04X}" for code in sorted(found))
            always = any((one.severity or rule.severity) == "refuse" for one in rule.messages.values())
            rows.append((rule.id, "yes" if always else "no", codes, rule.title.en))
    return table(("rule", "by default", "status", "what must be so"), rows)


def extended(service: Service) -> str:
    """What of extended negotiation is agreed to."""
    names = AGREED[service]
    answer = answer_negotiation(b"\1" * len(names), service)
    agreed = [name for name, flag in zip(names, answer, strict=True) if flag]
    not_agreed = [name for name, flag in zip(names, answer, strict=True) if not flag]
    return f"agreed to are {', '.join(agreed)}; answered with 0 are {', '.join(not_agreed)}"


def character_sets() -> str:
    """The defined terms that are understood."""
    single = [f"ISO_IR {number}" for number in charsets._SINGLE_BYTE]
    multi = [f"ISO 2022 IR {number}" for number in charsets._EXTENSIONS]
    return "\n".join(
        [
            f"- single byte, with and without code extensions: {', '.join(single)}",
            f"- several bytes: {', '.join([*multi, *charsets._STANDALONE])}",
        ]
    )


def storage() -> str:
    """Every storage SOP class that is taken."""
    taken = sorted(STORAGE_CLASSES - NON_PATIENT_CLASSES, key=lambda uid: [int(arc) for arc in uid.split(".")])
    return table(("UID", "SOP class"), [(uid, class_name(uid)) for uid in taken])


FILLED: Mapping[str, Callable[[], str]] = {
    "version": lambda: __version__,
    "overview": overview,
    "ae_title": lambda: DEFAULTS.ae_title,
    "settle_after": lambda: write_duration(DEFAULTS.settle_after),
    "keep_for": lambda: write_duration(DEFAULTS.retention.keep_for),
    "application_context": lambda: negotiation.APPLICATION_CONTEXT,
    "general": general,
    "associations": associations,
    "class_uid": lambda: uids.IMPLEMENTATION_CLASS_UID,
    "version_name": lambda: uids.IMPLEMENTATION_VERSION_NAME,
    "timers": timers,
    "tls_suites": tls_suites,
    "contexts": lambda: str(CONTEXTS_PER_ASSOCIATION),
    "kinds": lambda: str(KINDS_PER_ASSOCIATION),
    "plain": lambda: "explicit and implicit little endian",
    "decodable": lambda: ", ".join(syntaxes.name(uid) for uid in syntaxes.ACCEPTED if uid in DECODABLE),
    "destination_associations": lambda: str(policy.ASSOCIATIONS_OF_A_DESTINATION),
    "rejections": rejections,
    "accepted": accepted,
    "syntaxes": order,
    "answers_echo": lambda: answers(("scp/echo.py",), DONE),
    "answers_store": lambda: answers(("scp/store.py", "scp/limits.py"), DONE),
    "answers_fetched": lambda: answers(("scp/fetched_store.py",), DONE),
    "immediate": immediate,
    "answers_commitment": lambda: answers(("scp/commitment.py",), DONE),
    "extended_find": lambda: extended(Service.FIND),
    "answers_find": lambda: answers(QUERY_FILES, *FIND_ALSO),
    "extended_retrieve": lambda: extended(Service.MOVE),
    "answers_retrieve": lambda: answers(RETRIEVE_FILES, *RETRIEVE_ALSO),
    "answers_any": lambda: answers(("scp/dispatch.py",), *ANY_ALSO),
    "character_sets": character_sets,
    "storage_count": lambda: str(len(STORAGE_CLASSES - NON_PATIENT_CLASSES)),
    "storage": storage,
}


def parts(template: str) -> Iterator[str]:
    """The template's text with every mark filled."""
    marks = re.split(r"@([a-z_]+)@", template)
    missing = set(FILLED) - set(marks[1::2])
    if missing:
        raise KeyError(f"the template does not ask for {', '.join(sorted(missing))}")
    for place, text in enumerate(marks):
        yield FILLED[text]() if place % 2 else text


def render() -> str:
    """The whole page."""
    return "".join(parts(TEMPLATE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(generated.main(TARGET, render))
