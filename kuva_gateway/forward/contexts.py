"""Which presentation contexts to propose: one for each (SOP class, transfer syntax) that is waiting, pure.

Each instance goes in the transfer syntax in which it is stored, as long as that is accepted. A context proposes one
transfer syntax, so that the acceptor cannot choose another one. An association holds at most 128 contexts (PS3.8
9.3.2.2: odd ids 1 to 255), so instances of more kinds than that go in several associations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from kuva_gateway.decoding.image import DECODABLE
from kuva_gateway.dicom.reencoding import reencodable
from kuva_gateway.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE

CONTEXTS_PER_ASSOCIATION = 128

Pair = tuple[str, str]


class Storable(Protocol):
    """As much of an instance as decides its context."""

    @property
    def sop_class(self) -> str: ...

    @property
    def transfer_syntax(self) -> str: ...


T = TypeVar("T", bound=Storable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Generic[T]):
    """What one association carries: its (SOP class, transfer syntax) pairs, and the instances in their order."""

    pairs: tuple[Pair, ...]
    instances: tuple[T, ...]


def split(instances: Iterable[T], limit: int = CONTEXTS_PER_ASSOCIATION) -> tuple[Group[T], ...]:
    """Divide ``instances`` among as few associations as their kinds need, the order kept within each.

    Every pair is in exactly one group, and every instance in the group of its pair.
    """
    kinds: dict[Pair, list[tuple[int, T]]] = {}
    for place, instance in enumerate(instances):
        kinds.setdefault((instance.sop_class, instance.transfer_syntax), []).append((place, instance))
    pairs = list(kinds)
    groups = []
    for start in range(0, len(pairs), limit):
        chosen = tuple(pairs[start : start + limit])
        placed = sorted((item for pair in chosen for item in kinds[pair]), key=lambda item: item[0])
        groups.append(Group(pairs=chosen, instances=tuple(instance for _, instance in placed)))
    return tuple(groups)


def others(stored: str, *, decompress: bool) -> tuple[str, ...]:
    """The transfer syntaxes in which an instance stored in ``stored`` can go where that is not accepted, best first.

    ``decompress``: compressed pixels may be decoded. Nothing is ever compressed.
    """
    if stored in DECODABLE:
        return (EXPLICIT_LITTLE, IMPLICIT_LITTLE) if decompress else ()
    return reencodable(stored)
