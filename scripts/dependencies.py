"""What the gateway depends on: exact versions with hashes, their licences, and whether both agree with setup.cfg.

Reads ``requirements/*.txt`` (scripts/make-requirements writes them) and the metadata of what is installed in .venv;
needs no network. ``--write`` writes docs/licences.rst. Without it everything is checked, a line for each fault; exit
status 1 if there is one.
"""

from __future__ import annotations

import argparse
import configparser
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS, PAGE = ROOT / "requirements", ROOT / "docs" / "licences.rst"
SETS: Mapping[str, Sequence[str]] = {
    "run": (),
    "decoding": ("decoding",),
    "docs": ("docs",),
    "test": ("test", "decoding", "docs"),
}
"""Each file of requirements/ and the extras of setup.cfg that it has beside what the gateway itself needs."""
SHIPPED = ("run", "decoding")
"""What a hospital installs; the others stay with those who build and test."""

ALLOWED = frozenset(
    {"MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "PSF-2.0", "0BSD", "Zlib", "CC0-1.0",
     "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"}
)  # fmt: skip
"""Those under which a hospital may run and pass on the gateway; libraries under the LGPL or MPL stay separate files."""
SAID = {
    "MIT License": "MIT",
    "The MIT License": "MIT",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
}
"""Names of licences as older packages write them -> SPDX identifiers."""

MIT_WORDS = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"

_PIN = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9.-]*)(?P<extras>\[[a-z0-9,-]+\])?==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+?))? \\$"
)
_HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One version of one package, for the Pythons that its marker names."""

    name: str
    version: str
    marker: str
    hashes: int


def read(text: str) -> tuple[list[Pin], list[str]]:
    """The pins of a file, and each line that is neither a pin nor a hash."""
    pins: list[Pin] = []
    odd: list[str] = []
    for line in text.splitlines():
        if match := _PIN.match(line):
            pins.append(Pin(name=match["name"], version=match["version"], marker=match["marker"] or "", hashes=0))
        elif _HASH.match(line) and pins:
            last = pins[-1]
            pins[-1] = Pin(name=last.name, version=last.version, marker=last.marker, hashes=last.hashes + 1)
        elif line.strip() and not line.lstrip().startswith("#"):
            odd.append(line)
    return pins, odd


def wanted(text: str, extras: Sequence[str]) -> Iterator[Requirement]:
    """What setup.cfg asks for, with these extras."""
    parser = configparser.ConfigParser()
    parser.read_string(text)
    lists = [parser["options"]["install_requires"], *(parser["options.extras_require"][extra] for extra in extras)]
    for line in "\n".join(lists).splitlines():
        if line.strip():
            yield Requirement(line.strip())


def faults(name: str, text: str, setup: str, extras: Sequence[str]) -> list[str]:
    """What is wrong with a file of requirements, a line for each."""
    pins, odd = read(text)
    found = [f"{name}: not an exact version with its hashes: {line.strip()}" for line in odd]
    found += [f"{name}: {pin.name} has no hash" for pin in pins if not pin.hashes]
    for requirement in wanted(setup, extras):
        versions = [pin.version for pin in pins if pin.name == canonicalize_name(requirement.name)]
        if not versions:
            found.append(f"{name}: {requirement.name} of setup.cfg is missing")
        found += [
            f"{name}: {requirement.name} {version} is not what setup.cfg allows ({requirement.specifier})"
            for version in versions
            if not requirement.specifier.contains(Version(version), prereleases=True)
        ]
    return found


def disagreements(all_pins: Mapping[str, Sequence[Pin]]) -> list[str]:
    """Files that name different versions of one package for the same Pythons."""
    found = []
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for file, pins in all_pins.items():
        for pin in pins:
            other, version = first.setdefault((pin.name, pin.marker), (file, pin.version))
            if version != pin.version:
                found.append(f"{file}: {pin.name} {pin.version}, but {version} in {other}")
    return found


def licence(of: metadata.Distribution) -> str:
    """What a package's metadata calls its licence, as an SPDX expression where it can be told."""
    expression = of.metadata.get("License-Expression") or ""
    if expression:
        return expression
    classified = [
        line.rpartition(" :: ")[2]
        for line in of.metadata.get_all("Classifier") or ()
        if line.startswith("License :: ") and not line.endswith("OSI Approved")
    ]
    written = (of.metadata.get("License") or "").strip()
    said = classified or ([written] if written and "\n" not in written else [])
    return " OR ".join(SAID.get(one, one) for one in said) or by_text(of) or "not said"


def by_text(of: metadata.Distribution) -> str:
    """The licence whose words a package brings along, where its metadata names none."""
    words = " ".join(" ".join((of.read_text(f"licenses/{name}") or "").split()) for name in ("LICENSE", "LICENSE.txt"))
    return "MIT" if MIT_WORDS in words else ""


