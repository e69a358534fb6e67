"""The program that runs relay-job-sdk in a benchmark, with the server at $RELAY_URL."""

import argparse
import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path

import loads
from marks import Marks, writer

from relay_sdk import (
    AsyncClient,
    AsyncJobHelper,
    AsyncWorker,
    Client,
    JobHelper,
    Queue,
    Worker,
)

PAYLOAD = {"to": "ada@example.org", "subject": "Hello"}
Payload = dict[str, str]
Emails = Queue[Payload, None]


class Options(argparse.Namespace):
    what: str
    queue: str
    kind: str
    at_once: int
    jobs: int
    seconds: float
    marks: list[str]


def declared(name: str) -> Emails:
    """Declare a queue once, as programs do, since it costs as much as sending several jobs."""
    return Queue(name, payload=Payload)


def work(options: Options) -> None:
    note, queue = writer(), declared(options.queue)

    def handle(_: JobHelper[Payload]) -> None:
        note()

    with Client() as relay:
        Worker(relay, queue, handle, concurrency=options.at_once).run()


async def work_in_tasks(options: Options) -> None:
    note, queue = writer(), declared(options.queue)

    async def handle(_: AsyncJobHelper[Payload]) -> None:
        note()

    async with AsyncClient() as relay:
        await AsyncWorker(relay, queue, handle, concurrency=options.at_once).run()


def enqueue_one(relay: Client, queue: Emails, number: int) -> None:
    relay.enqueue(queue.job(str(number), PAYLOAD))


def enqueue(options: Options) -> None:
    queue = declared(options.queue)
    with Client() as relay:
        enqueue_one(relay, queue, -1)  # opens the connection
        numbers = loads.Numbers(options.jobs, options.seconds)
        with loads.measured(numbers.given):
            loads.by_threads(options.at_once, numbers, partial(enqueue_one, relay, queue))


async def enqueue_in_tasks(options: Options) -> None:
    queue = declared(options.queue)
    async with AsyncClient() as relay:
        await relay.enqueue(queue.job("-1", PAYLOAD))
        numbers = loads.Numbers(options.jobs, options.seconds)
        with loads.measured(numbers.given):
            await loads.by_tasks(
                options.at_once, numbers, lambda n: relay.enqueue(queue.job(str(n), PAYLOAD))
            )


def batches(options: Options) -> None:
    """Enqueue jobs in batches of `--at-once`."""
    size, queue = options.at_once, declared(options.queue)
    with Client() as relay:
        enqueue_one(relay, queue, -1)
        numbers = loads.Numbers(options.jobs // size, options.seconds)
        with loads.measured(lambda: numbers.given() * size):
            for number in numbers:
                first = number * size
                relay.enqueue_batch(queue.job(str(n), PAYLOAD) for n in range(first, first + size))


def latencies(options: Options) -> None:
    """Print `--jobs` samples of each queue: QUEUE.0, QUEUE.1, ..., one for each of `--marks`."""
    all_marks = [Marks(Path(path)) for path in options.marks]
    queues = [declared(f"{options.queue}.{index}") for index in range(len(all_marks))]
    samples: list[list[float]] = [[] for _ in all_marks]
    with Client() as relay:
        for n in range(-1, options.jobs):
            for index, marks in enumerate(all_marks):
                enqueue = partial(enqueue_one, relay, queues[index])
                taken = loads.latency(n, enqueue, marks, loads.IDLE / len(samples))
                if n >= 0:  # the first one opens the connections
                    samples[index].append(taken)
    print(json.dumps(samples))


PROGRAMS: dict[tuple[str, str], Callable[[Options], Coroutine[None, None, None] | None]] = {
    ("work", "threads"): work,
    ("work", "tasks"): work_in_tasks,
    ("enqueue", "threads"): enqueue,
    ("enqueue", "tasks"): enqueue_in_tasks,
    ("batches", "threads"): batches,
    ("latencies", "threads"): latencies,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=sorted({what for what, _ in PROGRAMS}))
    parser.add_argument("queue")
    parser.add_argument("--kind", choices=["threads", "tasks"], default="threads")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--marks", nargs="*", default=[])
    options = parser.parse_args(namespace=Options())
    running = PROGRAMS[options.what, options.kind](options)
    if running is not None and os.environ.get("LOOP") == "uvloop":
        import uvloop

        uvloop.run(running)
    elif running is not None:
        asyncio.run(running)


if __name__ == "__main__":
    main()
