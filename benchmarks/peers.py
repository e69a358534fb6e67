"""Three peers of different kinds, their servers, and what is measured of them.

`peers.py` installs them: the libraries into a virtual environment of their own, the servers by
apt where they are missing. Servers are started here, on folders and ports of their own, with the
durability that they have by default, and end with the run.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import venv
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from attrs import frozen
from bench import Bench, Sample, one
from children import HERE, START, running, wait_until
from ours import BATCH, Measure

VENV = HERE.parent / ".venv-peers"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = (
    "pgqueuer==1.6.0",
    "asyncpg",
    "uvloop",
    "dramatiq[redis]==2.2.1",
    "celery[redis]==5.7.0",
)
INSTALL = 600  # seconds
BATCHES = (100, 250, 1000)  # of pgqueuer
NAMES = ("pgqueuer", "asyncpg", "uvloop", "dramatiq", "celery", "redis")


def install() -> None:
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    # The SDK's own constraints are none of theirs.
    env = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    pip = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, *REQUIREMENTS], env=env, check=True, timeout=INSTALL)
    missing = [
        package
        for package, binary in (("redis-server", redis_binary()), ("postgresql", postgres_folder()))
        if binary is None
    ]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"install {' and '.join(missing)} first: only root can, and only on Debian")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # starts no service
    subprocess.run(["apt-get", "update", "-qq"], env=env, check=True, timeout=INSTALL)
    apt = ("apt-get", "install", "-qq", "--yes", "--no-install-recommends")
    subprocess.run([*apt, *missing], env=env, check=True, timeout=INSTALL)


def redis_binary() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


def postgres_folder() -> Path | None:
    """Find Debian's newest PostgreSQL, whose programs are not on the PATH, or another's."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    newest = max(folders, key=lambda folder: int(folder.parent.name), default=None)
    found = shutil.which("initdb")
    return newest or (Path(found).parent if found else None)


def versions() -> dict[str, str]:
    ask = f"import json, machine; print(json.dumps(machine.packages({NAMES})))"
    done = subprocess.run(
        [PYTHON, "-c", ask],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=True,
    )
    folder = postgres_folder()
    programs = {"Redis": redis_binary(), "PostgreSQL": folder / "postgres" if folder else None}
    return {
        **{f"{name} (peers)": version for name, version in json.loads(done.stdout).items()},
        **{
            name: subprocess.check_output([program, "--version"], text=True).strip()
            for name, program in programs.items()
            if program
        },
    }


@contextmanager
def measures(bench: Bench) -> Generator[list[Measure]]:
    """Start the servers, and give what is to be measured."""
    with redis(bench) as on_redis, postgres(bench) as on_postgres:
        systems = [Pgqueuer(bench, on_postgres), Dramatiq(bench, on_redis), Celery(bench, on_redis)]
        yield [measure for system in systems for measure in system.measures()]


@frozen
class Peer:
    """One system: how it is started, and what it is asked for."""

    bench: Bench
    env: dict[str, str]

    who: ClassVar[str]
    program: ClassVar[str]
    workers: ClassVar[dict[tuple[str, int], tuple[str, ...]]]  # by what it is and has in hand

    def measures(self) -> list[Measure]:
        return [*(partial(self.drain, *worker) for worker in self.workers), self.latency]

    def drain(self, what: str, in_hand: int, _: str) -> Iterator[Sample]:
        """Fill a queue, which is a figure too, and let a worker drain it."""
        self.clear()
        filled = self.call("fill", self.bench.size.jobs)
        yield Sample("enqueue", self.filling, self.who, one(filled))
        command = self.workers[what, in_hand]
        figures = self.bench.drain(
            PYTHON, *command, env=self.env, in_hand=in_hand, stop=signal.SIGKILL
        )
        yield Sample("drain", what, self.who, figures)

    def latency(self, _: str) -> Iterator[Sample]:
        self.clear()
        (what, _in_hand), command = next(iter(self.workers.items()))
        env = {**self.env, "MARKS": str(self.bench.marks().path), "PYTHONPATH": str(HERE)}
        with running(PYTHON, *command, env=env, stop=signal.SIGKILL, log=self.bench.log):
            taken = self.call("latencies", self.bench.size.latencies, env)
        yield Sample("latency", what, self.who, {"sample_ms": taken})

    def call(self, what: str, number: int, env: dict[str, str] | None = None) -> Any:
        env = env or {**self.env, "MARKS": os.devnull}
        return self.bench.call(PYTHON, HERE / self.program, what, f"{number}", env=env)

    filling: ClassVar[str] = "one by one, 1 thread"

    def clear(self) -> None:
        port = self.env["REDIS_URL"].rpartition(":")[2]
        subprocess.run(
            ["redis-cli", "-p", port, "flushall"], check=True, capture_output=True, timeout=START
        )


class Pgqueuer(Peer):
    who = "pgqueuer, PostgreSQL"
    program = "peer_pgqueuer.py"
    workers: ClassVar = {
        (f"1 process, batches of {size:,}", size): (f"{HERE}/peer_pgqueuer.py", "work", f"{size}")
        for size in BATCHES
    }
    filling = f"batches of {BATCH:,}"

    def measures(self) -> list[Measure]:
        return [*super().measures(), self.enqueue]

    def enqueue(self, _: str) -> Iterator[Sample]:
        self.clear()
        done = self.call("enqueue", self.bench.size.jobs)
        yield Sample("enqueue", "one by one, 1 task", self.who, one(done))

    def clear(self) -> None:
        self.call("clear", 0)


class Dramatiq(Peer):
    who = "Dramatiq, Redis"
    program = "peer_dramatiq.py"
    workers: ClassVar = {
        ("2 processes of 8 threads", 16): ("-m", "dramatiq", "peer_dramatiq", "-p", "2", "-t", "8")
    }


class Celery(Peer):
    who = "Celery, Redis"
    program = "peer_celery.py"
    workers: ClassVar = {
        ("2 processes", 2): (
            "-m",
            "celery",
            "-A",
            "peer_celery",
            "worker",
            "-c",
            "2",
            "-l",
            "WARNING",
        )
    }


@contextmanager
def redis(bench: Bench) -> Generator[dict[str, str]]:
    """Run Redis as Debian configures it: it saves now and then, and syncs nothing on its way."""
    folder, port = bench.path("redis"), free_port()
    folder.mkdir()
    save = ("--save", "3600 1 300 100 60 10000")
    command = ("redis-server", "--port", f"{port}", "--bind", "127.0.0.1", "--dir", folder, *save)
    with running(*command, "--logfile", folder / "log", log=bench.log):
        wait_until(lambda: listens(port), START, "the start of Redis")
        yield {"REDIS_URL": f"redis://127.0.0.1:{port}"}


@contextmanager
def postgres(bench: Bench) -> Generator[dict[str, str]]:
    """Run PostgreSQL as it is by default: each commit is synced."""
    folder, port, programs = bench.path("postgres"), free_port(), postgres_folder()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is missing: make bench-peers installs it")
    folder.mkdir()
    user = "postgres" if os.geteuid() == 0 else None  # it refuses root
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


if __name__ == "__main__":
    install()
