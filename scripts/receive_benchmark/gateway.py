"""The gateway as a receiver: the real daemon, in any number of variants, from this checkout or another one.

A variant is named ``gateway``, ``gateway:processes=2`` or ``gateway:spool.durability=strict,log.level=warning``, and
``gateway@<commit>`` for another checkout; ``processes`` is short for ``listen.processes``.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .processes import Stopped, child, environment, free_port, wait_for
from .receivers import AE_TITLE, Receiver, Setting

ROOT = Path(__file__).resolve().parent.parent.parent
SENDER_AE_TITLE = "BENCH"
SHORT = {"processes": "listen.processes"}


def commit_of(checkout: Path) -> str:
    """The short hash of a checkout's commit, with ``+`` when the package differs from it; ``unknown`` without git."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(checkout), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "--short=8", "HEAD")
    return commit + ("+" if commit and git("status", "--porcelain", "--", "kuva_gateway") else "") or "unknown"


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` words as a mapping from dotted keys to YAML values; Stopped for anything else."""
    changes = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise Stopped(f"{word!r} is not KEY=VALUE")
        changes[SHORT.get(key, key)] = yaml.safe_load(value)
    return changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One gateway to measure: its name in the results, its checkout and what its configuration changes."""

    name: str
    checkout: Path = ROOT
    changes: Mapping[str, Any] = field(default_factory=dict)

    def configuration(self, setting: Setting, port: int) -> dict[str, Any]:
        """Defaults, but for what must be written: the ports, the one peer, and ``changes``."""
        config: dict[str, Any] = {
            "environment": "test",
            "ae_title": AE_TITLE,
            "state_directory": "./var",
            "listen": {"port": None if setting.tls else port},
            "peers": [{"name": "bench", "ae_title": SENDER_AE_TITLE, "allow": ["echo", "store"]}],
        }
        if setting.tls:
            config["tls"] = {"port": port, "certificate": str(setting.certificate), "key": str(setting.key)}
        for key, value in self.changes.items():
            *sections, last = key.split(".")
            inner = config
            for section in sections:
                inner = inner.setdefault(section, {})
            inner[last] = value
        return config

    @contextlib.contextmanager
    def start(self, setting: Setting) -> Iterator[Receiver]:
        """The daemon; done when every instance that it acknowledged is in the catalog."""
        port, config = free_port(), setting.folder / "kuva-gateway.yaml"
        config.write_text(yaml.safe_dump(self.configuration(setting, port), sort_keys=False))
        spool = setting.folder / "var" / "spool"
        python = [sys.executable, "-m", "kuva_gateway"]
        env = environment(PYTHONPATH=str(self.checkout))

        def indexed(count: int) -> None:
            # A name leaves arrived/ only after the transaction that catalogued it.
            wait_for(lambda: _empty(spool / "arrived"), "the gateway's catalog", pause=0.002)

        def catalogued() -> int:
            done = subprocess.run(
                [*python, "stats", "--json", "--config", str(config)],
                capture_output=True, check=False, timeout=120, env=env, cwd=self.checkout,
            )  # fmt: skip
            if done.returncode != 0:
                raise Stopped(f"kuva-gateway stats: {done.stderr.decode(errors='replace')[-500:]}")
            return int(json.loads(done.stdout)["instances"])

        command = [*python, "run", "--config", str(config)]
        with child(command, log=setting.folder / "log", port=port, env=env, cwd=self.checkout) as process:
            yield Receiver(
                port=port,
                pid=process.pid,
                held=lambda: (spool / "instances").glob("*/*"),
                finish=indexed,
                catalogued=catalogued,
            )


def _empty(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is None


def variant(name: str, *, common: Mapping[str, Any], checkout: Path = ROOT) -> Variant:
    """The variant of that name, on top of the changes that are ``common`` to all."""
    _, _, words = name.partition(":")
    changes = {**common, **parse_overrides([word for word in words.split(",") if word])}
    return Variant(name=name, checkout=checkout, changes=changes)


def is_gateway(name: str) -> bool:
    """Whether a receiver's name is that of a gateway."""
    return name.partition(":")[0].partition("@")[0] == "gateway"
