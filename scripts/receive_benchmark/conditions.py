"""What the figures were measured on, and with what."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .processes import Stopped, program


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except OSError:
        return "unknown"
    return (done.stdout or done.stderr).strip().partition("\n")[0]


def _version(name: str) -> str:
    try:
        return _first_line(program(name), "--version").strip("$ ")
    except Stopped:
        return "not installed"


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def conditions(folder: Path) -> dict[str, str]:
    """Machine, file system, versions; by name, for people."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} CPUs",
        "kernel": platform.release(),
        "file system": _first_line("findmnt", "-n", "-o", "FSTYPE,OPTIONS", "-T", str(folder)),
        "DCMTK": _version("storescp").partition(": ")[2],
        "Orthanc": _version("Orthanc"),
        "pynetdicom": _package("pynetdicom"),
        "Python": platform.python_version(),
    }


def now() -> str:
    """This moment, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
