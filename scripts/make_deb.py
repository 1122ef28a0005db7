"""Builds the Debian package: a virtual environment in /opt/kuva-gateway, units, account, folders, configuration.

Runs on the Debian that the package is for, with that Debian's python3, python3-venv and dpkg-deb; the Python packages
come from the package index that pip is configured for. The package depends on the Python and the libraries that it was
built with. ``--constraint`` pins the versions; those that were taken stand in /usr/share/doc/kuva-gateway/packages.txt.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
HOME = "opt/kuva-gateway"
CONFFILE = "etc/kuva-gateway/kuva-gateway.yaml"
DOC = "usr/share/doc/kuva-gateway"
BUILT_FROM = ("kuva_gateway", "conf", "docs/kuva-gateway.1", "setup.cfg", "pyproject.toml", "README.rst", "LICENSE")
LAUNCHER = f"""\
#!/{HOME}/bin/python3
import sys
from kuva_gateway.cli import main
sys.exit(main())
"""
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/kuva-gateway",
    "zsh": "usr/share/zsh/vendor-completions/_kuva-gateway",
    "fish": "usr/share/fish/vendor_completions.d/kuva-gateway.fish",
}
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


def units() -> list[str]:
    """The units that are packaged."""
    found = (SOURCE / "systemd").glob("kuva-gateway*")
    return sorted(path.name for path in found if path.suffix in (".service", ".socket", ".timer"))


def filled(name: str, **more: str) -> str:
    """``debian/NAME`` with its words in ``@`` exchanged."""
    known = {
        "UNITS": " ".join(units()),
        # A timer's service is not restarted, it ends by itself; sockets stay open meanwhile.
        "SERVICES": " ".join(one for one in units() if one.endswith(".service") and one[:-8] + ".timer" not in units()),
        "STOPPED": " ".join(sorted(units(), key=lambda one: not one.endswith((".socket", ".timer")))),
        **more,
    }
    text = (SOURCE / "debian" / name).read_text(encoding="utf-8")
    return re.sub(r"@([A-Z]+)@", lambda found: known[found[1]], text)


def configuration() -> str:
    """The shipped configuration with the state directory of the units."""
    text = (SOURCE / "conf" / "kuva-gateway.yaml").read_text(encoding="utf-8")
    changed = re.sub(r"^state_directory: \S+", "state_directory: /var/lib/kuva-gateway", text, flags=re.MULTILINE)
    assert changed != text
    return changed


def put(root: Path, path: str, content: str | bytes, mode: int = 0o644) -> None:
    """One file of the package, whatever the umask is."""
    target = root / path
    for folder in reversed(target.relative_to(root).parents):
        if not (root / folder).exists():
            (root / folder).mkdir()
            (root / folder).chmod(0o755)
    target.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    target.chmod(mode)


def put_files(root: Path) -> None:
    """Everything but the program: units, account, folders, configuration, papers."""
    for name in units():
        put(root, f"usr/lib/systemd/system/{name}", (SOURCE / "systemd" / name).read_bytes())
    for kind in ("sysusers", "tmpfiles"):
        content = (SOURCE / "systemd" / f"kuva-gateway.{kind}").read_bytes()
        put(root, f"usr/lib/{kind}.d/kuva-gateway.conf", content)
    put(root, CONFFILE, configuration(), 0o640)
    (root / "etc/kuva-gateway").chmod(0o750)
    put(root, "usr/share/man/man1/kuva-gateway.1.gz", _gz(SOURCE / "docs" / "kuva-gateway.1"))
    put(root, f"{DOC}/changelog.gz", _gz(SOURCE / "CHANGELOG.rst"))
    put(root, f"{DOC}/copyright", (SOURCE / "LICENSE").read_bytes())
    for path in [SOURCE / "README.rst", *sorted((SOURCE / "docs").glob("*.rst"))]:
        put(root, f"{DOC}/{'' if path.parent == SOURCE else 'docs/'}{path.name}", path.read_bytes())
    for path in sorted((SOURCE / "systemd" / "examples").iterdir()):
        put(root, f"{DOC}/examples/{path.name}", path.read_bytes())


def put_program(root: Path, extras: Sequence[str], constraint: Path | None) -> None:
    """The virtual environment, made here and moved to where it will be, with the command and its completions."""
    home = root / HOME
    _run("/usr/bin/python3", "-m", "venv", str(home))
    python = str(home / "bin" / "python3")
    with tempfile.TemporaryDirectory(prefix="kuva-gateway-source-") as folder:
        for name in BUILT_FROM:
            target = Path(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (SOURCE / name).is_dir() else shutil.copy
            copy(SOURCE / name, target)
        wanted = folder + (f"[{','.join(extras)}]" if extras else "")
        pinned = ["-c", str(constraint)] if constraint is not None else []
        _run(python, "-m", "pip", "install", "-q", "--no-input", "--no-compile", "--prefer-binary", *pinned, wanted)
    frozen = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
    taken = [line for line in frozen.splitlines() if not line.startswith("kuva")]
    put(root, f"{DOC}/packages.txt", "\n".join(taken) + "\n")
    _run(python, "-m", "pip", "uninstall", "-q", "-y", "setuptools", "pip")
    for path in (home / "bin").iterdir():
        if not path.name.startswith("python"):
            path.unlink()
    put(root, f"{HOME}/bin/kuva-gateway", LAUNCHER, 0o755)
    put(root, f"{HOME}/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    for path in home.glob("lib/python3*/site-packages/*.dist-info/direct_url.json"):
        path.unlink()  # where it was built
    # Compiled against the final place; as nobody may write there, never looked at again.
    _run(
        python, "-m", "compileall", "-q", "-s", str(root), "-p", "/", "--invalidation-mode", "unchecked-hash", str(home)
    )
    link = root / "usr/bin/kuva-gateway"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"/{HOME}/bin/kuva-gateway")
    for shell, path in COMPLETIONS.items():
        put(root, path, completion(python, shell))


def completion(python: str, shell: str) -> str:
    """What a shell reads to complete the command's words."""
    code = "from kuva_gateway.cli import main; main()"
    done = subprocess.run(
        [python, "-c", f"import sys; sys.argv[0] = 'kuva-gateway'; {code}"],
        env={**os.environ, "_KUVA_GATEWAY_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "kuva-gateway" not in done.stdout:
        raise SystemExit(f"no completion for {shell}: {done.stderr[-500:]}")
    return done.stdout


def needed(root: Path) -> str:
    """The packages that the program's compiled parts were linked with, at least as new as here, and its Python."""
    major, minor = sys.version_info[:2]
    found = [f"python3 (>= {major}.{minor})", f"python3 (<< {major}.{minor + 1})", "systemd"]
    libraries = set()
    for path in sorted((root / HOME).rglob("*.so*")):
        listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
        libraries |= {one for one in re.findall(r"=> (/\S+)", listed) if not one.startswith(str(root))}
    for name in sorted({_package_of(one) for one in libraries}):
        version = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", name], check=True, capture_output=True, text=True
        ).stdout
        found.append(f"{name} (>= {version.split('-')[0]})")
    return ", ".join(found)


def _package_of(library: str) -> str:
    for path in (library, os.path.realpath(library), library.removeprefix("/usr"), f"/usr{library}"):
        done = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.split(":")[0]
    raise SystemExit(f"no package has {library}")


def put_control(root: Path, version: str, depends: str) -> None:
    """What dpkg reads; anew for each version."""
    shutil.rmtree(root / "DEBIAN", ignore_errors=True)
    files, who = sorted(_files(root)), os.environ
    fields = {
        "VERSION": version,
        "ARCHITECTURE": subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip(),
        "MAINTAINER": f"{who.get('DEBFULLNAME', 'kuva-gateway')} <{who.get('DEBEMAIL', 'root@localhost')}>",
        "SIZE": str(sum(path.stat().st_size for path in files) // 1024),
        "DEPENDS": depends,
    }
    put(root, "DEBIAN/control", filled("control", **fields))
    put(root, "DEBIAN/conffiles", f"/{CONFFILE}\n")
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files)
    put(root, "DEBIAN/md5sums", "".join(sums))
    for name in SCRIPTS:
        put(root, f"DEBIAN/{name}", filled(name), 0o755)


def pack(root: Path, target: Path) -> Path:
    """The package of what is under ``root``, as ``target``."""
    epoch = subprocess.run(
        ["git", "-C", str(SOURCE), "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False
    ).stdout.strip()
    dated = {"SOURCE_DATE_EPOCH": epoch} if epoch else {}
    command = ["dpkg-deb", "--root-owner-group", "-Zxz", "-z3", "--build", str(root), str(target)]
    subprocess.run(command, check=True, env={**dated, **os.environ}, stdout=subprocess.DEVNULL)
    return target


def _files(root: Path) -> Iterator[Path]:
    yield from (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def _gz(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), 9, mtime=0)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def version() -> str:
    """The project's."""
    text = (SOURCE / "kuva_gateway" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"', text, re.MULTILINE)
    assert found is not None
    return found[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and say where the package is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=SOURCE / "build", help="folder of the package (build)")
    parser.add_argument("--revision", default="1", help="Debian's part of the version (1)")
    parser.add_argument("--extra", action="append", default=[], choices=["decoding"], help="what else it has in it")
    parser.add_argument("--constraint", type=Path, help="versions of Python packages, as pip takes them")
    options = parser.parse_args(arguments)
    os.umask(0o022)
    options.output.mkdir(parents=True, exist_ok=True)
    whole = f"{version()}-{options.revision}"
    with tempfile.TemporaryDirectory(prefix="kuva-gateway-deb-") as folder:
        root = Path(folder) / "root"
        root.mkdir(mode=0o755)
        put_files(root)
        put_program(root, options.extra, options.constraint)
        put_control(root, whole, needed(root))
        architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
        print(pack(root, options.output / f"kuva-gateway_{whole}_{architecture}.deb"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
