"""The configuration, and the daemon that runs by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuva_gateway.control import ask
from kuva_gateway.doctor.findings import Diagnosis, Subject, fault, warning, well
from kuva_gateway.errors import ConfigurationError, DeferredError
from kuva_gateway.parts import check_configuration, missing_decoders

FILES_PER_ASSOCIATION = 3  # its socket, its file, and one for what comes between
OTHER_FILES = 256  # database, log, destinations, processes


def configuration(subject: Subject) -> Iterator[Diagnosis]:
    """What ``config check`` says."""
    try:
        check_configuration(subject.configuration, subject.config_path)
    except ConfigurationError as error:
        for problem in error.problems:
            yield fault("configuration", str(problem), f"Mend it in {subject.config_path}.")
        return
    notices = [*subject.configuration.notices(), *missing_decoders(subject.configuration)]
    for notice in notices:
        yield warning("configuration", notice, f"See the key's comment in {subject.config_path}.")
    if not notices:
        yield well("configuration", f"{subject.config_path}: no faults")
    try:
        mode = subject.config_path.stat().st_mode
    except OSError:
        return
    if mode & 0o022:
        yield fault(
            "configuration",
            f"{subject.config_path} may be changed by others than its owner",
            f"chmod go-w {subject.config_path}",
        )


def daemon(subject: Subject) -> Iterator[Diagnosis]:
    """Whether the daemon runs, answers, and may open files enough."""
    if subject.daemon is None:
        yield warning("daemon", "the gateway does not run", "systemctl start kuva-gateway; journalctl -u kuva-gateway")
        return
    try:
        ask(subject.configuration.state_directory / "control.sock", {"request": "live"})
    except DeferredError:
        yield fault(
            "daemon",
            f"process {subject.daemon} has the state directory and does not answer",
            "If it has just been started, wait; else journalctl -u kuva-gateway, and systemctl restart kuva-gateway.",
        )
    else:
        yield well("daemon", f"runs as process {subject.daemon}")
    yield from _descriptors(subject)


def _descriptors(subject: Subject) -> Iterator[Diagnosis]:
    try:
        text = Path(f"/proc/{subject.daemon}/limits").read_text(encoding="ascii")
    except OSError:
        return
    line = next((one for one in text.splitlines() if one.startswith("Max open files")), "")
    soft = line.split()[3] if line else "unlimited"
    needed = subject.configuration.limits.associations * FILES_PER_ASSOCIATION + OTHER_FILES
    if soft.isdigit() and int(soft) < needed:
        yield warning(
            "daemon",
            f"it may open {soft} files, and limits.associations may need {needed}",
            f"LimitNOFILE={max(needed, 65536)} in its systemd unit.",
        )
