"""The Debian package in a Debian 12 of its own (debootstrap), booted by systemd-nspawn without a network.

Tried: installing beside a gateway of pip's (refused) and in a clean system (nothing starts), what a new user does until
the first study is archived (by an archive that stands in, with the seconds of each step), an upgrade with a C-ECHO
every 100 ms, a changed configuration and images in place, an upgrade that does not take the configuration, removing,
installing again, purging. Needs root, debootstrap, systemd-container, dcmtk and what scripts/make-deb needs. Exit
status 1: something failed. The root is kept with --root and used again; the package is built unless --package is given.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from container_calls import PORT
from container_trial import PROGRAM, RUNNING, SERVICE, STATE, Steps
from make_deb import CONFFILE, pack
from systemd_container import Container, Done, debian

HERE = Path(__file__).resolve().parent
OURS: dict[str, Any] = {
    "environment": "test",
    "state_directory": STATE,
    "listen": {"host": "127.0.0.1", "port": PORT},
    "spool": {"minimum_free": "1MiB"},
    "peers": [
        {"name": "monitor", "ae_title": "MONITOR", "allow": ["echo"]},
        {"name": "ct1", "ae_title": "CT1", "allow": ["echo", "store"]},
    ],
}
ARCHIVE = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 11120}
CODES = "/opt/kuva-gateway/share/kuva-gateway/conf/procedure-codes.csv"


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


class Trial(Steps):
    """The steps, in their order; ``files`` has a study and its documents for the first one of a new user."""

    def __init__(self, box: Container, files: Path) -> None:
        super().__init__(box)
        self.files = files

    def dpkg(self, *arguments: str) -> Done:
        return self.box.run("dpkg", "--force-confdef", "--force-confold", *arguments)

    def there(self, path: str) -> bool:
        return self.box.run("test", "-e", path).returncode == 0

    def configure(self, **more: object) -> None:
        self.box.write(f"/{CONFFILE}", json.dumps({**OURS, **more}))

    def run(self) -> int:
        """Every step; how many claims failed."""
        self.beside_pip()
        self.install()
        self.first_study()
        self.load_before_an_upgrade()
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
        with self.timed("the package is installed"):
            done = self.dpkg("-i", "/var/tmp/first.deb")
        self.check("install", done.returncode == 0, done.stderr.strip()[-500:])
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

    def first_study(self) -> None:
        """What a new user does next, with the seconds of each step, until an archive has committed to a study."""
        with self.timed("the configuration is written, and checked"):
            peers = [*OURS["peers"], {"name": "pacs", "ae_title": "PACS", "allow": ["echo"]}]
            self.configure(peers=peers, destinations=[ARCHIVE])
            self.box.run("kuva-gateway", "config", "check")
        heard = ("--port", str(ARCHIVE["port"]), "--report-to", f"127.0.0.1:{PORT}")
        with self.box.beside(sys.executable, str(HERE / "stand_in_archive.py"), *heard):
            with self.timed("systemctl enable --now: READY"):
                done = self.box.run("systemctl", "enable", "--now", *RUNNING, "kuva-gateway-verify.timer")
            self.check("start", done.returncode == 0 and self.active(), done.stderr.strip())
            with self.timed("doctor"):
                done = self.gateway("doctor")
            self.check("the doctor finds no fault", done.returncode == 0, done.stdout.strip().splitlines()[-1:])
            with self.timed("peers echo"):
                done = self.gateway("peers", "echo", "archive")
            self.check("the archive answers", done.returncode == 0, done.stdout.strip())
            with self.timed("codes import"):
                done = self.gateway("codes", "import", CODES)
            self.check("codes are imported", done.returncode == 0, done.stdout.strip())
            with self.timed("documents are dropped, three images are sent"):
                for paper in sorted(self.files.glob("*.xml")):
                    self.box.write(f"{STATE}/documents/incoming/{paper.name}", paper.read_text(), owner="kuva-gateway")
                images = map(str, sorted(self.files.glob("*.dcm")))
                called = ["-aet", "CT1", "-aec", "KUVAGW", "-R", "127.0.0.1", str(PORT)]
                sent = self.box.outside("storescu", *called, *images)
            self.check("the images are acknowledged", sent.returncode == 0, sent.stderr.strip())
            with self.timed("the first study is archived (settle_after is 60 s of it)"):
                took = self.wait(self.archived, 150)
            self.check("the archive has committed to the first study", took is not None, self.json("studies", "list"))
            self.joined()

    def archived(self) -> bool:
        return [one["state"] for one in self.json("studies", "list") or []] == ["archived"]

    def joined(self) -> None:
        """A study's story by fields of the journal."""
        (study,) = (one["study_instance_uid"] for one in self.json("studies", "list"))
        found = self.events(f"KUVA_STUDY={study}")
        self.check(
            "its lines are found in the journal by its UID", found >= {"association", "verdict", "attempt"}, found
        )
        (entry,) = self.json("queue", "list")
        found = self.events(f"KUVA_ENTRY={entry['id']}")
        self.check("and by its entry", "attempt" in found, found)
        self.check("associations by their peer", "association" in self.events("KUVA_PEER=ct1"))

    def load_before_an_upgrade(self) -> None:
        self.configure()
        self.check("reload", self.box.run("systemctl", "reload", SERVICE).returncode == 0)
        before = self.instances()
        with self.load("CT1") as caller:
            self.box.run("systemctl", "stop", *RUNNING)  # the socket as well, or the caller would wait and go on
            acknowledged = caller.result()["acknowledged"]
        self.box.run("systemctl", "start", *RUNNING)
        self.check("images are received", 0 < acknowledged <= self.instances() - before, acknowledged)

    def upgrade(self) -> None:
        before, main = self.instances(), self.show("MainPID")
        with self.echoes("MONITOR", 20, 20) as found:
            done = self.dpkg("-i", "/var/tmp/newer.deb")
        self.check("upgrade", done.returncode == 0, done.stderr.strip()[-500:])
        told = set(found) <= {"answered", "cut off"} and found["answered"] > 20 and found.get("cut off", 0) <= 1
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
    if os.geteuid() != 0 or not all(
        map(shutil.which, ("debootstrap", "systemd-nspawn", "nsenter", "dpkg-deb", "storescu"))
    ):
        print("needs root, debootstrap, dpkg-deb, systemd-container and dcmtk", file=sys.stderr)
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
        files = Path(folder) / "study"
        made = [sys.executable, str(HERE / "make_study.py"), "ct", str(files), "--instances", "3", "--documents"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        with Container(root, Path(folder) / "console.log") as box:
            return 1 if Trial(box, files).run() else 0


def _clean(root: Path) -> None:
    """What an earlier trial left."""
    subprocess.run(["chroot", str(root), "dpkg", "--purge", "kuva-gateway"], check=False, capture_output=True)
    for path in (STATE, "/etc/kuva-gateway", "/opt/kuva-gateway"):
        shutil.rmtree(f"{root}{path}", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
