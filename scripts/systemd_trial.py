"""The gateway under a real systemd: a Debian 12 of its own (debootstrap), booted by systemd-nspawn without a network.

Installed as README.rst says. Tried: start, status line, reload (good file, bad file), a restart with a C-ECHO every 100
ms, a receiving process and then the daemon that are frozen, a stop under load, the nightly verification. Needs root,
debootstrap and systemd-container; the root is kept with --root and used again. Exit status 1: something failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from container_calls import PORT
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
PROGRAM = "/opt/kuva-gateway/bin/kuva-gateway"
FROZEN = 90.0  # seconds after which a frozen process must have been replaced


class Trial:
    """The steps, in their order; each says what it found."""

    def __init__(self, container: Container) -> None:
        self.box = container
        self.failed = 0

    def check(self, what: str, good: bool, found: object = "") -> None:
        """One line for one claim."""
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}{f': {found}' if found != '' else ''}", flush=True)

    def show(self, key: str, unit: str = "kuva-gateway") -> str:
        """A property of a unit."""
        return self.box.run("systemctl", "show", "-P", key, unit).stdout.strip()

    def wait(self, reached: Callable[[], bool], seconds: float) -> float | None:
        """Seconds until it came true, None if it did not."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if reached():
                return round(time.monotonic() - begun, 1)
            time.sleep(0.2)
        return None

    def configure(self, more: str = "") -> None:
        self.box.write("/etc/kuva-gateway/kuva-gateway.yaml", CONFIG.format(port=PORT, more=more), group="kuva-gateway")

    def stats(self) -> dict[str, int]:
        done = self.box.run(
            "runuser", "-u", "kuva-gateway", "--", "/opt/kuva-gateway/bin/kuva-gateway", "stats", "--json"
        )
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {}

    def children(self, main: str) -> list[str]:
        return self.box.run("sh", "-c", f"cat /proc/{main}/task/*/children").stdout.split()

    def freeze(self, pid: str) -> None:
        done = self.box.run("sh", "-c", f"kill -STOP {pid}")
        assert done.returncode == 0, done.stderr

    def run(self) -> None:
        self.start()
        self.reload()
        self.restart()
        self.frozen_receiver()
        self.frozen_daemon()
        self.stop_under_load()
        self.verify()

    def start(self) -> None:
        self.configure()
        self.box.write("/run/systemd/system/kuva-gateway.service.d/trial.conf", DROP_IN)
        self.box.run("systemctl", "daemon-reload")
        begun = time.monotonic()
        done = self.box.run("systemctl", "start", "kuva-gateway.socket", "kuva-gateway.service")
        seconds = round(time.monotonic() - begun, 2)
        self.check("start until READY (s)", done.returncode == 0, f"{seconds} {done.stderr.strip()}")
        if done.returncode != 0:
            print(self.box.run("journalctl", "-u", "kuva-gateway", "-n", "40", "-o", "cat").stdout)
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

    def restart(self) -> None:
        with self.box.calling("echoes", "MONITOR") as caller:
            time.sleep(3)
            done = self.box.run("systemctl", "restart", "kuva-gateway")
            time.sleep(3)
            found = json.loads(caller.communicate()[0])
        self.check("restart", done.returncode == 0)
        self.check(
            "a C-ECHO every 100 ms is never refused", found.get("refused", 0) == 0 and found["answered"] > 20, found
        )

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
        told = self.box.run("journalctl", "-u", "kuva-gateway", "-o", "cat").stdout
        self.check("the journal says why", "Watchdog timeout" in told)
        self.check("C-ECHO", self.echo("MONITOR") == "answered")

    def stop_under_load(self) -> None:
        before = self.stats().get("instances", 0)
        with self.box.calling("store", "CT1") as caller:
            time.sleep(3)
            begun = time.monotonic()
            done = self.box.run("systemctl", "stop", "kuva-gateway.socket", "kuva-gateway.service")
            seconds = round(time.monotonic() - begun, 1)
            found = json.loads(caller.communicate()[0])
        result = self.show("Result")
        self.check("stop under load (s)", done.returncode == 0 and result == "success", f"{seconds} {result}")
        acknowledged = found["acknowledged"]
        self.box.run("systemctl", "start", "kuva-gateway.socket", "kuva-gateway.service")
        self.wait(lambda: self.stats().get("arrivals_pending") == 0, 30)
        kept = self.stats().get("instances", 0) - before
        self.check(
            "every acknowledged image is there", kept >= acknowledged > 0, f"{acknowledged} of {kept}; {found['how']}"
        )

    def verify(self) -> None:
        done = self.box.run("systemctl", "start", "kuva-gateway-verify.service")
        self.check("the nightly verification", done.returncode == 0, done.stderr.strip())
        done = self.box.run("systemctl", "enable", "--now", "kuva-gateway-verify.timer")
        listed = self.box.run("systemctl", "list-timers", "--no-pager").stdout
        self.check("its timer", done.returncode == 0 and "kuva-gateway-verify.timer" in listed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, boot, try, power off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="where the Debian is, or is made; kept (default: a temporary folder)")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0 or not all(map(shutil.which, ("debootstrap", "systemd-nspawn", "nsenter"))):
        print("needs root, debootstrap and systemd-container", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="systemd-trial-") as folder:
        root = build(options.root or Path(folder) / "root", HERE.parent)
        with Container(root, Path(folder) / "console.log") as container:
            trial = Trial(container)
            trial.run()
    return 1 if trial.failed else 0


if __name__ == "__main__":
    sys.exit(main())
