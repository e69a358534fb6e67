"""Records of accepted, refused, stored and completed jobs, to be compared at the end."""

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from attrs import field, mutable

from relay_sdk import Backoff, JobExistsError, Queue, RelayError

QUICK = Backoff(0.01, maximum=0.05, factor=2, retries=12)
LEASE = 2
"""Seconds until a job whose run was lost is claimed again."""


@mutable
class Ledger:
    """The records of a test run with faults; safe to share between threads."""

    jobs: Queue[int, int] = field(factory=lambda: Queue("ledger", int, state=int))
    accepted: set[str] = field(factory=set)
    unsure: set[str] = field(factory=set)
    refused: set[str] = field(factory=set)
    runs: Counter[str] = field(factory=Counter)
    done: set[str] = field(factory=set)
    created: dict[str, object] = field(factory=dict)
    saved: dict[str, int] = field(factory=dict)
    again: int = 0
    wrong: list[str] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)

    def enqueued(self, id: str, error: RelayError | None) -> None:
        """Note how an enqueue ended."""
        with self._lock:
            if error is None:
                self.accepted.add(id)
            elif error.sent:
                self.unsure.add(id)
            else:
                self.refused.add(id)
            if isinstance(error, JobExistsError) and not error.sent:
                self.wrong.append(f"{id} was enqueued once: {error}")

    def begun(self, id: str, state: int | None, created: object) -> int:
        """Note that a run began, and give the state it is to save."""
        with self._lock:
            self.runs[id] += 1
            if self.created.setdefault(id, created) != created:
                # An enqueue whose reply was lost was sent again when the job was done already.
                self.saved.pop(id, None)
                self.created[id] = created
                self.again += 1
            if (state or 0) < self.saved.get(id, 0):
                self.wrong.append(f"{id} began with {state}, and {self.saved[id]} was saved")
            if id in self.refused:
                self.wrong.append(f"{id} ran, and was refused")
            return (state or 0) + 1

    def kept(self, id: str, state: int) -> None:
        """Note that a heartbeat with a state was acknowledged."""
        with self._lock:
            self.saved[id] = max(state, self.saved.get(id, 0))

    def ended(self, id: str) -> None:
        """Note that a handler came to its end."""
        with self._lock:
            self.done.add(id)

    def summary(self) -> str:
        """Count it all."""
        return (
            f"{len(self.accepted)} accepted, {len(self.unsure)} unsure, "
            f"{len(self.refused)} refused, {self.runs.total()} runs of {len(self.runs)}, "
            f"{self.again} enqueued again when done; wrong: {self.wrong}"
        )

    def check(self) -> None:
        """Hold all against each other, when the queue is empty."""
        assert not self.wrong
        assert self.accepted <= self.done, self.accepted - self.done
        assert self.done <= self.accepted | self.unsure
        assert not self.refused & set(self.runs)


class File:
    """The server's database, read directly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def jobs_left(self) -> int:
        """Count the jobs."""
        return int(self._read("SELECT count(*) FROM jobs")[0])

    def created_at(self, id: str) -> object:
        """Return when a job was enqueued."""
        return self._read("SELECT created_at FROM jobs WHERE id = ?", id)

    def _read(self, query: str, *values: str) -> Any:
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchone()


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition that must become true."""
    until = monotonic() + seconds
    while not true():
        assert monotonic() < until, f"not so within {seconds} s: {resources()}"
        sleep(0.02)


def resources() -> set[str]:
    """Return the names of the threads and sockets of this process."""
    names = {f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()}
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            names.add(os.readlink(f"/proc/self/fd/{number}"))
    # trio keeps its threads for ten seconds.
    return {name for name in names if name.startswith(("thread", "socket")) and "Trio" not in name}
