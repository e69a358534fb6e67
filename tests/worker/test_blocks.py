"""`with Worker(...)` and `async with AsyncWorker(...)` work until the block is left."""

import threading
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from relay_sdk import AsyncClient, AsyncWorker, Client, ClientStateError, Queue, Worker
from relay_sdk.local import App
from relay_sdk.testing import transport

from .harness import AnyWorker, Harness, Helper

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def working(worker: AnyWorker) -> AsyncIterator[object]:
    """Enter the block of either worker; threads are waited for without stopping the tasks."""
    if not isinstance(worker, AbstractContextManager):
        async with worker as entered:
            yield entered
        return
    entered = worker.__enter__()
    try:
        yield entered
    except BaseException as error:
        await anyio.to_thread.run_sync(worker.__exit__, type(error), error, error.__traceback__)
        raise
    await anyio.to_thread.run_sync(worker.__exit__, None, None, None)


async def test_it_works_in_the_block_and_has_ended_after_it(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue(Queue("q").job("a", 1))
    worker = harness.worker("q", handle)
    async with working(worker) as entered:
        assert entered is worker
        await harness.until(lambda: gate.waiting)
        gate.open()
    assert harness.jobs("q", "a") == []
    polls = harness.server.polls()
    harness.clock.advance(60)
    await anyio.wait_all_tasks_blocked()
    assert harness.server.polls() == polls


async def test_leaving_the_block_waits_for_running_jobs(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue(Queue("q").job("a", 1))
    async with working(harness.worker("q", handle)):
        await harness.until(lambda: gate.waiting)
        opener = threading.Timer(0.05, gate.open)
        opener.start()
    opener.join()
    assert harness.jobs("q", "a") == []


async def test_an_exception_in_the_block_comes_out_as_itself(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue(Queue("q").job("a", 1))
    error = LookupError()
    with pytest.raises(LookupError) as raised:
        async with working(harness.worker("q", handle)):
            await harness.until(lambda: gate.waiting)
            gate.open()
            raise error
    assert raised.value is error
    assert harness.jobs("q", "a") == []


async def test_a_worker_may_be_stopped_in_its_block(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue(Queue("q").job("a", 1))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=60)
    async with working(worker):
        await harness.until(lambda: gate.waiting)
        worker.stop()
        opener = threading.Timer(0.05, gate.open)
        opener.start()
    opener.join()
    assert harness.jobs("q", "a") == []


async def test_a_block_that_is_left_at_once_leaves_nothing(harness: Harness) -> None:
    async def handle(helper: Helper) -> None: ...

    before = set(threading.enumerate())
    async with working(harness.worker("q", handle)):
        pass
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert {name for name in left if not name.startswith("AnyIO")} == set()


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_block_may_be_cancelled(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        await anyio.sleep_forever()

    started: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1))
    tasks = len(anyio.get_running_tasks())
    with anyio.CancelScope() as scope:
        async with harness.worker("q", handle, graceful_shutdown_timeout=600):
            await harness.until(lambda: started)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert len(anyio.get_running_tasks()) == tasks
    assert harness.jobs("q", "a") == ["a"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_goes_wrong_comes_out_as_itself(backend: str) -> None:
    async def handle(helper: Any) -> None: ...

    async def run() -> None:
        with App() as app:
            http = httpx.AsyncClient(transport=transport(app))
            await http.aclose()
            await AsyncWorker(AsyncClient("http://server", http_client=http), "q", handle).run()

    with pytest.raises(ClientStateError, match="closed"):
        anyio.run(run, backend=backend)


async def test_what_ends_a_worker_early_comes_out_of_its_block(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None: ...

    worker = harness.worker("q", handle)
    worker.concurrency = 0
    with pytest.raises(ValueError, match="concurrency must be from 1"):
        async with working(worker):
            if harness.kind != "sync":
                await anyio.sleep(20)


async def test_an_exception_of_the_block_goes_before_that_of_the_worker(harness: Harness) -> None:
    async def handle(helper: Helper) -> None: ...

    worker = harness.worker("q", handle)
    worker.concurrency = 0
    with pytest.raises(LookupError):
        async with working(worker):
            raise LookupError


def test_a_worker_whose_client_is_closed_ends() -> None:
    relay = Client("http://server")
    relay.close()
    with pytest.raises(ClientStateError, match="closed"):
        Worker(relay, "q", print).run()
