"""The status pages as a real process, looked at by a real browser: both schemes, a phone, and who may see what."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from kuva_gateway import parts
from kuva_gateway.config import load
from kuva_gateway.spool import Spool
from tests.support import ROOT, free_port, module, program, wait_until
from tests.unit.catalog.making import ARCHIVE, MISSING, Clock, Hospital

TOKEN = "a-token-of-some-length"
PATIENT = "010101-999R"
LIGHT, DARK = (255, 255, 255), (18, 22, 28)


@dataclass
class Site:
    """A state directory with two studies, and the pages' process on it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def get(self, path: str, token: str = TOKEN) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def photograph(self, path: str, *, width: int, dark: bool = False) -> Path:
        """What a browser shows of a page."""
        picture = self.folder / "page.png"
        subprocess.run(
            [
                program("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--user-data-dir={self.folder / 'browser'}", f"--window-size={width},1200", f"--screenshot={picture}",
                *(["--force-dark-mode"] if dark else []),
                f"http://anna:{TOKEN}@127.0.0.1:{self.port}{path}",
            ],
            check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return picture


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port, config = free_port(), tmp_path / "kuva-gateway.yaml"
    web = {"port": port, "token": "web.token", "show_patients": True}
    config.write_text(
        yaml.safe_dump({"environment": "test", "state_directory": "./var", "web": web, "metrics": {"port": None}})
    )
    configuration = load(config)
    parts.make_state_directory(configuration.state_directory)
    (configuration.state_directory / "web.token").write_text(TOKEN)
    catalog, clock = parts.open_catalog(configuration, create=True, update=True), Clock()
    hospital = Hospital(catalog, Spool(configuration.state_directory / "spool", minimum_free=0), clock)
    hospital.hold("1.2.1", MISSING, PatientID=PATIENT)
    hospital.accept("1.2.2", destinations=(ARCHIVE,), AccessionNumber="A2")
    catalog.close()
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "kuva_gateway", "web", "--config", str(config)], stdout=log, stderr=log, cwd=ROOT
    )
    found = Site(tmp_path, port, process)

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            return found.get("/style.css")[0] == 200
        except OSError:
            return False

    try:
        wait_until(answers, what="the pages")
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        log.close()


def test_the_pages_of_a_gateway_that_does_not_run_tell_what_there_is_and_who_looked(site: Site) -> None:
    assert site.get("/", token="another")[0] == 401
    status, page = site.get("/?lang=en")
    assert status == 200
    assert "The gateway is not running" in page
    assert "DOC-02: 1" in page
    status, page = site.get("/find?q=A1&lang=en")
    assert status == 200
    assert PATIENT in page
    done = subprocess.run(
        [sys.executable, "-m", "kuva_gateway", "audit", "list", "--json"],
        env={**os.environ, "KUVA_GATEWAY_CONFIG": str(site.folder / "kuva-gateway.yaml")},
        capture_output=True, text=True, check=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    assert "looked at on the status pages" in done.stdout
    assert PATIENT not in (site.folder / "log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_the_pages_in_either_scheme_and_on_a_phone(site: Site, dark: bool) -> None:
    image = module("matplotlib.image")
    ground = DARK if dark else LIGHT
    for path in ("/?lang=fi", "/study/1.2.1?lang=en", "/held/DOC-02"):
        for width in (1000, 390):
            seen = (image.imread(site.photograph(path, width=width, dark=dark))[:, :, :3] * 255).round().astype(int)
            assert seen.shape[:2] == (1200, width)
            assert tuple(seen[2, 2]) == ground
            assert tuple(seen[2, width - 3]) == ground
            shown = (abs(seen - ground).sum(axis=2) > 60).any(axis=0).nonzero()[0]
            assert 8 <= shown.min() <= 200, "text begins beside the edge, and not in it"
            assert shown.max() <= width - 8, "nothing goes beyond the edge"
    assert re.search(r"GET|POST", (site.folder / "log").read_text()) is None