def allowed(expression: str) -> bool:
    """Whether an SPDX expression may be fulfilled with what is allowed: all of ANDs, one of ORs."""
    plain = expression.replace("(", " ").replace(")", " ")
    return all(any(choice.strip() in ALLOWED for choice in part.split(" OR ")) for part in re.split(r"\bAND\b", plain))


def shipped() -> dict[str, list[Pin]]:
    """What a hospital installs: name -> its versions."""
    found: dict[str, list[Pin]] = {}
    for name in SHIPPED:
        for pin in read((REQUIREMENTS / f"{name}.txt").read_text("utf-8"))[0]:
            versions = found.setdefault(pin.name, [])
            if pin not in versions:
                versions.append(pin)
    return dict(sorted(found.items()))


def installed(pins: Mapping[str, Sequence[Pin]]) -> tuple[dict[str, str], list[str]]:
    """The licence of each package that belongs to this Python, and what is not installed as it is pinned."""
    licences, found = {}, []
    for name, versions in pins.items():
        for pin in versions:
            if pin.marker and not Marker(pin.marker).evaluate():
                continue
            try:
                distribution = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                found.append(f"{name} is not installed")
                continue
            licences[name] = licence(distribution)
            if distribution.version != pin.version:
                found.append(f"{name} {distribution.version} is installed, {pin.version} is pinned")
    return licences, found


def page(pins: Mapping[str, Sequence[Pin]], licences: Mapping[str, str]) -> str:
    """docs/licences.rst."""
    rows = [
        (name, ", ".join(dict.fromkeys(pin.version for pin in versions)), licences.get(name, "not installed"))
        for name, versions in pins.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    rule = " ".join("=" * width for width in widths)
    lines = [" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return (
        HEAD
        + "\n".join(
            [
                rule,
                " ".join(
                    word.ljust(width) for word, width in zip(("package", "versions", "licence"), widths, strict=True)
                ).rstrip(),
                rule,
                *lines,
                rule,
            ]
        )
        + "\n"
    )


HEAD = """========
Licences
========

What a hospital installs beside Python and the gateway (MIT): the versions of ``requirements/run.txt`` and
``requirements/decoding.txt`` and the licences that these packages name. Where two versions stand, the Python decides.
Written by ``scripts/make-requirements``; ``scripts/check-dependencies`` says which licences are allowed.

"""


def judge(answers: Sequence[Path]) -> tuple[int, list[str]]:
    """The exit status for what pip-audit wrote, and what to say: 1 a vulnerability, 3 not all could be asked about."""
    known: dict[str, None] = {}
    unasked: dict[str, None] = {}
    for path in answers:
        try:
            dependencies = json.loads(path.read_text("utf-8"))["dependencies"]
        except (OSError, ValueError, LookupError):
            unasked[f"everything in {path.name}"] = None
            continue
        for one in dependencies:
            if "skip_reason" in one:
                unasked[one["name"]] = None
            for found in one.get("vulns", ()):
                better = ", ".join(found["fix_versions"]) or "no version yet"
                known[f"{one['name']} {one['version']}: {found['id']} (mended in {better})"] = None
    lines = list(known)
    if unasked:
        named = ", ".join(list(unasked)[:5]) + (" ..." if len(unasked) > 5 else "")
        lines.append(f"not checked for vulnerabilities, nobody could be asked ({len(unasked)}): {named}")
    return (1 if known else 3 if unasked else 0), lines or ["no known vulnerability"]


def main() -> int:
    """Check, or write the page."""
    parser = argparse.ArgumentParser(prog="dependencies", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/licences.rst")
    parser.add_argument("--audited", nargs="+", type=Path, metavar="FILE", help="judge what pip-audit wrote")
    options = parser.parse_args()
    if options.audited:
        status, lines = judge(options.audited)
        print("\n".join(lines), file=sys.stderr if status else sys.stdout)
        return status
    pins = shipped()
    licences, found = installed(pins)
    setup = (ROOT / "setup.cfg").read_text("utf-8")
    texts = {name: (REQUIREMENTS / f"{name}.txt").read_text("utf-8") for name in SETS}
    for name, extras in SETS.items():
        found += faults(name, texts[name], setup, extras)
    found += disagreements({name: read(text)[0] for name, text in texts.items()})
    found += [f"{name}: the licence {said} is not allowed" for name, said in licences.items() if not allowed(said)]
    if options.write:
        PAGE.write_text(page(pins, licences), "utf-8")
    elif PAGE.read_text("utf-8") != page(pins, licences):
        found.append("docs/licences.rst is not what is installed: scripts/make-requirements writes it")
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(f"{len(pins)} packages: pinned with hashes, as setup.cfg wants them, installed, licences allowed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
