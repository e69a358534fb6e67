"""The job that every system runs: it only records when it ran.

It appends eight bytes to one file, so that a worker of several processes is counted like one.
"""

import os
import time
from array import array
from collections.abc import Callable
from pathlib import Path


def writer() -> Callable[[], None]:
    """Return the job. $MARKS names its file."""
    file = os.open(os.environ["MARKS"], os.O_WRONLY | os.O_APPEND)
    return lambda: write(file)


def write(file: int) -> None:
    os.write(file, time.monotonic_ns().to_bytes(8, "little"))


class Marks:
    """The times at which jobs have run so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch(mode=0o666)

    def __len__(self) -> int:
        return self.path.stat().st_size // 8

    def times(self) -> list[int]:
        """Return the sorted times, in nanoseconds of the clock that all processes share."""
        return sorted(array("Q", self.path.read_bytes()))


def wait_for(marks: Marks, count: int, seconds: float) -> None:
    """Wait until `count` jobs have run."""
    until = time.monotonic() + seconds
    while len(marks) < count:
        if time.monotonic() > until:
            raise TimeoutError(f"{len(marks)} of {count} jobs ran within {seconds:g} s")
        time.sleep(0.001)


def rate(times: list[int], in_hand: int) -> float:
    """Return the jobs completed per second, after the first `in_hand` have started.

    None of those needs to be completed. From then on, each job that starts implies that another was
    completed.
    """
    return (len(times) - in_hand) / (times[-1] - times[in_hand - 1]) * 1e9
