"""A PostgreSQL of its own for a run of tests: Debian's programs, a temporary folder, a socket."""

import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

MISSING = "no PostgreSQL on this machine (nor at $RELAY_TEST_POSTGRES): its tests are skipped"
_ASKED = os.environ.get("RELAY_TEST_POSTGRES", "")
REQUIRED = _ASKED == "required"
"""Whether tests fail rather than skip where there is no PostgreSQL."""

GIVEN = "" if REQUIRED else _ASKED
"""The URL of a database in which the tests may make schemas and roles, and others beside it."""


def programs() -> Path | None:
    """Find the newest server on this machine."""
    found = [Path(path).resolve().parent for path in [shutil.which("postgres")] if path]
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    found += sorted(folders, key=lambda path: float(path.parent.name), reverse=True)
    return next((path for path in found if (path / "initdb").exists()), None)


def are_skipped() -> bool:
    """Return whether the tests of PostgreSQL are skipped, because there is none to start."""
    return not (REQUIRED or programs())


class Cluster:
    """Starts on a socket alone. PostgreSQL refuses root, so root lets another user run it."""

    def __init__(self, copy_of: "Cluster | None" = None, **settings: str) -> None:
        bin = programs()
        assert bin, "no PostgreSQL on this machine"
        self._bin = bin
        self.folder = Path(mkdtemp(prefix="relay-pg-"))
        self.port = settings.get("port", "5432")
        self._settings = {"listen_addresses": "", "unix_socket_directories": self.folder} | settings
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, self._user)
        self.data = self.folder / "data"
        if copy_of is None:
            self._run("initdb", "-U", "relay", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")
        else:
            of = f"host={copy_of.folder} user=relay"
            self._run("pg_basebackup", "-d", of, "-R", "-X", "stream", "-c", "fast")

    def url(self, database: str = "postgres", user: str = "relay") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}"

    def start(self) -> Self:
        options = " ".join(f"-c {name}='{to}'" for name, to in self._settings.items())
        self._run("pg_ctl", "-w", "-s", "-l", str(self.folder / "log"), "-o", options, "start")
        return self

    def stop(self, mode: str = "immediate") -> None:
        with suppress(subprocess.CalledProcessError):  # it is down already
            self._run("pg_ctl", "-w", "-s", "-m", mode, "stop")

    def restart(self) -> None:
        self.stop()
        self.start()

    def promote(self) -> None:
        """Make a copy, which follows its original and is read-only, the one that is written to."""
        self._run("pg_ctl", "-w", "-s", "promote")

    def kill(self, pid: int) -> None:
        """End a backend as a crash would; PostgreSQL restarts all of them then."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def backends(self, user: str) -> list[int]:
        """Find the processes that serve a user's connections."""
        main = (self.data / "postmaster.pid").read_text().split()[0]
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", main], capture_output=True, text=True, check=False
        ).stdout
        return [int(pid) for pid in re.findall(rf"(\d+) postgres: {user} ", listed)]

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._bin / program, "-D", self.data, *arguments],
            user=self._user,
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            extra_groups=[] if self._user else None,
        )


def with_schema(url: str, schema: str) -> str:
    """Make a new schema, and give the URL that leads there."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
        connection.execute(f"CREATE SCHEMA {schema}".encode())
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}"


def empty(url: str) -> None:
    """Forget all jobs, and when they were last reaped."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass('jobs')").fetchone() != (None,):
            connection.execute("TRUNCATE jobs")
            connection.execute("UPDATE internal_state SET last_run = '2000-01-01'")
