"""What another configuration changes: key by key, as a person writes them, and what of it has to wait for a restart.

Keeps nothing. Promises that no password is in what it returns, and that what is in force after a reload is the new
configuration but for the keys that :data:`NEEDS_RESTART` names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuva_gateway.config.model import Configuration

NEEDS_RESTART = (
    "ae_title",
    "environment",
    "state_directory",
    "listen.host",
    "listen.port",
    "listen.processes",
    "tls.port",
    "catalog.url",
    "spool.durability",
    "audit.source",
    "audit.site",
    "metrics.host",
    "metrics.port",
)
"""Keys that count when the gateway starts. conf/kuva-gateway.yaml says so at each of them."""

_LONGEST = 200
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One key that differs. A value is as the file writes it (JSON), None where the key is not there."""

    key: str
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        if self.before is None and self.after is None:
            return f"{self.key}: the file's content has changed"
        if self.before is None:
            return f"{self.key}: {self.after} (new)"
        if self.after is None:
            return f"{self.key}: removed"
        return f"{self.key}: {self.before} -> {self.after}"

    @property
    def needs_restart(self) -> bool:
        """Whether it counts only after a restart."""
        return self.key in NEEDS_RESTART


def as_plain(configuration: Configuration, *, exclude_defaults: bool = False) -> dict[str, Any]:
    """The configuration as plain values, written as the file writes them; a password in an address is left out."""
    value: dict[str, Any] = json.loads(configuration.model_dump_json(exclude_defaults=exclude_defaults))
    for peer in value.get("peers", ()):
        peer.get("allow", []).sort()  # a set has no order of its own
    url = configuration.catalog.url
    if url is not None and "@" in url:
        scheme, _, rest = url.partition("://")
        user, _, place = rest.rpartition("@")
        value["catalog"] = {"url": f"{scheme}://{user.partition(':')[0]}@{place}"}
    return value


def differences(now: Configuration, wanted: Configuration) -> list[Change]:
    """Every key whose value differs, in the order of the file; peers and destinations go by their names."""
    before, after = as_plain(now), as_plain(wanted)
    named = [(kind, before.pop(kind), after.pop(kind)) for kind in ("peers", "destinations")]
    found = _compare("", before, after)
    if now.catalog.url != wanted.catalog.url and before["catalog"] == after["catalog"]:
        found.append(Change(key="catalog.url", before="(a password)", after="(another password)"))
    written = as_plain(wanted, exclude_defaults=True)
    for kind, *both in named:
        here, there, brief = ({one["name"]: one for one in some} for some in (*both, written.get(kind, ())))
        found += _compare_named(kind, here, there, brief)
    return found


def _compare_named(
    kind: str, before: Mapping[str, Any], after: Mapping[str, Any], written: Mapping[str, Any]
) -> list[Change]:
    """One line for each that came (with what is ``written``) or went, one for each key that changed in the others."""
    found = []
    for name in dict.fromkeys([*after, *before]):
        if name not in before:
            found.append(Change(key=f"{kind}.{name}", after=_shown(written[name])))
        elif name not in after:
            found.append(Change(key=f"{kind}.{name}", before=_shown(before[name])))
        else:
            found += _compare(f"{kind}.{name}", before[name], after[name])
    both = [[name for name in one if name in other] for one, other in ((before, after), (after, before))]
    if both[0] != both[1]:
        found.append(Change(key=f"{kind} (their order)", before=_shown(both[0]), after=_shown(both[1])))
    return found


def _compare(place: str, before: Any, after: Any) -> list[Change]:
    old, new = dict(_leaves(place, before)), dict(_leaves(place, after))
    return [
        Change(
            key=key,
            before=_shown(old[key]) if key in old else None,
            after=_shown(new[key]) if key in new else None,
        )
        for key in dict.fromkeys([*new, *old])
        if key not in old or key not in new or old[key] != new[key]
    ]


def in_force(now: Configuration, wanted: Configuration) -> Configuration:
    """``wanted`` as far as it can count without a restart: with the present values of :data:`NEEDS_RESTART`."""
    merged = wanted
    for key in NEEDS_RESTART:
        merged = _with_value_of(now, merged, key.split("."))
    if merged.tls.port is not None and (merged.tls.certificate is None or merged.tls.key is None):
        # The port stays open until the restart, and needs what it is served with.
        merged = merged.model_copy(update={"tls": now.tls})
    return merged


def _with_value_of(now: Any, wanted: Any, path: Sequence[str]) -> Any:
    name = path[0]
    own, other = getattr(now, name), getattr(wanted, name)
    value = own if len(path) == 1 else _with_value_of(own, other, path[1:])
    return wanted if value == other else wanted.model_copy(update={name: value})


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Each key below ``place`` with its value."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(f"{place}.{key}" if place else str(key), each)
    else:
        yield place, value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
