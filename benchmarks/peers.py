"""Measure three peers of different kinds."""

import os
import signal
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from attrs import frozen
from bench import Bench, Sample, one
from children import HERE, START, running
from install_peers import PYTHON
from peer_servers import postgres, redis
from sdk import BATCH, Measure

BATCHES = (100, 250, 1000)  # of pgqueuer


@contextmanager
def measures(bench: Bench) -> Generator[list[Measure]]:
    """Start the servers, and yield the functions that measure."""
    with redis(bench) as on_redis, postgres(bench) as on_postgres:
        systems = [Pgqueuer(bench, on_postgres), Dramatiq(bench, on_redis), Celery(bench, on_redis)]
        yield [measure for system in systems for measure in system.measures()]


@frozen
class Peer:
    """One system: its commands and its benchmarks."""

    bench: Bench
    env: dict[str, str]

    who: ClassVar[str]
    program: ClassVar[str]
    workers: ClassVar[dict[tuple[str, int], tuple[str, ...]]]  # by name and jobs in hand

    def measures(self) -> list[Measure]:
        return [*(partial(self.drain, *worker) for worker in self.workers), self.latency]

    def drain(self, what: str, in_hand: int, _: str) -> Iterator[Sample]:
        """Fill a queue, which is measured too, and drain it with a worker."""
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
        ("2 processes", 2): ("-m", "celery", "-Apeer_celery", "worker", "-c2", "-lWARNING")
    }
