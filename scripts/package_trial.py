"""The Debian package in a Debian 12 of its own (debootstrap), booted by systemd-nspawn without a network.

Tried: installing beside a gateway of pip's (refused) and in a clean system (nothing starts), configuring, an upgrade
with a C-ECHO every 100 ms, a changed configuration and images in place, an upgrade that does not take the
configuration, removing, installing again, purging. Needs root, debootstrap, systemd-container and what scripts/make-deb
needs. Exit status 1: something failed. The root is kept with --root and used again; the package is built unless
--package names one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from container_calls import PORT
from make_deb import CONFFILE, pack
from systemd_container import Container, Done, debian

HERE = Path(__file__).resolve().parent
STATE = "/var/lib/kuva-gateway"
PROGRAM = "/opt/kuva-gateway/bin/kuva-gateway"
OURS = {
    "environment": "test",
    "state_directory": STATE,
    "listen": {"host": "127.0.0.1", "port": PORT},
    "spool": {"minimum_free": "1MiB"},
    "peers": [
        {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
        {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store"]},
    ],
}
SERVICE = "kuva-gateway.service"
RUNNING = ("kuva-gateway.socket", SERVICE)


def newer(package: Path, folder: Path) -> Path:
    """The same package as a later version, with another shipped configuration and another unit."""
    root = folder / "newer"
    subprocess.run(["dpkg-deb", "-R", str(package), str(root)], check=True)
    control = root / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: (.+)$", r"Version: \1+trial1", control.read_text(), flags=re.MULTILINE))
    with (root / CONFFILE).open("a") as file:
        file.write("# A key that the new version knows.\n")
    with (root / "usr/lib/systemd/system" / SERVICE).open("a") as file:
        file.write("# of the new version\n")
    return pack(root, folder / "newer.deb")


class Trial:
    """The steps, in their order; each says what it found."""

    def __init__(self, box: Container) -> None:
        self.box = box
        self.failed = 0

    def check(self, what: str, good: bool, found: object = "") -> None:
        """One line for one claim."""
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}{f': {found}' if found != '' else ''}", flush=True)

    def dpkg(self, *arguments: str) -> Done:
        return self.box.run("dpkg", "--force-confdef", "--force-confold", *arguments)

    def there(self, path: str) -> bool:
        return self.box.run("test", "-e", path).returncode == 0

    def show(self, key: str) -> str:
        return self.box.run("systemctl", "show", "-P", key, SERVICE).stdout.strip()

    def active(self) -> bool:
        return self.box.run("systemctl", "is-active", *RUNNING).stdout.split() == ["active", "active"]

    def configure(self, **more: object) -> None:
        self.box.write(f"/{CONFFILE}", json.dumps({**OURS, **more}))

    def instances(self) -> int:
        """What the catalog has when everything that came is in it; -1: it cannot be asked."""
        for _ in range(60):
            done = self.box.run("runuser", "-u", "kuva-gateway", "--", PROGRAM, "stats", "--json")
            found = json.loads(done.stdout) if done.returncode == 0 else {}
            if found.get("arrivals_pending") == 0:
                return int(found["instances"])
            time.sleep(0.5)
        return -1

    def run(self) -> int:
        """Every step; how many claims failed."""
        self.beside_pip()
        self.install()
        self.start()
        self.upgrade()
        self.upgrade_that_does_not_fit()
        self.remove()
        self.install_again()
        self.purge()
        return self.failed

    def beside_pip(self) -> None:
        self.box.run("mkdir", "-p", "/opt/kuva-gateway/bin")
        self.box.run("touch", PROGRAM)
        done = self.dpkg("-i", "/var/tmp/first.deb")
        kept = self.box.run("cat", PROGRAM)
        good = done.returncode != 0 and "without this package" in done.stderr and kept.stdout == ""
        self.check("a gateway of pip's is not written over", good and kept.returncode == 0)
        self.box.run("rm", "-r", "/opt/kuva-gateway")

    def install(self) -> None:
        begun = time.monotonic()
        done = self.dpkg("-i", "/var/tmp/first.deb")
        self.check("install (s)", done.returncode == 0, f"{time.monotonic() - begun:.1f} {done.stderr.strip()[-500:]}")
        self.check("what to do next is told", "systemctl enable --now" in done.stdout)
        self.check("nothing runs", self.box.run("systemctl", "is-active", *RUNNING).stdout.split() == ["inactive"] * 2)
        listed = self.box.run("systemctl", "is-enabled", *RUNNING).stdout.split()
        self.check("nothing is enabled", listed == ["disabled"] * 2, listed)
        said = self.box.run("stat", "-c", "%U:%G %a", f"/{CONFFILE}", "/etc/kuva-gateway", STATE).stdout.split("\n")
        wanted = ["root:kuva-gateway 640", "root:kuva-gateway 750", "kuva-gateway:kuva-gateway 700"]
        self.check("owners and modes", said[:3] == wanted, said[:3])
        version = self.box.run("kuva-gateway", "--version")
        self.check("kuva-gateway --version", version.returncode == 0, (version.stdout + version.stderr).strip())
        checked = self.box.run("kuva-gateway", "config", "check")
        self.check("the shipped configuration is checked", checked.returncode == 0, checked.stderr.strip())
        words = "source /usr/share/bash-completion/completions/kuva-gateway && complete -p kuva-gateway"
        self.check("completion", self.box.run("bash", "-c", words).returncode == 0)

    def start(self) -> None:
        self.configure()
        self.box.run("systemctl", "enable", *RUNNING)
        done = self.box.run("systemctl", "start", *RUNNING)
        self.check("start", done.returncode == 0 and self.active(), done.stderr.strip())
        with self.box.calling("store", "CT1") as caller:
            time.sleep(2)
            self.box.run("systemctl", "stop", *RUNNING)  # the socket as well, or the caller would wait and go on
            acknowledged = json.loads(caller.communicate()[0])["acknowledged"]
        self.box.run("systemctl", "start", *RUNNING)
        self.check("images are received", 0 < acknowledged <= self.instances(), acknowledged)
        self.joined()

    def joined(self) -> None:
        """From an association to its study's verdict, by fields of the journal."""
        lines = self.journal("KUVA_EVENT=association", "KUVA_PEER=ct1")
        self.check("associations are found in the journal by peer", bool(lines), len(lines))
        study = lines[-1].get("KUVA_STUDY", "") if lines else ""
        found = {one["KUVA_EVENT"] for one in self.journal(f"KUVA_STUDY={study}")}
        self.check("a study's lines are found by its UID", "association" in found, sorted(found))

    def journal(self, *matches: str) -> list[dict[str, str]]:
        done = self.box.run("journalctl", "-u", SERVICE, "-o", "json", *matches)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def upgrade(self) -> None:
        before, main = self.instances(), self.show("MainPID")
        with self.box.calling("echoes", "MONITOR") as caller:
            time.sleep(2)
            done = self.dpkg("-i", "/var/tmp/newer.deb")
            time.sleep(2)
            found = json.loads(caller.communicate()[0])
        self.check("upgrade", done.returncode == 0, done.stderr.strip()[-500:])
        told = found.get("refused", 0) == 0 and found["answered"] > 20
        self.check("a C-ECHO every 100 ms meanwhile is never refused", told, found)
        self.check("what ran was restarted", self.active() and self.show("MainPID") != main)
        self.check("the changed configuration is kept", self.box.run("cat", f"/{CONFFILE}").stdout == json.dumps(OURS))
        self.check("the new one lies beside it", self.there(f"/{CONFFILE}.dpkg-dist"))
        self.check("the images are there", self.instances() == before, before)

    def upgrade_that_does_not_fit(self) -> None:
        main = self.show("MainPID")
        self.configure(a_key_of_long_ago=1)
        done = self.dpkg("-i", "/var/tmp/newer.deb")
        left = done.returncode == 0 and self.show("MainPID") == main and self.active()
        self.check("what would not start again is left running, and that is told", left and "NOT" in done.stderr)
        self.configure()

    def remove(self) -> None:
        done = self.dpkg("-r", "kuva-gateway")
        self.check("remove", done.returncode == 0, done.stderr.strip()[-500:])
        self.check("nothing runs", not self.active() and self.show("MainPID") in ("", "0"))
        self.check(
            "the program is gone", not self.there("/opt/kuva-gateway") and not self.there("/usr/bin/kuva-gateway")
        )
        self.check("the configuration is kept", self.box.run("cat", f"/{CONFFILE}").stdout == json.dumps(OURS))

    def install_again(self) -> None:
        done = self.dpkg("-i", "/var/tmp/newer.deb")
        self.box.run("systemctl", "start", *RUNNING)
        good = done.returncode == 0 and self.active() and self.instances() > 0
        self.check("installed again, it has its images", good, self.instances())

    def purge(self) -> None:
        self.box.write("/etc/kuva-gateway/tls.key", "a key")
        files = self.box.run("sh", "-c", f"find {STATE}/spool -type f | wc -l").stdout.strip()
        done = self.dpkg("--purge", "kuva-gateway")
        self.check("purge", done.returncode == 0, done.stderr.strip()[-500:])
        self.check("the configuration is gone", not self.there(f"/{CONFFILE}"))
        self.check("what the package did not bring is left and named", "tls.key" in done.stdout)
        self.check("where the state directory is, is told", STATE in done.stdout)
        left = self.box.run("sh", "-c", f"find {STATE}/spool -type f | wc -l").stdout.strip()
        self.check("every file of it is there", int(left) >= int(files) > 0, left)
        links = self.box.run("sh", "-c", "find /etc/systemd/system -name 'kuva-gateway*'").stdout
        self.check("no unit is enabled any more", links == "", links)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, boot, try, power off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="where the Debian is, or is made; kept (default: a temporary folder)")
    parser.add_argument("--package", type=Path, help="the package to try (default: it is built)")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0 or not all(map(shutil.which, ("debootstrap", "systemd-nspawn", "nsenter", "dpkg-deb"))):
        print("needs root, debootstrap, dpkg-deb and systemd-container", file=sys.stderr)
        return 2
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="package-trial-") as folder:
        package = options.package
        if package is None:
            subprocess.run([str(HERE / "make-deb"), "--output", folder], check=True, stdout=subprocess.DEVNULL)
            (package,) = Path(folder).glob("*.deb")
        root = debian(options.root or Path(folder) / "root")
        _clean(root)
        shutil.copy(package, root / "var/tmp/first.deb")
        shutil.copy(newer(package, Path(folder)), root / "var/tmp/newer.deb")
        with Container(root, Path(folder) / "console.log") as box:
            return 1 if Trial(box).run() else 0


def _clean(root: Path) -> None:
    """What an earlier trial left."""
    subprocess.run(["chroot", str(root), "dpkg", "--purge", "kuva-gateway"], check=False, capture_output=True)
    for path in (STATE, "/etc/kuva-gateway", "/opt/kuva-gateway"):
        shutil.rmtree(f"{root}{path}", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
