"""Run the servers of the peers with separate folders and ports, and their default durability."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress

from bench import Bench
from children import START, running, wait_until
from install_peers import postgres_folder


@contextmanager
def redis(bench: Bench) -> Generator[dict[str, str]]:
    """Run Redis as Debian configures it: it saves periodically, without syncing each write."""
    folder, port = bench.path("redis"), free_port()
    folder.mkdir()
    save = ("--save", "3600 1 300 100 60 10000")
    command = ("redis-server", "--port", f"{port}", "--bind", "127.0.0.1", "--dir", folder, *save)
    with running(*command, "--logfile", folder / "log", log=bench.log):
        wait_until(lambda: listens(port), START, "the start of Redis")
        yield {"REDIS_URL": f"redis://127.0.0.1:{port}"}


@contextmanager
def postgres(bench: Bench) -> Generator[dict[str, str]]:
    """Run PostgreSQL with its defaults: each commit is synced."""
    folder, port, programs = bench.path("postgres"), free_port(), postgres_folder()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is missing: make bench-peers installs it")
    folder.mkdir()
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user:
        shutil.chown(folder, user)
    subprocess.run(
        [programs / "initdb", "-D", folder, "-U", "bench", "-A", "trust", "--no-instructions"],
        stdout=bench.log,
        stderr=bench.log,
        cwd=folder,
        check=True,
        user=user,
        timeout=START,
    )
    command = (programs / "postgres", "-D", folder, "-p", f"{port}", "-k", folder)
    with running(*command, stop=signal.SIGINT, log=bench.log, user=user):
        wait_until(lambda: listens(port), START, "the start of PostgreSQL")
        yield {"PGDSN": f"postgresql://bench@127.0.0.1:{port}/postgres"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
