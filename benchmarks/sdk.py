"""Measure relay-job-sdk against its local server, on a file with synced commits."""

import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from typing import NamedTuple

import import_time
from attrs import evolve, frozen
from bench import PYTHON, Bench, Sample, one
from children import HERE, START, first_line, running, wait_until
from marks import Marks

from relay_sdk import Client, Queue

PROGRAM = HERE / "relay.py"
WORKERS = {"tasks": "AsyncWorker", "threads": "Worker"}
DRAINS = [("tasks", 10), ("tasks", 50), ("tasks", 200), ("threads", 8), ("threads", 32)]
ENQUEUES = [("tasks", 1), ("tasks", 32), ("threads", 1), ("threads", 8)]
IMPORTS = ("import relay_sdk", "from relay_sdk import Client", "from relay_sdk import AsyncWorker")
BATCH = 1000
PAYLOAD = {"to": "ada@example.org", "subject": "Hello"}


@frozen
class Variant:
    """The event loop of the programs that use the SDK."""

    loop: str

    @property
    def who(self) -> str:
        return "relay-job-sdk on uvloop" if self.loop == "uvloop" else "relay-job-sdk"

    def env(self, url: str) -> dict[str, str]:
        return {"RELAY_URL": url, "LOOP": self.loop}


VARIANTS = [Variant("asyncio"), Variant("uvloop")]


def runs(kind: str) -> list[Variant]:
    """Return the variants to measure. The event loop makes no difference to threads."""
    return [variant for variant in VARIANTS if kind == "tasks" or variant.loop == "asyncio"]


@contextmanager
def server(bench: Bench, *options: str) -> Generator[str]:
    """Serve a new file, as a user would, and yield the URL."""
    db = bench.path("relay.db")
    serve = (PYTHON, "-m", "relay_sdk.local", "--db", str(db), "--port", "0")
    with running(*serve, *options, log=bench.log) as process:
        yield first_line(process)


Measure = Callable[[str], Iterator[Sample]]


def measures(bench: Bench) -> list[Measure]:
    """Return the functions that measure, each called with the URL of the server of the round."""
    return [
        *(
            partial(drain, bench, variant, kind, at_once)
            for kind, at_once in DRAINS
            for variant in runs(kind)
        ),
        *(
            partial(enqueue, bench, variant, kind, at_once)
            for kind, at_once in ENQUEUES
            for variant in runs(kind)
        ),
        *(partial(batches, bench, variant) for variant in runs("threads")),
        partial(latencies, bench),
        partial(raw, bench),
        imports,
        *([partial(codecs, bench)] if (HERE / "codec.py").exists() else []),
    ]


def drain(bench: Bench, variant: Variant, kind: str, at_once: int, url: str) -> Iterator[Sample]:
    queue, jobs = f"drain-{variant.loop}-{kind}-{at_once}", bench.size.jobs
    emails = Queue(queue, payload=dict[str, str])
    with Client(url) as relay:
        for first in range(0, jobs, BATCH):
            relay.enqueue_batch(
                emails.job(str(n), PAYLOAD) for n in range(first, min(jobs, first + BATCH))
            )
        in_hand = 2 * at_once  # as many jobs again may have returned without being completed yet
        figures = bench.drain(
            *program("work", queue, kind, at_once), env=variant.env(url), in_hand=in_hand
        )
        if figures["jobs"] == [jobs]:  # the worker has stopped by itself
            left = [n for n in random.sample(range(jobs), 20) if relay.exists(emails, str(n))]
            if left:
                raise RuntimeError(f"jobs {left} in {queue} were run and not completed")
    yield Sample("drain", f"{WORKERS[kind]}, {at_once} at once", variant.who, figures)


def enqueue(bench: Bench, variant: Variant, kind: str, at_once: int, url: str) -> Iterator[Sample]:
    queue = f"enqueue-{variant.loop}-{kind}-{at_once}"
    command = program("enqueue", queue, kind, at_once)
    seconds = bench.size.enqueue_seconds
    done = bench.call(
        *command, "--jobs", "1000000", "--seconds", f"{seconds}", env=variant.env(url)
    )
    what = f"one by one, {at_once} {kind if at_once > 1 else kind.removesuffix('s')}"
    yield Sample("enqueue", what, variant.who, one(done))


