"""Command sets, messages as PDUs, and proposals of associations."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from kuva_gateway.network import Command, ProposedContext, Role, commands
from tests.unit.network.peers import p_data, pdv

NUMBERS = st.integers(0, 0xFFFF)
TEXTS = st.text("ABCxyz 019_", max_size=16).map(str.strip)
UIDS = st.lists(st.integers(0, 99999), min_size=1, max_size=8).map(lambda arcs: ".".join(("1.2", *map(str, arcs))))
_TAGS = st.lists(st.integers(0, 0xFFFFFFFF), max_size=3).map(tuple)
_MAYBE = st.none() | NUMBERS
_MAYBE_UID = st.just("") | UIDS


@st.composite
def command_sets(draw: st.DrawFn) -> Command:
    """Any command with what its kind needs, and any of the other elements."""
    field = draw(st.sampled_from(sorted(commands.NAMES)))
    field |= draw(st.sampled_from([0, commands.RESPONSE_BIT])) if field != commands.C_CANCEL_RQ else 0
    response = bool(field & commands.RESPONSE_BIT)
    return Command(
        field=field,
        message_id=draw(_MAYBE if response or field == commands.C_CANCEL_RQ else NUMBERS),
        responded_to=draw(NUMBERS if response or field == commands.C_CANCEL_RQ else _MAYBE),
        status=draw(NUMBERS if response else _MAYBE),
        has_data_set=draw(st.booleans()),
        offending=draw(_TAGS),
        attributes=draw(_TAGS),
        **{name: draw(_MAYBE_UID) for name in ("affected_class", "affected_instance", "requested_class")},
        **{name: draw(TEXTS) for name in ("error_comment", "move_destination", "move_originator")},
        **{name: draw(_MAYBE) for name in ("priority", "error_id", "event_type", "action_type", "move_originator_id")},
        **{name: draw(_MAYBE) for name in ("remaining", "completed", "failed", "warning")},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Messages on context 1: each a command and its data set, the PDUs that carry them, as TCP delivers them."""

    messages: list[tuple[Command, bytes | None]]
    pieces: list[bytes]


@st.composite
def sent_messages(draw: st.DrawFn) -> Sent:
    """Messages cut into fragments, fragments put into PDUs, and their bytes into pieces, each at any place."""
    messages: list[tuple[Command, bytes | None]] = []
    items: list[bytes] = []
    for command in draw(st.lists(command_sets(), min_size=1, max_size=3)):
        data = draw(st.binary(max_size=60)) if command.has_data_set else None
        messages.append((command, data))
        items += _fragments(draw, commands.encode(command), 1)
        if data is not None:
            items += _fragments(draw, data, 0)
    return Sent(messages=messages, pieces=_cut(draw, b"".join(_together(draw, items))))


def _fragments(draw: st.DrawFn, payload: bytes, control: int) -> list[bytes]:
    parts = _cut(draw, payload)
    return [pdv(1, control | (2 if place == len(parts) - 1 else 0), part) for place, part in enumerate(parts)]


def _cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The bytes in one piece or more, some of which may be empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    return [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _together(draw: st.DrawFn, items: list[bytes]) -> list[bytes]:
    pdus: list[bytes] = []
    waiting: list[bytes] = []
    for place, item in enumerate(items):
        waiting.append(item)
        if place == len(items) - 1 or draw(st.booleans()):
            pdus.append(p_data(*waiting))
            waiting = []
    return pdus


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """What a requestor proposes."""

    contexts: list[ProposedContext]
    roles: dict[str, Role]
    extended: dict[str, bytes]
    length: int


@st.composite
def proposals(draw: st.DrawFn) -> Proposed:
    """Contexts with ids of their own, roles and extended negotiation for some of their classes."""
    numbers = draw(st.lists(st.integers(0, 127), min_size=1, max_size=6, unique=True))
    contexts = [
        ProposedContext(
            id=2 * number + 1,
            abstract_syntax=draw(UIDS),
            transfer_syntaxes=tuple(draw(st.lists(UIDS, min_size=1, max_size=4))),
        )
        for number in numbers
    ]
    classes = st.sampled_from([one.abstract_syntax for one in contexts])
    roles = st.builds(Role, scu=st.booleans(), scp=st.booleans())
    return Proposed(
        contexts=contexts,
        roles=draw(st.dictionaries(classes, roles, max_size=3)),
        extended=draw(st.dictionaries(classes, st.binary(min_size=1, max_size=8), max_size=3)),
        length=draw(st.integers(0, 2**32 - 1)),
    )
