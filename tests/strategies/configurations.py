"""Configuration files, with what their keys mean."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
_AE_TITLES = st.from_regex(r"[A-Z][A-Z0-9_]{0,12}", fullmatch=True)
_DURATIONS = st.builds(
    lambda number, unit: (f"{number}{unit[0]}", float(number * unit[1])),
    st.integers(1, 500),
    st.sampled_from([("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]),
)
_SIZES = st.builds(
    lambda number, unit: (f"{number}{unit[0]}", number * unit[1]),
    st.integers(4, 4096),
    st.sampled_from([("KiB", 2**10), ("kB", 1000)]),
).filter(lambda size: 4096 <= size[1] <= 2**22)
_PORTS = st.integers(1, 65535)


@st.composite
def configurations(draw: st.DrawFn) -> tuple[list[str], dict[str, Any]]:
    """The lines of a file, and (dotted key to value) what a reader must find."""
    settle, settled = draw(_DURATIONS)
    length, bytes_ = draw(_SIZES)
    port, title = draw(_PORTS), draw(_AE_TITLES)
    lines = [
        f"environment: {draw(st.sampled_from(['test', 'production']))}",
        f"ae_title: {title}",
        f"settle_after: {settle}",
        f"listen: {{port: {port}}}",
        "limits:",
        f"  pdu_length: {length}",
        "peers:",
    ]
    meant: dict[str, Any] = {
        "ae_title": title, "settle_after": settled, "listen.port": port, "limits.pdu_length": bytes_,
    }  # fmt: skip
    names = draw(st.lists(_NAMES, min_size=1, max_size=3, unique=True))
    titles = draw(st.lists(_AE_TITLES, min_size=len(names), max_size=len(names), unique=True))
    for place, (name, ae_title) in enumerate(zip(names, titles, strict=True)):
        services = draw(st.lists(st.sampled_from(["store", "find", "move", "commit"]), max_size=2, unique=True))
        lines += [f"  - name: {json.dumps(name)}", f"    ae_title: {json.dumps(ae_title)}"]
        lines += [f"    allow: [{', '.join(services)}]", f"    urgent: {draw(st.sampled_from(['true', 'no']))}"]
        meant[f"peers.{place}.name"] = name
        meant[f"peers.{place}.ae_title"] = ae_title
        meant[f"peers.{place}.allow"] = frozenset(services)
    return lines, meant