def batches(bench: Bench, variant: Variant, url: str) -> Iterator[Sample]:
    jobs = 5 * bench.size.jobs
    command = program("batches", f"batches-{variant.loop}", "threads", min(BATCH, jobs))
    done = bench.call(*command, "--jobs", f"{jobs}", "--seconds", "10", env=variant.env(url))
    yield Sample("enqueue", f"batches of {BATCH:,}", variant.who, one(done))


def latencies(bench: Bench, url: str) -> Iterator[Sample]:
    """Measure workers that are all idle, one of which gets a job from time to time."""
    with idle_workers(bench, "latency", url) as workers:
        files = [str(worker.marks.path) for worker in workers]
        command = (PYTHON, PROGRAM, "latencies", "latency", "--jobs", f"{bench.size.latencies}")
        samples = bench.call(*command, "--marks", *files, env={"RELAY_URL": url})
    for worker, taken in zip(workers, samples, strict=True):
        yield Sample("latency", worker.what, worker.who, {"sample_ms": taken})


def idle(bench: Bench) -> Iterator[Sample]:
    """Count the requests of idle workers in the log of a separate server."""
    path = bench.path("server.log")
    with (
        path.open("w") as log,
        server(evolve(bench, log=log), "--log-level", "debug") as url,
        idle_workers(bench, "idle", url) as workers,
    ):

        def requests(worker: Idle) -> int:
            return path.read_text().count(f"/queues/{worker.queue}/jobs")

        with Client(url) as relay:
            for worker in workers:
                relay.enqueue(Queue(worker.queue, payload=dict[str, str]).job("first", PAYLOAD))
        wait_until(lambda: all(len(worker.marks) for worker in workers), START, "the first job")
        time.sleep(2)  # the job is completed, and the backoff has grown
        before = [requests(worker) for worker in workers]
        time.sleep(bench.size.window)
        for worker, earlier in zip(workers, before, strict=True):
            made = requests(worker) - earlier
            in_ten = made * 10 / bench.size.window
            yield Sample("idle", worker.what, worker.who, {"requests": [in_ten]})


class Idle(NamedTuple):
    """A worker without jobs."""

    queue: str
    what: str
    who: str
    marks: Marks


@contextmanager
def idle_workers(bench: Bench, name: str, url: str) -> Generator[list[Idle]]:
    """Start workers of each kind and variant, each with a separate queue."""
    workers: list[Idle] = []
    with ExitStack() as stack:
        for kind, variant in ((name, each) for name in WORKERS for each in runs(name)):
            queue = f"{name}.{len(workers)}"
            worker = Idle(queue, WORKERS[kind], variant.who, bench.marks())
            command = program("work", worker.queue, kind, 10)
            env = variant.env(url) | {"MARKS": str(worker.marks.path)}
            stack.enter_context(running(*command, env=env, log=bench.log))
            workers.append(worker)
        yield workers


def raw(bench: Bench, url: str) -> Iterator[Sample]:
    done = bench.call(PYTHON, HERE / "raw.py", url, f"{bench.size.jobs}", env={})
    for what, figures in done.items():
        yield Sample("server", what, "local server", one(figures))


def imports(_: str) -> Iterator[Sample]:
    """Measure imports, minus the imports that a typed HTTP client needs anyway."""
    base = import_time.milliseconds(import_time.BASE)
    for statement in IMPORTS:
        added = import_time.milliseconds(statement) - base
        yield Sample("import", statement, "relay-job-sdk", {"added_ms": [added]})


def codecs(bench: Bench, _: str) -> Iterator[Sample]:
    """Measure the CPU time of the SDK per job, in this process and without a server."""
    codec = import_module("codec")
    for kind in ("plain JSON", "dataclass"):
        stages = codec.stages(*codec.PAYLOADS[kind])
        for stage in ("send", "receive"):
            taken = [codec.microseconds(stages[stage]) for _ in range(bench.size.repeats)]
            yield Sample("codec", f"{stage}, {kind}", "relay-job-sdk", {"us": taken})


def program(what: str, queue: str, kind: str, at_once: int) -> tuple[str, ...]:
    options = ("--kind", kind, "--at-once", f"{at_once}")
    return (PYTHON, str(PROGRAM), what, queue, *options)
