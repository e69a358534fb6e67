"""The settings of one run, its folder, and the drain benchmark that all systems share."""

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from attrs import field, frozen
from children import HERE, START, ChildError, answer, cpu_seconds, running, wait_until
from marks import Marks, rate


class Sample(NamedTuple):
    """The figures of one row in one round."""

    table: str
    what: str
    who: str
    figures: dict[str, list[float]]


@frozen
class Size:
    """How much to measure. Where a duration is set, slower systems process fewer jobs."""

    rounds: int
    jobs: int = 10_000
    drain_seconds: float = 1.5
    enqueue_seconds: float = 0.6
    latencies: int = 16
    idle: float = 0.5
    window: float = 55.0  # an idle worker polls every 12 seconds
    repeats: int = 5


FULL = Size(rounds=5)
QUICK = Size(1, 300, 30, 0.1, latencies=2, idle=0.05, window=0.5, repeats=1)


@frozen
class Bench:
    """One run: its size, its folder, and the log of all programs."""

    size: Size
    folder: Path
    log: TextIO
    _numbers: Iterator[int] = field(factory=count)

    def path(self, name: str) -> Path:
        """Return a new path in the folder."""
        return self.folder / f"{next(self._numbers)}-{name}"

    def marks(self) -> Marks:
        return Marks(self.path("marks"))

    def call(self, *command: str | Path, env: Mapping[str, str], seconds: float = 120) -> Any:
        """Run a program to its end, and return the JSON that it printed."""
        env = {"IDLE": str(self.size.idle), "PYTHONPATH": str(HERE), **env}
        with running(*command, env=env, log=self.log) as process:
            return answer(process, seconds)

    def drain(
        self,
        *command: str | Path,
        env: Mapping[str, str],
        in_hand: int,
        stop: signal.Signals = signal.SIGTERM,
    ) -> dict[str, list[float]]:
        """Start a worker, which has so many jobs `in_hand`, on a full queue, and count its jobs.

        The CPU time includes all processes of the worker, but not the server.
        """
        jobs = self.size.jobs
        marks = self.marks()
        env = {"MARKS": str(marks.path), "PYTHONPATH": str(HERE), **env}
        with running(*command, env=env, stop=stop, log=self.log) as worker:
            wait_until(lambda: len(marks) or worker.poll() is not None, START, "the first job")
            before, worked = len(marks), cpu_seconds(worker)
            until = time.monotonic() + self.size.drain_seconds
            while len(marks) < jobs and time.monotonic() < until:
                time.sleep(0.002)
            worked, done = cpu_seconds(worker) - worked, min(len(marks), jobs)
        times = marks.times()[:done]
        if done < 2:
            raise ChildError(f"{command} ran {done} of {jobs} jobs")
        return {
            "per_second": [rate(times, min(in_hand, done - 1))],  # a quick run has few
            "cpu_us": [worked / max(done - before, 1) * 1e6],
            "jobs": [done],
        }


def one(figures: Mapping[str, float]) -> dict[str, list[float]]:
    """Wrap each figure as a single sample."""
    return {name: [value] for name, value in figures.items()}


PYTHON = sys.executable
