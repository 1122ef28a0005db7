"""The gateway under a real systemd: a Debian 12 of its own (debootstrap), booted by systemd-nspawn without a network.

Installed as README.rst says. Tried: start, status line, reload (good file, bad file), a restart with a C-ECHO every 100
ms, a receiving process and then the daemon that are frozen, a stop under load, a key by LoadCredential, the nightly
verification, account and folders. Needs root, debootstrap, systemd-container and openssl; the root is kept with --root
and used again. Exit status 1: something failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from container_calls import PORT
from container_trial import CONFIGURATION, RUNNING, SERVICE, SOCKET, STATE, Steps
from systemd_container import Container, build

HERE = Path(__file__).resolve().parent
CONFIG = """\
environment: test
state_directory: /var/lib/kuva-gateway
listen: {{host: 127.0.0.1, port: {port}}}
settle_after: 5m
spool: {{minimum_free: 1MiB}}
log: {{format: json}}
peers:
  - {{name: monitor, ae_title: MONITOR, allow: [echo]}}
  - {{name: ct1, ae_title: CT1, allow: [echo, store]}}
{more}
destinations:
  - {{name: archive, ae_title: ARCHIVE, host: 127.0.0.1, port: 9}}
"""
DROP_IN = """\
[Service]
# Short, so that the trial is; nothing else differs from the shipped unit.
WatchdogSec=6s
TimeoutAbortSec=3s
"""
TLS_PORT = 2762
CREDENTIAL = "/run/credentials/kuva-gateway.service/tls-key"
FROZEN = 90.0  # seconds after which a frozen process must have been replaced


class Trial(Steps):
    """The steps, in their order."""

    def configure(self, more: str = "") -> None:
        self.box.write(CONFIGURATION, CONFIG.format(port=PORT, more=more), group="kuva-gateway")

    def children(self, main: str) -> list[str]:
        return self.box.run("sh", "-c", f"cat /proc/{main}/task/*/children").stdout.split()

    def freeze(self, pid: str) -> None:
        done = self.box.run("sh", "-c", f"kill -STOP {pid}")
        assert done.returncode == 0, done.stderr

    def run(self) -> None:
        self.start()
        self.reload()
        self.wrong_configuration()
        self.restart()
        self.frozen_receiver()
        self.frozen_daemon()
        self.stop_under_load()
        self.credentials()
        self.verify()
        self.account_and_folders()

    def start(self) -> None:
        self.configure()
        self.box.write("/run/systemd/system/kuva-gateway.service.d/trial.conf", DROP_IN)
        self.box.run("systemctl", "daemon-reload")
        begun = time.monotonic()
        done = self.box.run("systemctl", "start", *RUNNING)
        seconds = round(time.monotonic() - begun, 2)
        self.check("start until READY (s)", done.returncode == 0, f"{seconds} {done.stderr.strip()}")
        if done.returncode != 0:
            print(self.box.run("journalctl", "-b", "-u", "kuva-gateway", "-n", "40", "-o", "cat").stdout)
            raise SystemExit(1)
        found = self.wait(lambda: "receiving as KUVAGW" in self.show("StatusText"), 10)
        self.check("status line", found is not None, self.show("StatusText"))
        score = self.box.run("systemd-analyze", "security", "kuva-gateway").stdout.strip().splitlines()[-1]
        self.check("systemd-analyze security", float(score.split(":")[1].split()[0]) <= 1.5, score)
        self.check("C-ECHO", self.echo("MONITOR") == "answered")

    def echo(self, calling: str) -> str:
        return self.box.call("echo", calling)

    def reload(self) -> None:
        before = self.show("MainPID")
        self.check("an unknown peer is rejected", self.echo("CT2") == "rejected")
        self.configure("  - {name: ct2, ae_title: CT2, allow: [echo]}")
        done = self.box.run("systemctl", "reload", "kuva-gateway")
        self.check("reload", done.returncode == 0 and self.show("ActiveState") == "active", done.stderr.strip())
        self.check("the new peer is let in", self.echo("CT2") == "answered")
        self.configure("  - {name: ct2, ae_title: CT2, allow: [everything]}")
        done = self.box.run("systemctl", "reload", "kuva-gateway")
        active = self.show("ActiveState") == "active" and self.show("MainPID") == before
        self.check("a bad file fails the reload, and changes nothing", done.returncode != 0 and active)
        self.check("the peer is still let in", self.echo("CT2") == "answered")
        self.configure()
        self.check("reload back", self.box.run("systemctl", "reload", "kuva-gateway").returncode == 0)

    def wrong_configuration(self) -> None:
        self.configure("  - {name: ct2, ae_title: CT2, allow: [everything]}")
        done = self.box.run("systemctl", "restart", SERVICE)
        state, restarts, status = (self.show(key) for key in ("ActiveState", "NRestarts", "ExecMainStatus"))
        stays = done.returncode != 0 and (state, restarts, status) == ("failed", "0", "2")
        self.check("a fault in the configuration ends it for good", stays, f"{state}, {restarts} restarts, {status}")
        told = self.box.run("journalctl", "-b", "-u", SERVICE, "-o", "cat", "-n", "20").stdout
        self.check("the journal names the line", "line 10: peers[2].allow[0]: " in told)
        self.configure()
        self.box.run("systemctl", "reset-failed", *RUNNING)
        self.check("mended, it starts", self.box.run("systemctl", "start", *RUNNING).returncode == 0)

    def restart(self) -> None:
        with self.echoes("MONITOR", 20, 20) as found:
            done = self.box.run("systemctl", "restart", SERVICE)
        self.check("restart", done.returncode == 0)
        good = set(found) <= {"answered", "cut off"} and found["answered"] > 20 and found.get("cut off", 0) <= 1
        self.check("a C-ECHO every 100 ms is never refused", good, found)

    def frozen_receiver(self) -> None:
        main, restarts = self.show("MainPID"), self.show("NRestarts")
        frozen = self.children(main)[0]
        self.freeze(frozen)
        took = self.wait(lambda: frozen not in self.children(main), FROZEN)
        same = self.show("MainPID") == main and self.show("NRestarts") == restarts
        self.check("a frozen receiving process is replaced without a restart (s)", took is not None and same, took)

    def frozen_daemon(self) -> None:
        main, restarts = self.show("MainPID"), int(self.show("NRestarts"))
        self.freeze(main)
        took = self.wait(lambda: int(self.show("NRestarts")) > restarts and self.show("SubState") == "running", FROZEN)
        self.check("a frozen daemon is killed by the watchdog and started again (s)", took is not None, took)
        told = self.box.run("journalctl", "-b", "-u", "kuva-gateway", "-o", "cat").stdout
        self.check("the journal says why", "Watchdog timeout" in told)
        self.check("C-ECHO", self.echo("MONITOR") == "answered")

    def stop_under_load(self) -> None:
        before = self.instances()
        with self.load("CT1") as caller:
            begun = time.monotonic()
            done = self.box.run("systemctl", "stop", *RUNNING)
            seconds = round(time.monotonic() - begun, 1)
            found = caller.result()
        result, limit = self.show("Result"), self.show("TimeoutStopUSec")
        self.check(f"stop under load, within {limit} (s)", done.returncode == 0 and result == "success", seconds)
        acknowledged = found["acknowledged"]
        self.box.run("systemctl", "start", *RUNNING)
        kept = self.instances() - before
        self.check(
            "every acknowledged image is there", kept >= acknowledged > 0, f"{acknowledged} of {kept}; {found['how']}"
        )

    def credentials(self) -> None:
        """A key that only root can read, by the drop-in that is shipped as an example; then an absent one."""
        place, dropped = "/etc/kuva-gateway/private", f"/run/systemd/system/{SERVICE}.d/credentials.conf"
        self.box.run("rm", "-rf", place)  # of an earlier trial
        self.box.write(dropped, (HERE.parent / "systemd" / "examples" / "credentials.conf").read_text())
        self.box.run("systemctl", "daemon-reload")
        self.box.run("systemctl", "reset-failed", SERVICE)
        failed = self.box.run("systemctl", "restart", SERVICE)
        self.check("a credential that is absent keeps the unit from starting", failed.returncode != 0)
        certificate, key = _certificate()
        self.box.write(f"{place}/tls.key", key)
        self.box.run("chmod", "-R", "go=", place)
        self.box.write("/etc/kuva-gateway/tls.pem", certificate, group="kuva-gateway")
        more = f"tls: {{port: {TLS_PORT}, certificate: /etc/kuva-gateway/tls.pem, key: {CREDENTIAL}}}"
        self.box.write(CONFIGURATION, CONFIG.format(port=PORT, more="") + more + "\n", group="kuva-gateway")
        self.box.run("systemctl", "reset-failed", *RUNNING)
        self.box.run("systemctl", "start", SOCKET)
        done = self.box.run("systemctl", "restart", SERVICE)
        hidden = self.gateway("--version").returncode == 0 and (
            self.box.run("runuser", "-u", "kuva-gateway", "--", "cat", f"{place}/tls.key").returncode != 0
        )
        self.check("a key by LoadCredential, which the account cannot read", done.returncode == 0 and hidden)
        ours = self.box.outside("openssl", "s_client", "-connect", f"127.0.0.1:{TLS_PORT}").stdout
        self.check("a TLS handshake shows the certificate", certificate.split()[3] in ours)
        self.box.run("rm", dropped)
        self.box.run("systemctl", "daemon-reload")
        self.configure()
        self.check("without it again", self.box.run("systemctl", "restart", SERVICE).returncode == 0)

    def account_and_folders(self) -> None:
        """By sysusers and tmpfiles alone."""
        account = self.box.run("getent", "passwd", "kuva-gateway").stdout.split(":")
        self.check("the account by sysusers", account[5:] == [STATE, "/usr/sbin/nologin\n"], account[2:])
        self.box.run("rmdir", f"{STATE}/documents/incoming", f"{STATE}/documents")
        self.box.run("systemd-tmpfiles", "--create", "kuva-gateway.conf")
        said = self.box.run("stat", "-c", "%U:%G %a", "/etc/kuva-gateway", STATE, f"{STATE}/documents").stdout
        wanted = ["root:kuva-gateway 750", "kuva-gateway:kuva-gateway 700", "kuva-gateway:kuva-gateway 700"]
        self.check("the folders by tmpfiles", said.splitlines() == wanted, said.splitlines())

    def verify(self) -> None:
        done = self.box.run("systemctl", "start", "kuva-gateway-verify.service")
        self.check("the nightly verification", done.returncode == 0, done.stderr.strip())
        done = self.box.run("systemctl", "enable", "--now", "kuva-gateway-verify.timer")
        listed = self.box.run("systemctl", "list-timers", "--no-pager").stdout
        self.check("its timer", done.returncode == 0 and "kuva-gateway-verify.timer" in listed)


def _certificate() -> tuple[str, str]:
    """A certificate and its key."""
    with tempfile.TemporaryDirectory(prefix="trial-key-") as folder:
        certificate, key = Path(folder) / "pem", Path(folder) / "key"
        asked = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=trial"]
        command = ["openssl", "req", *asked, "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
        return certificate.read_text(), key.read_text()


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, boot, try, power off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="where the Debian is, or is made; kept (default: a temporary folder)")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0 or not all(map(shutil.which, ("debootstrap", "systemd-nspawn", "nsenter", "openssl"))):
        print("needs root, debootstrap, systemd-container and openssl", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="systemd-trial-") as folder:
        root = build(options.root or Path(folder) / "root", HERE.parent)
        with Container(root, Path(folder) / "console.log") as container:
            trial = Trial(container)
            trial.run()
    return 1 if trial.failed else 0


if __name__ == "__main__":
    sys.exit(main())
