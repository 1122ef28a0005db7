"""Real shells, each on a terminal of its own, complete what is typed, by the script that the program gives them."""

from __future__ import annotations

import os
import pty
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.support import ROOT, program

PATIENCE = 30.0  # seconds for what is completed to appear
SOURCE = 'eval "$(_KUVA_GATEWAY_COMPLETE={}_source kuva-gateway)"'
SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], [SOURCE.format("bash")]),
    "zsh": (["-f", "-i"], ["autoload -U compinit; compinit -D", SOURCE.format("zsh")]),
    "fish": (["--no-config", "-i"], ["_KUVA_GATEWAY_COMPLETE=fish_source kuva-gateway | source"]),
}


class Terminal:
    """What a person at a shell types and sees."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.seen = ""

    def type(self, text: str) -> None:
        """Press these keys."""
        self.seen = ""
        os.write(self._descriptor, text.encode())

    def wait(self, text: str) -> None:
        """Wait until it is to be read."""
        until = monotonic() + PATIENCE
        while text not in self.seen:
            says = select.select([self._descriptor], [], [], max(0.0, until - monotonic()))[0]
            assert says, f"{text!r} is not in {self.seen!r}"
            self.seen += os.read(self._descriptor, 4096).decode("utf-8", "replace")


@contextmanager
def shell(name: str, options: Sequence[str], folder: Path) -> Iterator[Terminal]:
    """An interactive shell that finds ``kuva-gateway``, and no file of the account's own."""
    path = program(name)
    command = folder / "kuva-gateway"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m kuva_gateway "$@"\n')
    command.chmod(0o755)
    environ = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder), "TERM": "dumb", "PS1": "> ", "LANG": "C.UTF-8"}
    environ["KUVA_GATEWAY_CONFIG"] = str(folder / "kuva-gateway.yaml")
    process, descriptor = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve(path, [name, *options], environ)
    try:
        yield Terminal(descriptor)
    finally:
        os.close(descriptor)  # the shell hears that its terminal is gone
        os.waitpid(process, 0)


@pytest.mark.parametrize(
    "name", [name if name == "bash" else pytest.param(name, marks=pytest.mark.slow) for name in SHELLS]
)
def test_commands_states_and_configured_names_are_completed(name: str, tmp_path: Path) -> None:
    options, script = SHELLS[name]
    (tmp_path / "kuva-gateway.yaml").write_text("environment: test\npeers: [{name: tomograph, ae_title: CT1}]\n")
    with shell(name, options, tmp_path) as terminal:
        for line in script:
            terminal.type(f"{line}\n")
        terminal.type("echo rea''dy\n")
        terminal.wait("ready")
        for keys, completed in (
            ("kuva-gateway studies li\t", "list"),
            ("--state rej\t", "rejected"),
            ("--peer tom\t", "tomograph"),
        ):
            terminal.type(keys)
            terminal.wait(completed)
