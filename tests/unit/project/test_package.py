"""The Debian package has what is needed in it, and its scripts keep what is a hospital's.

scripts/package-trial installs, upgrades, removes and purges a whole one under a real systemd.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuva_gateway.config import Configuration
from tests.studies import load_script
from tests.support import ROOT, program

make_deb: Any = load_script("make_deb")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it but the program, which takes minutes."""
    program("dpkg-deb")
    folder = tmp_path_factory.mktemp("deb")
    root = folder / "root"
    root.mkdir(mode=0o755)
    make_deb.put_files(root)
    make_deb.put_control(root, "0.1.0-1", "python3")
    target: Path = make_deb.pack(root, folder / "it.deb")
    return target


def asked(*arguments: object) -> str:
    return subprocess.run(
        ["dpkg-deb", *map(str, arguments)], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_it_has_every_unit_the_account_the_folders_and_papers(package: Path) -> None:
    listed = [line.split()[5].removeprefix("./") for line in asked("-c", package).splitlines()]
    for path in sorted((ROOT / "systemd").glob("kuva-gateway*.*")):
        kind = path.suffix[1:]
        named = f"usr/lib/{kind}.d/kuva-gateway.conf" if kind in ("sysusers", "tmpfiles") else None
        assert (named or f"usr/lib/systemd/system/{path.name}") in listed
    for path in ("usr/share/man/man1/kuva-gateway.1.gz", "usr/share/doc/kuva-gateway/README.rst"):
        assert path in listed


def test_the_configuration_is_a_conffile_that_others_cannot_read(package: Path) -> None:
    (line,) = [line for line in asked("-c", package).splitlines() if line.endswith("kuva-gateway.yaml")]
    assert line.startswith("-rw-r----- root/root")
    assert asked("-I", package, "conffiles").split() == ["/etc/kuva-gateway/kuva-gateway.yaml"]


def test_its_configuration_differs_in_the_state_directory_of_the_units_alone() -> None:
    packaged = Configuration.model_validate(yaml.safe_load(make_deb.configuration()))
    assert packaged.state_directory == Path("/var/lib/kuva-gateway")
    default = Configuration(environment="test")
    assert packaged.model_copy(update={"state_directory": default.state_directory}) == default


@pytest.mark.parametrize("name", make_deb.SCRIPTS)
def test_a_maintainer_script_is_one_that_a_shell_reads(name: str, package: Path) -> None:
    text = asked("-I", package, name)
    assert "@" not in text
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


def test_what_ran_is_restarted_but_no_socket_and_nothing_that_ends_by_itself() -> None:
    lines = make_deb.filled("postinst").splitlines()
    (line,) = [line for line in lines if line.startswith("for unit in") and ".socket" not in line]
    assert "kuva-gateway.service" in line.replace(";", " ").split()
    assert "kuva-gateway-verify.service" not in line


def test_callers_are_kept_out_before_the_gateway_is_stopped() -> None:
    (line,) = [line for line in make_deb.filled("prerm").splitlines() if "deb-systemd-invoke stop" in line]
    stopped = line.split()[2:]
    assert sorted(stopped) == make_deb.units()
    assert stopped.index("kuva-gateway.socket") < stopped.index("kuva-gateway.service")


class Machine:
    """A folder that a maintainer script takes for the machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.etc = root / "etc" / "kuva-gateway"
        self.etc.mkdir(parents=True)

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        text = make_deb.filled(script)
        for folder in ("/etc/", "/var/", "/opt/", "/run/"):
            text = text.replace(folder, f"{self.root}{folder}")
        command = ["sh", "-s", "--", *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_purge_leaves_every_image_and_says_where(machine: Machine) -> None:
    state = machine.root / "srv" / "images"
    (state / "spool").mkdir(parents=True)
    (state / "spool" / "image").write_text("an image")
    (machine.etc / ".state-directory").write_text(f"{state}\n")
    done = machine.run("postrm", "purge")
    assert done.returncode == 0, done.stderr
    assert (state / "spool" / "image").read_text() == "an image"
    assert f"still in {state}," in done.stdout
    assert not machine.etc.exists()


def test_purge_names_what_is_not_the_packages_and_leaves_it(machine: Machine) -> None:
    (machine.etc / "tls.key").write_text("a key")
    done = machine.run("postrm", "purge")
    assert done.returncode == 0, done.stderr
    assert (machine.etc / "tls.key").exists()
    assert "tls.key" in done.stdout


def test_remove_takes_nothing(machine: Machine) -> None:
    (machine.etc / "kuva-gateway.yaml").write_text("environment: test")
    assert machine.run("postrm", "remove").returncode == 0
    assert (machine.etc / "kuva-gateway.yaml").exists()


def test_purge_takes_the_links_that_enabled_its_units(machine: Machine) -> None:
    wants = machine.root / "etc" / "systemd" / "system" / "multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "kuva-gateway.service").symlink_to("/usr/lib/systemd/system/kuva-gateway.service")
    (wants / "ssh.service").symlink_to("/usr/lib/systemd/system/ssh.service")
    assert machine.run("postrm", "purge").returncode == 0
    assert [path.name for path in wants.iterdir()] == ["ssh.service"]


def test_a_gateway_of_pips_is_not_written_over(machine: Machine) -> None:
    there = machine.root / "opt" / "kuva-gateway" / "bin" / "kuva-gateway"
    there.parent.mkdir(parents=True)
    there.write_text("")
    done = machine.run("preinst", "install")
    assert done.returncode == 1
    assert "without this package" in done.stderr
    assert machine.run("preinst", "upgrade", "0.1.0-1").returncode == 0
