"""What a receiving process is made of: there are several, and each needs its memory."""

from __future__ import annotations

import subprocess
import sys

from tests.support import ROOT


def test_a_receiving_process_has_no_catalog_no_xml_and_no_scheduler():
    program = "import sys, kuva_gateway.receiving.process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"peewee", "sqlite3", "psycopg", "lxml", "apscheduler", "kuva_gateway.catalog"} & set(
        done.stdout.split()
    )
