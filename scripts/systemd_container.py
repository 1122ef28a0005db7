"""A Debian 12 in a folder: made with debootstrap, the gateway installed as README.rst says, booted by systemd-nspawn.

Keeps nothing outside the folder. Promises that what was booted is powered off or killed at the end, by its own pid.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv"
MIRROR = "http://deb.debian.org/debian"
BOOTING, ENDING = 60.0, 30.0  # seconds
_COMMAND = """\
#!/opt/kuva-gateway/bin/python3
import sys
from kuva_gateway.cli import main
sys.exit(main())
"""
Done = subprocess.CompletedProcess[str]


def debian(root: Path) -> Path:
    """A Debian at ``root`` without the gateway; one that is there already is used again."""
    if not (root / "usr" / "bin" / "python3").exists():
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root), MIRROR]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return root


def build(root: Path, source: Path) -> Path:
    """The Debian at ``root`` with the gateway of ``source``; what is there already is used again."""
    debian(root)
    program = root / "opt" / "kuva-gateway"
    if not program.exists():
        _install_python(root, program)
    packages = next(program.glob("lib/python3*/site-packages"))
    shutil.rmtree(packages / "kuva_gateway", ignore_errors=True)
    shutil.copytree(source / "kuva_gateway", packages / "kuva_gateway")
    share = program / "share" / "kuva-gateway" / "conf"
    shutil.copytree(source / "conf", share, dirs_exist_ok=True)
    command = program / "bin" / "kuva-gateway"
    command.write_text(
        "#!/opt/kuva-gateway/bin/python3\nimport sys\nfrom kuva_gateway.cli import main\nsys.exit(main())\n"
    )
    command.chmod(0o755)
    for unit in sorted((source / "systemd").glob("kuva-gateway*.*")):
        folder = {"sysusers": "usr/lib/sysusers.d", "tmpfiles": "usr/lib/tmpfiles.d"}.get(unit.suffix[1:])
        name = unit.name if folder is None else f"{unit.stem}.conf"
        shutil.copy(unit, root / (folder or "etc/systemd/system") / name)
    subprocess.run(["systemd-sysusers", f"--root={root}"], check=True)
    subprocess.run(["systemd-tmpfiles", f"--root={root}", "--create", "kuva-gateway.conf"], check=True)
    return root


def _install_python(root: Path, program: Path) -> None:
    """A virtual environment of the Debian's own Python with the packages of the one that runs this."""
    subprocess.run(["chroot", str(root), "python3", "-m", "venv", "--without-pip", "/opt/kuva-gateway"], check=True)
    ours = Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    theirs = next(program.glob("lib/python3*/site-packages"))
    if ours.parent.name != theirs.parent.name:
        raise SystemExit(f"needs {theirs.parent.name} here as well, to take its packages")
    shutil.copytree(ours, theirs, dirs_exist_ok=True, symlinks=True)


class Caller:
    """Somebody who calls the gateway meanwhile: a line for each call, and what came of all at the end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def hear(self, count: int) -> None:
        """Wait until so many calls more were answered, in whatever way."""
        assert self._process.stdout is not None
        for _ in range(count):
            if not self._process.stdout.readline():
                raise SystemExit("the caller has ended by itself")

    def result(self) -> Any:
        """Let it end, and hear what came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        *_, last = self._process.stdout.read().splitlines()
        self._process.wait()
        return json.loads(last)


class Container:
    """A booted one."""

    def __init__(self, root: Path, console: Path) -> None:
        self._root = root
        self._console = console
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Container:
        command = ["systemd-nspawn", "-q", "-D", str(self._root), "--register=no", "--keep-unit", "-b"]
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                [*command, "--private-network", "--console=pipe"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + BOOTING
        while time.monotonic() < until:
            self._leader = self._leader or self._child()
            if self._leader and self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"):
                return self
            time.sleep(0.3)
        self._end()
        raise SystemExit(f"it did not boot:\n{self._console.read_text(errors='replace')[-2000:]}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run("systemctl", "poweroff")
        self._end()

    def run(self, *command: str) -> Done:
        """One command inside."""
        return _quiet(self._inside("-m", "-u", "-i", "-n", "-p", *command))

    def call(self, *arguments: str) -> str:
        """What a caller from outside, in the container's network, prints."""
        return _quiet(self._caller(*arguments)).stdout.strip()

    @contextmanager
    def calling(self, *arguments: str) -> Iterator[Caller]:
        """The same, going on meanwhile."""
        with subprocess.Popen(
            self._caller(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield Caller(process)
            finally:
                if process.poll() is None:
                    process.kill()

    @contextmanager
    def beside(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """A program of this machine in the container's network, until the block ends."""
        with subprocess.Popen(self._inside("-n", *command), stdout=subprocess.DEVNULL, text=True) as process:
            try:
                yield process
            finally:
                process.terminate()

    def outside(self, *command: str) -> Done:
        """One command of this machine in the container's network."""
        return _quiet(self._inside("-n", *command))

    def write(self, path: str, text: str, *, group: str | None = None, owner: str | None = None) -> None:
        """Write a file inside, through the container's own view of its folders."""
        done = self.run("mkdir", "-p", str(Path(path).parent))
        assert done.returncode == 0, done.stderr
        command = self._inside("-m", "-p", "tee", path)
        subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL)
        if owner is not None:
            self.run("chown", f"{owner}:", path)
        if group is not None:
            self.run("chgrp", group, path)
            self.run("chmod", "640", path)

    def _inside(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(self._leader), *command]

    def _caller(self, *arguments: str) -> list[str]:
        script = str(Path(__file__).with_name("container_calls.py"))
        return self._inside("-n", sys.executable, script, *arguments)

    def _child(self) -> int:
        assert self._process is not None
        text = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return int(text.split()[0]) if text.strip() else 0

    def _end(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            if self._leader:
                os.kill(self._leader, signal.SIGKILL)
            self._process.kill()
            self._process.wait()


def _quiet(command: list[str]) -> Done:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
