"""Measure the cost of an `AsyncWorker` without a server or HTTP: a stub answers each request.

python benchmarks/running.py [drain | running] [JOBS]

`drain` claims, runs and completes jobs that do nothing. It prints the CPU time per job, and that of
the same two requests without a worker. `running` runs jobs at the same time, each of which needs a
heartbeat per second, and ends all of them at once. It prints how late the event loop and the
heartbeats were, and the memory per job. On a busy machine the loop is late for lack of a processor:
then compare the CPU time between two of its checks, which is 5 ms plus the delay.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median, quantiles

import anyio

from relay_sdk import AsyncClient, AsyncJobHelper, AsyncWorker
from relay_sdk._base.flow import Request, Response
from relay_sdk._engine.operations import complete
from relay_sdk._engine.polling import poll

JOB = (
    '{{"queue":"q","id":"{0}","timeout":3,"max_retries":null,"payload":1,"state":null,'
    '"run_at":"2030-01-01T00:00:00Z","updated_at":"2030-01-01T00:00:00Z",'
    '"created_at":"2030-01-01T00:00:00Z","run_id":"01234567-89ab-cdef-0123-{0:012}"}}'
)
TIMEOUT = 3.0
TICK = 0.005
SECONDS = 20


class Stub:
    """A server for a number of jobs, which replies after one iteration of the event loop."""

    url = "http://stub"

    def __init__(self, jobs: int) -> None:
        self.jobs = [JOB.format(number) for number in range(jobs)]
        self.number = jobs
        self.ended = 0
        self.all_ended = asyncio.Event()
        self.polls = 0
        self.beats = dict[str, float]()
        self.gaps: list[float] = []

    async def send(self, call: Request) -> Response:
        await asyncio.sleep(0)
        if call.method == "GET":
            self.polls += 1
            number = int(call.target.rpartition("num_jobs=")[2])
            batch, self.jobs = self.jobs[:number], self.jobs[number:]
            return (
                Response(200, {}, f"[{','.join(batch)}]".encode())
                if batch
                else Response(204, {}, b"")
            )
        if call.method == "PATCH":
            now = time.monotonic()
            if before := self.beats.get(call.target):
                self.gaps.append(now - before)
            self.beats[call.target] = now
            return Response(202, {}, b"")
        self.ended += 1
        if self.ended == self.number:
            self.all_ended.set()
        return Response(200, {}, b"")

    def describe(self) -> str:
        return "a stub"

    async def aclose(self) -> None: ...


async def with_stub(jobs: int, work: Callable[[AsyncClient, Stub], Awaitable[None]]) -> Stub:
    stub = Stub(jobs)
    async with AsyncClient(Stub.url, api="v2") as client:
        client._driver.http = stub  # type: ignore[assignment]
        await work(client, stub)
    return stub


async def worker(client: AsyncClient, stub: Stub, concurrency: int) -> None:
    async def handle(_: AsyncJobHelper) -> None: ...

    async with AsyncWorker(client, "q", handle, concurrency=concurrency):
        await stub.all_ended.wait()


async def exchanges(client: AsyncClient, stub: Stub, concurrency: int) -> None:
    driver = client._driver

    async def complete_all() -> None:
        while raws:
            await driver.run(complete(driver.config, raws.pop()))

    while stub.jobs:
        raws, _ = await driver.run(poll(driver.config, "q", concurrency))
        await asyncio.gather(*(complete_all() for _ in range(min(concurrency, 50))))


def drain(jobs: int) -> None:
    print(f"{jobs} jobs that do nothing: CPU time of each, in µs (median of 5)")
    for concurrency in (10, 100, 1000):
        taken: dict[str, list[float]] = {"worker": [], "exchanges": []}
        polls = 0
        for _ in range(5):
            for name, work in (("worker", worker), ("exchanges", exchanges)):
                began = time.process_time()
                stub = anyio.run(
                    with_stub, jobs, lambda c, s, work=work, n=concurrency: work(c, s, n)
                )
                taken[name].append((time.process_time() - began) / jobs * 1e6)
                polls = stub.polls if name == "worker" else polls
        both, alone = median(taken["worker"]), median(taken["exchanges"])
        print(
            f"{concurrency:5} at a time: {both:6.1f}, of which exchanges {alone:5.1f}, "
            f"the worker {both - alone:5.1f}; {polls} requests for jobs"
        )


async def run_at_once(client: AsyncClient, stub: Stub) -> None:
    jobs = len(stub.jobs)
    running, ending = asyncio.Barrier(jobs + 1), asyncio.Event()

    async def handle(_: AsyncJobHelper) -> None:
        await running.wait()
        await ending.wait()

    async def lag(late: list[tuple[float, float]]) -> None:
        while True:
            began, used = time.monotonic(), time.process_time()
            await asyncio.sleep(TICK)
            late.append((time.monotonic() - began - TICK, time.process_time() - used))

    def say(what: str, late: list[tuple[float, float]]) -> None:
        print(what)
        for name, column in (("late by", 0), ("busy for", 1)):
            times = [each[column] for each in late] + [0.0, 0.0]
            last = quantiles(times, n=100, method="inclusive")[98]
            print(f"  event loop {name} p99 {last * 1e3:.1f} ms, {max(times) * 1e3:.1f} at most")

    phases: dict[str, list[tuple[float, float]]] = {"taking": [], "running": [], "ending": []}
    memory = rss()
    async with AsyncWorker(client, "q", handle, concurrency=jobs):
        for phase, late in phases.items():
            watch = asyncio.create_task(lag(late))
            began, used = time.monotonic(), time.process_time()
            if phase == "taking":
                await running.wait()
                memory = rss() - memory
            elif phase == "running":
                await asyncio.sleep(SECONDS)
                gaps = list(stub.gaps)
            else:
                ending.set()
                await stub.all_ended.wait()
            took, used = time.monotonic() - began, time.process_time() - used
            watch.cancel()
            say(f"{phase} ({took:.2f} s, {used:.2f} of CPU)", late)
    late_running, late_end = (max(each) - TIMEOUT / 3 for each in (gaps, stub.gaps))
    print(
        f"{len(gaps) / SECONDS:.0f} heartbeats/s, late by at most {late_running:.3f} s while "
        f"all run, by {late_end:.3f} s when they end"
    )
    print(f"{memory / jobs:.1f} KB a job")


def rss() -> float:
    """Return the peak memory so far, in KB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "both"
    jobs = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    if what in ("drain", "both"):
        drain(jobs)
    if what in ("running", "both"):
        print(f"{jobs} jobs at once, a timeout of {TIMEOUT:g} s")
        anyio.run(with_stub, jobs, run_at_once)


if __name__ == "__main__":
    main()
