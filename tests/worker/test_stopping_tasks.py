"""What an AsyncWorker adds when it stops: handlers are cancelled, and so may `run` itself be."""

import threading
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from relay_sdk import Queue

from .harness import Gate, Harness, Helper

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", ["asyncio", "trio"])]


async def test_after_the_grace_a_handler_is_cancelled_and_its_job_named_and_put_back(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        try:
            await anyio.sleep_forever()
        finally:
            ended.append((harness.clock.monotonic(), helper.stopping))

    started: list[Helper] = []
    ended: list[tuple[float, bool]] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=30)
    async with harness.running(worker):
        await harness.until(lambda: started)
        began = harness.clock.monotonic()
        worker.stop()
        await harness.until(lambda: ended, tick=0.2)
    ((when, stopping),) = ended
    assert 30 <= when - began < 34
    assert stopping
    assert "job 'a' in queue 'q' was cancelled; it is put back" in caplog.text
    assert [helper.raw.id for helper in harness.producer.next("q", timeout=0)] == ["a"]


async def test_a_cancelled_handler_may_save_its_state_in_a_shield(harness: Harness) -> None:
    async def handle(helper: Any) -> None:
        started.append(helper)
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await helper.heartbeat({"page": 3})

    started: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=0)
    async with harness.running(worker):
        await harness.until(lambda: started)
        worker.stop()
    assert harness.producer.get("q", "a").state == {"page": 3}


async def test_a_handler_that_does_not_end_after_that_is_left_and_named(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        while not harness.clock.monotonic() > 100:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                cancelled.append(helper)
                if len(cancelled) == 2:
                    raise

    started: list[Helper] = []
    cancelled: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=0)
    async with harness.running(worker):
        await harness.until(lambda: started)
        worker.stop()
        await harness.until(lambda: len(cancelled) == 2, tick=0.5)
    assert "job 'a' in queue 'q'" in caplog.text
    assert harness.jobs("q", "a") == ["a"]


async def test_run_may_be_cancelled_from_outside_and_leaves_nothing_behind(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper.raw.id)
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(helper.raw.id)

    started: list[str] = []
    ended: list[str] = []
    harness.producer.enqueue_batch([Queue("q").job(str(n), 1, timeout=600) for n in range(5)])
    threads = set(threading.enumerate())
    tasks = len(anyio.get_running_tasks())
    async with anyio.create_task_group() as group:
        group.start_soon(harness.worker("q", handle).run)
        await harness.until(lambda: len(started) == 5)
        group.cancel_scope.cancel()
    assert sorted(ended) == sorted(started)
    assert len(anyio.get_running_tasks()) == tasks
    left = {thread.name for thread in set(threading.enumerate()) - threads}
    assert {name for name in left if not name.startswith("Trio")} == set()
    for id in started:
        assert f"job '{id}' in queue 'q'" in caplog.text
    assert harness.server.count("DELETE") == 0


async def test_run_may_be_cancelled_while_it_waits_for_a_reply(harness: Harness) -> None:
    async def handle(helper: Helper) -> None: ...

    def delay(request: object) -> Gate:
        return gate

    gate = harness.gate()
    harness.server.delay = delay
    async with anyio.create_task_group() as group:
        group.start_soon(harness.worker("q", handle).run)
        await harness.until(lambda: gate.waiting)
        group.cancel_scope.cancel()


async def test_no_task_is_left(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(5)])
    before = len(anyio.get_running_tasks())
    worker = harness.worker("q", handle)
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting == 5)
        worker.stop()
        gate.open()
    assert len(anyio.get_running_tasks()) == before


async def test_jobs_that_come_while_run_is_cancelled_from_outside_do_not_outlive_it(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        await anyio.sleep(0.02)
        outlived.append(helper)

    async def cancel_and_answer(request: httpx.Request) -> httpx.Response:
        response = await answer(request)
        if request.method == "GET" and "num_jobs=0" not in str(request.url):
            scope.cancel()
            with anyio.CancelScope(shield=True):  # as it is when the reply is there already
                for _ in range(10):
                    await anyio.lowlevel.checkpoint()
        return response

    outlived: list[Helper] = []
    answer = harness.server.handle_async_request
    harness.server.handle_async_request = cancel_and_answer  # type: ignore[method-assign]
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    with anyio.CancelScope() as scope:
        await harness.worker("q", handle).run()
    await anyio.sleep(0.1)
    assert outlived == []
    assert harness.jobs("q", "a") == ["a"]
