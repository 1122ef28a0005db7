"""What an operator writes about the national archive: what it takes, where that is not what ships with the gateway.

Keeps nothing but what was written, checked. The types of this file serve other sections and files as well.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

_PATTERN = re.compile(r"(?:[A-Z0-9?]|\[[A-Z0-9-]+\]){1,16}")
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


def _code_pattern(value: str) -> str:
    if not _PATTERN.fullmatch(value):
        raise ValueError(f"{value[:40]!r} is no pattern of codes: A-Z, 0-9, ? and [..], such as FP[123]?5")
    return value


def _uid(value: str) -> str:
    if len(value) > 64 or not _UID.fullmatch(value):
        raise ValueError(f"{value[:70]!r} is no UID")
    return value


CodePattern = Annotated[str, AfterValidator(_code_pattern)]
"""A pattern of procedure codes: ``?`` is any character, ``[AI]`` one of these, everything else is itself."""
Uid = Annotated[str, AfterValidator(_uid)]
Modality = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_ ]{1,16}$")]
"""PS3.5 6.2 (CS)."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArchiveSyntaxes(_Frozen):
    """Transfer syntaxes that the archive takes, by kind of object; None: the default's (TS-01)."""

    image: tuple[Uid, ...] | None = None
    video: tuple[Uid, ...] | None = None
    report: tuple[Uid, ...] | None = None
    other: tuple[Uid, ...] | None = None

    def configured(self) -> dict[str, frozenset[str]]:
        """The lists that are not the default's."""
        return {kind: frozenset(uids) for kind, uids in self if uids is not None}


class Archive(_Frozen):
    """The section ``archive``."""

    content_classes: Path | None = None
    method_modalities: dict[CodePattern, tuple[Modality, ...]] = {}
    transfer_syntaxes: ArchiveSyntaxes = ArchiveSyntaxes()
    study_uid_roots: tuple[Uid, ...] = ()
