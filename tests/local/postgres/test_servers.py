"""Several servers on one database; servers, workers and connections are killed."""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle, pairwise
from math import inf
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import psycopg
import pytest

from ...support.postgres import MISSING, Cluster, are_skipped

pytestmark = [
    pytest.mark.skipif(are_skipped(), reason=MISSING),
    pytest.mark.skipif(os.name != "posix", reason="needs signals"),
]

LEASE = 2
SERVERS = 4
WORKERS = 16
JOBS = 300
STEP = 20
"""Jobs that are stored between a kill and the next: how fast that is depends on the machine."""
PATIENT = 60.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(fsync="off")
    try:
        yield cluster.start()
    finally:
        cluster.remove()


class Programs:
    """Servers and workers; a process that is killed is started again."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._count = 0
        self._ports = [0] * SERVERS
        self.servers = [self._server(n) for n in range(SERVERS)]
        for n, server in enumerate(self.servers):
            assert server.stdout
            self._ports[n] = int(server.stdout.readline().strip().rpartition(":")[2])
        self.workers = [self._worker() for _ in range(WORKERS)]

    @property
    def ports(self) -> list[int]:
        return self._ports

    def _server(self, n: int) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "relay_sdk.local"),
                *("--db", self._cluster.url("relay", "app"), "--port", str(self._ports[n])),
                *("--reap-interval", "0.5", "--log-level", "error"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _worker(self) -> "subprocess.Popen[str]":
        self._count += 1
        file = self._folder / f"{self._count}.jsonl"
        program = Path(__file__).parents[1] / "ledger_worker.py"
        ports = map(str, self._ports)
        return subprocess.Popen([sys.executable, "-S", program, file, *ports], text=True)

    def kill_a_server(self) -> None:
        n = random.randrange(SERVERS)
        end(self.servers[n])
        self.servers[n] = self._server(n)

    def kill_a_worker(self) -> None:
        n = random.randrange(WORKERS)
        end(self.workers[n])
        self.workers[n] = self._worker()

    def kill_a_backend(self) -> None:
        for pid in self._cluster.backends("app")[:1]:
            self._cluster.kill(pid)

    def restart_dead_servers(self) -> None:
        """Do as a supervisor: a server does not start while PostgreSQL does."""
        for n, server in enumerate(self.servers):
            if server.poll() is not None:
                end(server)
                self.servers[n] = self._server(n)

    def end(self) -> None:
        for program in [*self.servers, *self.workers]:
            end(program)


def end(program: "subprocess.Popen[str]") -> None:
    program.send_signal(signal.SIGKILL)
    program.wait()
    if program.stdout:
        program.stdout.close()


def test_no_job_is_lost_or_claimed_twice_when_processes_are_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as admin:
        admin.execute("CREATE ROLE app LOGIN")
        admin.execute("CREATE DATABASE relay OWNER app")
    programs = Programs(cluster, tmp_path)
    acknowledged: set[str] = set()
    stop = Event()
    producer = Thread(target=produce, args=(programs.ports, acknowledged, stop))
    kills: list[Callable[[], None]] = [
        *(programs.kill_a_server, programs.kill_a_worker, programs.kill_a_worker),
        *(programs.kill_a_server, programs.kill_a_worker, programs.kill_a_backend),
    ]
    try:
        producer.start()
        for n, kill in zip(range(STEP, JOBS, STEP), cycle(kills), strict=False):
            while len(acknowledged) < n and producer.is_alive():
                programs.restart_dead_servers()
                time.sleep(0.05)
            kill()
        empties(cluster, programs)
    finally:
        stop.set()
        producer.join()
        programs.end()

    assert len(acknowledged) == JOBS
    given, ended = read(tmp_path)
    assert acknowledged <= given.keys()
    for id, runs in given.items():
        for first, second in pairwise(runs):
            assert second.after >= first.before + LEASE, f"{id} was handed to two at once"
        assert runs[-1].before <= ended.get(id, inf), f"{id} was handed out after its end"


class Given(NamedTuple):
    """A job was claimed between `before` and `after`."""

    before: float
    after: float


def read(folder: Path) -> tuple[dict[str, list[Given]], dict[str, float]]:
    """Return the claims of each job in order, and when a run that held it completed it."""
    given: defaultdict[str, list[Given]] = defaultdict(list)
    ended: dict[str, float] = {}
    for file in folder.glob("*.jsonl"):
        mine: dict[str, Given] = {}
        for line in file.read_text().splitlines():
            with suppress(ValueError):  # its writer was killed meanwhile
                event, id, run_id, before, after = json.loads(line)
                if event == "given":
                    mine[run_id] = Given(before, after)
                    given[id].append(mine[run_id])
                elif after < mine[run_id].before + LEASE:
                    ended[id] = after
    for runs in given.values():
        runs.sort()
    return given, ended


def produce(ports: list[int], acknowledged: set[str], stop: Event) -> None:
    """Enqueue one job after another, each until it is known to be stored."""
    for n in range(0, JOBS, 5):
        ids = [f"job-{n + m}" for m in range(5)]
        body = [{"queue": "q", "id": id, "timeout": LEASE, "payload": 1} for id in ids]
        while (status := post(random.choice(ports), json.dumps(body))) not in (202, 409):
            assert status in (0, 503), status
            if stop.wait(0.02):
                return
        acknowledged.update(ids)
        time.sleep(0.05)


def post(port: int, body: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"content-type": "application/json"}
        connection.request("POST", "/v2/queues/jobs", body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def empties(cluster: Cluster, programs: Programs) -> None:
    """Wait until the workers have completed every job."""
    deadline = time.monotonic() + PATIENT
    while True:
        programs.restart_dead_servers()
        with (
            suppress(psycopg.OperationalError),  # it recovers from a kill
            psycopg.connect(cluster.url("relay"), autocommit=True) as reader,
        ):
            if reader.execute("SELECT count(*) FROM jobs").fetchone() == (0,):
                return
        assert time.monotonic() < deadline
        time.sleep(0.1)
