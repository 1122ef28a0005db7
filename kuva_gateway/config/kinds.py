"""What sections of the configuration are made of: names, titles, ports, schedules, severities."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Service = Literal["echo", "store", "find", "move", "get", "commit", "reject"]
Severity = Literal["refuse", "hold", "warning", "info", "off"]

IMPORTED = "import"
"""Under this peer's name ``kuva-gateway receive`` takes files, unless it is told another one."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SCHEDULE = re.compile(r"\d+x\d+(ms|s|m|h|d)(,\d+x\d+(ms|s|m|h|d))*")
_OID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_RULE_ID = re.compile(r"[A-Z]{2,3}-\d{2}")


def _ae_title(value: str) -> str:
    """PS3.5 6.2 (AE): at most 16 characters of the default repertoire, no backslash, no control, not only spaces."""
    title = value.strip(" ")
    if not 1 <= len(title) <= 16 or "\\" in title or not all(" " <= c <= "~" for c in title):
        raise ValueError("an AE title has 1 to 16 ASCII characters and no backslash")
    return title


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a name has 1 to 32 of a-z, 0-9, - and _, and starts with a letter or digit")
    return value


def _off_is_a_word(value: Any) -> Any:
    """YAML 1.1 reads an unquoted ``off`` as false; here it is a severity."""
    return "off" if value is False else value


def _rule_id(value: str) -> str:
    if not _RULE_ID.fullmatch(value):
        raise ValueError("this is no rule id (they look like PID-01)")
    return value


def _schedule(value: str) -> str:
    if not _SCHEDULE.fullmatch(value.replace(" ", "")):
        raise ValueError("expected steps such as 5x1m,12x5m,48x1h (how often x how long)")
    return value.replace(" ", "")


def _oid(value: str) -> str:
    if len(value) > 64 or not _OID.fullmatch(value):
        raise ValueError("this is no OID")
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
Oid = Annotated[str, AfterValidator(_oid)]
Name = Annotated[str, AfterValidator(_name)]
Port = Annotated[int, Field(ge=1, le=65535)]
RetrySchedule = Annotated[str, AfterValidator(_schedule)]
Rules = dict[Annotated[str, AfterValidator(_rule_id)], Annotated[Severity, BeforeValidator(_off_is_a_word)]]


class Section(BaseModel):
    """A mapping in the file: unknown keys are faults, values do not change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)
