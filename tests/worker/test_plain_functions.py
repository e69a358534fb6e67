"""A plain function, or what only looks like one, as the handler of an AsyncWorker."""

import threading
from functools import partial
from typing import Any

import anyio
import anyio.from_thread
import pytest

from relay_sdk import AsyncWorker, JobLostError, Queue

from .harness import Harness

LEFT = "job 'a' in queue 'q' still runs; it is put back"

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", ["asyncio", "trio"])]


async def test_a_plain_function_runs_in_a_thread_and_blocks_no_other_job(harness: Harness) -> None:
    def block(helper: Any) -> None:
        threads.append(threading.current_thread())
        blocked.wait(20)

    async def quick(helper: Any) -> None:
        done.append(helper)

    threads: list[threading.Thread] = []
    blocked = threading.Event()
    done: list[Any] = []
    harness.producer.enqueue_batch([Queue("slow").job(str(n), 1) for n in range(3)])
    worker = AsyncWorker(harness.client(), "slow", block, concurrency=4).add("quick", quick)
    async with harness.running(worker):
        await harness.until(lambda: len(threads) == 3)
        assert threading.main_thread() not in threads
        harness.producer.enqueue(Queue("quick").job("a", 1))
        await harness.until(lambda: done, tick=0.1)
        blocked.set()
        await harness.until(lambda: not harness.jobs("slow", "0", "1", "2"))


async def test_a_plain_function_is_kept_alive_and_may_call_its_helper(harness: Harness) -> None:
    def handle(helper: Any) -> None:
        anyio.from_thread.run(helper.heartbeat, {"page": 1})
        waiting.set()
        assert go_on.wait(20)
        anyio.from_thread.run(helper.reschedule)

    waiting, go_on = threading.Event(), threading.Event()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    worker = AsyncWorker(harness.client(), "q", handle, concurrency=1)
    async with harness.running(worker):
        await harness.until(waiting.is_set)
        await harness.until(lambda: harness.server.count("PATCH") >= 4, tick=1)
        worker.stop()
        go_on.set()
    assert harness.producer.get("q", "a").state == {"page": 1}
    assert harness.server.count("PUT") == 1
    assert harness.server.count("DELETE") == 0


async def test_a_plain_function_sees_that_its_job_is_lost(harness: Harness) -> None:
    def handle(helper: Any) -> None:
        helpers.append(helper)
        assert go_on.wait(20)

    helpers: list[Any] = []
    go_on = threading.Event()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    async with harness.running(AsyncWorker(harness.client(), "q", handle)):
        await harness.until(lambda: helpers)
        harness.producer.remove("q", "a")
        await harness.until(lambda: helpers[0].lost, tick=1)
        go_on.set()
    assert harness.server.count("DELETE") == 0


async def test_a_plain_function_that_raises_is_reported(harness: Harness) -> None:
    def handle(helper: Any) -> None:
        raise LookupError

    async def report(helper: Any, error: Exception) -> None:
        reports.append((helper.raw.id, type(error)))

    reports: list[Any] = []
    harness.producer.enqueue(Queue("q").job("a", 1))
    async with harness.running(AsyncWorker(harness.client(), "q", handle, on_error=report)):
        await harness.until(lambda: reports)
    assert reports == [("a", LookupError)]
    assert harness.jobs("q", "a") == ["a"]


async def test_a_plain_function_is_told_of_the_stop_and_its_job_then_put_back(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(helper: Any) -> None:
        helpers.append(helper)
        assert go_on.wait(20)

    helpers: list[Any] = []
    go_on = threading.Event()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = AsyncWorker(harness.client(), "q", handle, graceful_shutdown_timeout=10)
    async with harness.running(worker):
        await harness.until(lambda: helpers)
        worker.stop()
        await harness.until(lambda: helpers[0].stopping, tick=0.2)
        await harness.until(lambda: LEFT in caplog.text, tick=0.2)
    go_on.set()
    assert harness.jobs("q", "a") == ["a"]


class Handler:
    """An object whose call is a coroutine, as is that of the functions made from it."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.ended: list[type[BaseException]] = []

    async def __call__(self, helper: Any) -> None:
        self.started.append(helper)
        try:
            await anyio.sleep_forever()
        except BaseException as error:
            self.ended.append(type(error))
            raise


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda handler: handler, id="object"),
        pytest.param(lambda handler: lambda helper: handler(helper), id="lambda"),
        pytest.param(lambda handler: partial(handler), id="partial"),
        pytest.param(lambda handler: handler.__call__, id="method"),
    ],
)
async def test_whatever_gives_an_awaitable_is_cancelled_when_its_job_is_lost(
    harness: Harness, made: Any
) -> None:
    async def report(helper: Any, error: Exception) -> None:
        errors.append(error)

    handler = Handler()
    errors: list[Exception] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    async with harness.running(AsyncWorker(harness.client(), "q", made(handler), on_error=report)):
        await harness.until(lambda: handler.started)
        harness.producer.remove("q", "a")
        await harness.until(lambda: handler.started[0].lost, tick=1)
        await harness.until(lambda: errors)
    assert isinstance(errors[0], JobLostError)


async def test_where_the_system_has_few_threads_each_job_is_done_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handle(helper: Any) -> None:
        done.append(helper.raw.id)

    def start(thread: threading.Thread) -> None:
        nonlocal left
        if not left:
            raise RuntimeError("can't start new thread")
        left -= 1
        before(thread)

    async def report(helper: Any, error: Exception) -> None:
        errors.append(error)

    if harness.kind == "trio":
        pytest.skip("anyio's runner of tests has trio wait in threads; see test_no_threads.py")
    left, before = 2, threading.Thread.start
    done: list[str] = []
    errors: list[Exception] = []
    ids = [f"{number:02}" for number in range(50)]
    worker = AsyncWorker(harness.client(), "q", handle, concurrency=8, on_error=report)
    async with harness.running(worker):
        await harness.until(lambda: harness.server.polls())
        monkeypatch.setattr(threading.Thread, "start", start)
        harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in ids])
        await harness.until(lambda: len(done) == len(ids), tick=0.05)
        await harness.until(lambda: not harness.jobs("q", *ids), tick=0.05)
        monkeypatch.undo()
    assert sorted(done) == ids
    assert errors == []
