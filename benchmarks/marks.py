"""The job that every system runs: it notes when it ran, and does nothing else.

Eight bytes at the end of one file, so that a worker of several processes is counted like one.
"""

import os
import time
from array import array
from collections.abc import Callable
from pathlib import Path


def writer() -> Callable[[], None]:
    """Give the job; $MARKS names its file."""
    file = os.open(os.environ["MARKS"], os.O_WRONLY | os.O_APPEND)
    return lambda: write(file)


def write(file: int) -> None:
    os.write(file, time.monotonic_ns().to_bytes(8, "little"))


class Marks:
    """When each job ran, as far as is known by now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch(mode=0o666)

    def __len__(self) -> int:
        return self.path.stat().st_size // 8

    def times(self) -> list[int]:
        """Give nanoseconds of the clock that all processes share, in order."""
        return sorted(array("Q", self.path.read_bytes()))


def wait_for(marks: Marks, count: int, seconds: float) -> None:
    """Wait until so many jobs have run."""
    until = time.monotonic() + seconds
    while len(marks) < count:
        if time.monotonic() > until:
            raise TimeoutError(f"{len(marks)} of {count} jobs ran within {seconds:g} s")
        time.sleep(0.001)


def rate(times: list[int], in_hand: int) -> float:
    """Give how many jobs were completed a second, from when so many were first in hand.

    Before that none need be completed; then each that begins stands for one that was.
    """
    return (len(times) - in_hand) / (times[-1] - times[in_hand - 1]) * 1e9
