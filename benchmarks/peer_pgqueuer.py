"""pgqueuer in a benchmark: peer_pgqueuer.py WHAT NUMBER, with PostgreSQL at $PGDSN."""

import asyncio
import os
import signal
import sys
from contextlib import suppress

import asyncpg
import loads
import uvloop
from marks import writer
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries

NAME = "noop"
PAYLOAD = b'{"to": "ada@example.org", "subject": "Hello"}'


async def connect() -> AsyncpgDriver:
    return AsyncpgDriver(await asyncpg.connect(os.environ["PGDSN"]))


async def work(batch: int) -> None:
    note = writer()
    queue = PgQueuer(await connect())

    @queue.entrypoint(NAME)
    async def handle(_: Job) -> None:
        note()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queue.shutdown.set)
    await queue.run(batch_size=batch)


async def clear(_: int) -> None:
    """Drop and create the tables."""
    queries = Queries(await connect())
    with suppress(asyncpg.UndefinedObjectError, asyncpg.UndefinedTableError):
        await queries.uninstall()
    await queries.install()
    print("null")


async def fill(jobs: int) -> None:
    """Enqueue in batches of 1,000."""
    queries = Queries(await connect())
    await queries.enqueue(NAME, PAYLOAD)
    size = min(1000, jobs)
    with loads.measured(lambda: jobs):
        for _ in range(0, jobs, size):
            await queries.enqueue([NAME] * size, [PAYLOAD] * size, [0] * size)


async def enqueue(jobs: int) -> None:
    queries = Queries(await connect())
    await queries.enqueue(NAME, PAYLOAD)
    numbers = loads.Numbers(jobs, seconds=2)
    with loads.measured(numbers.given):
        await loads.by_tasks(1, numbers, lambda _: queries.enqueue(NAME, PAYLOAD))


def latencies(samples: int) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        queries = Queries(runner.run(connect()))
        loads.latencies(samples, lambda _: runner.run(queries.enqueue(NAME, PAYLOAD)))


if __name__ == "__main__":
    _, what, number = sys.argv
    if what == "latencies":
        latencies(int(number))
    else:
        programs = {"work": work, "clear": clear, "fill": fill, "enqueue": enqueue}
        uvloop.run(programs[what](int(number)))
