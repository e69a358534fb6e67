"""The load of a producer and its output, the same for all systems."""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from threading import Thread

from marks import Marks, wait_for

IDLE = float(os.environ.get("IDLE", "0.5"))  # seconds without a job before each sample of latency
LATE = 20  # seconds


def cpu() -> float:
    usage = getrusage(RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def measured(done: Callable[[], int]) -> Iterator[None]:
    """Print the rate per second, and the CPU time of this process per job."""
    began, worked = time.perf_counter(), cpu()
    yield
    seconds, worked, number = time.perf_counter() - began, cpu() - worked, done()
    print(json.dumps({"per_second": number / seconds, "cpu_us": worked / number * 1e6}))


class Numbers:
    """Numbers for jobs, shared by threads or tasks, until a limit or a duration is reached."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._count = count()
        self._limit = limit
        self._until = time.monotonic() + seconds
        self._given: list[int] = []

    def __iter__(self) -> Iterator[int]:
        while time.monotonic() < self._until and (number := next(self._count)) < self._limit:
            self._given.append(number)
            yield number

    def given(self) -> int:
        """Return how many numbers were used."""
        return len(self._given)


def by_threads(threads: int, numbers: Numbers, enqueue: Callable[[int], object]) -> None:
    def go() -> None:
        for number in numbers:
            enqueue(number)

    started = [Thread(target=go) for _ in range(threads - 1)]
    for thread in started:
        thread.start()
    go()
    for thread in started:
        thread.join()


async def by_tasks(
    tasks: int, numbers: Numbers, enqueue: Callable[[int], Awaitable[object]]
) -> None:
    async def go() -> None:
        for number in numbers:
            await enqueue(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(go())


def latency(number: int, enqueue: Callable[[int], object], marks: Marks, idle: float) -> float:
    """Return the ms from the call of `enqueue` to the start of the handler in an idle worker.

    The worker is idle for `idle` seconds, plus or minus a third, to be out of step with its polls.
    """
    time.sleep(idle * random.uniform(2 / 3, 4 / 3))
    seen = len(marks)
    began = time.monotonic_ns()
    enqueue(number)
    wait_for(marks, seen + 1, LATE)
    return (marks.times()[-1] - began) / 1e6


def latencies(samples: int, enqueue: Callable[[int], object]) -> None:
    """Print the latencies of the worker whose file is $MARKS."""
    marks = Marks(Path(os.environ["MARKS"]))
    latency(-1, enqueue, marks, IDLE)  # the first one opens the connections
    print(json.dumps([latency(n, enqueue, marks, IDLE) for n in range(samples)]))


def produce(enqueue: Callable[[int], object]) -> None:
    """Run the command in `sys.argv` with a synchronous producer."""
    _, what, number = sys.argv
    if what == "latencies":
        latencies(int(number), enqueue)
        return
    enqueue(-1)
    numbers = Numbers(int(number), seconds=30)
    with measured(numbers.given):
        by_threads(1, numbers, enqueue)
