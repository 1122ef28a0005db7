"""Responses that say no: a status and an Error Comment that a person at the modality can act on."""

from __future__ import annotations

from typing import Protocol

from kuva_gateway.dicom import statuses
from kuva_gateway.network.records import Response


class RefusalLike(Protocol):
    """What an immediate rule says against an instance; validation's Refusal has it."""

    @property
    def status(self) -> int:
        """The DIMSE status to answer."""

    @property
    def comment(self) -> str:
        """The Error Comment, without patient data."""

    @property
    def rule(self) -> str:
        """The rule's id."""


def refuse(status: int, comment: str, *offending: int) -> Response:
    """A response with a comment of at most 64 ASCII characters; ``offending`` are the tags that are wrong."""
    return Response(status=status, comment=statuses.comment(comment), offending=offending)
