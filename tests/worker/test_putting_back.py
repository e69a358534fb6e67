"""Jobs that a worker cannot finish are put back: the next worker has them at once, as they were."""

import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.from_thread
import httpx
import pytest

from relay_sdk import AsyncWorker, Queue

from .harness import Harness, Helper, maybe_await

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("api", ["v1", "v2"])]


def waiting(harness: Harness) -> list[tuple[str, object, int | None]]:
    """Who may be taken at once: id, state and max_retries."""
    jobs = [helper.job for helper in harness.producer.next("q", 10, timeout=0)]
    return sorted((job.id, job.state, job.max_retries) for job in jobs)


async def test_a_handler_that_is_told_to_stop_releases_its_job(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        await gate.passed()
        await maybe_await(helper.release(state={"page": 3}))

    gate = harness.gate()
    started: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600, max_retries=2))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=60)
    async with harness.running(worker):
        await harness.until(lambda: started)
        worker.stop()
        gate.open()
    assert waiting(harness) == [("a", {"page": 3}, 2)]
    assert harness.server.count("DELETE") == 0


@pytest.mark.parametrize("kind", ["sync"])
async def test_a_thread_that_does_not_end_has_its_job_put_back(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await maybe_await(helper.heartbeat({"page": 3}))
        await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue_batch(
        [Queue("q").job(id, 1, timeout=600, max_retries=0) for id in "ab"]
    )
    worker = harness.worker("q", handle, graceful_shutdown_timeout=0)
    thread = threading.Thread(target=worker.run)
    thread.start()
    await harness.until(lambda: gate.waiting == 2)
    worker.stop()
    await harness.until(lambda: not thread.is_alive(), tick=0.5)
    assert waiting(harness) == [("a", {"page": 3}, 0), ("b", {"page": 3}, 0)]
    gate.open()


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_coroutine_that_swallows_its_cancellation_is_not_taken_for_done(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        with anyio.CancelScope(shield=True):
            await maybe_await(helper.heartbeat({"page": 3}))
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return

    started: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=0)
    async with harness.running(worker):
        await harness.until(lambda: started)
        await harness.until(lambda: harness.server.count("PATCH"))
        worker.stop()
    assert harness.server.count("DELETE") == 0
    assert waiting(harness) == [("a", {"page": 3}, None)]


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_plain_function_that_ends_while_stopping_is_done_and_one_that_does_not_put_back(
    harness: Harness,
) -> None:
    def handle(helper: Any) -> None:
        helpers[helper.raw.id] = helper
        if helper.raw.id == "done":
            while not helper.stopping:
                go_on.wait(0.01)
        elif helper.raw.id == "released":
            while not helper.stopping:
                go_on.wait(0.01)
            anyio.from_thread.run(helper.release)
        else:
            assert go_on.wait(20)

    helpers: dict[str, Any] = {}
    go_on = threading.Event()
    ids = ["done", "released", "stuck"]
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in ids])
    worker = AsyncWorker(harness.client(), "q", handle, graceful_shutdown_timeout=10)
    async with harness.running(worker):
        await harness.until(lambda: len(helpers) == 3)
        worker.stop()
        await harness.until(lambda: not harness.jobs("q", "done"), tick=0.2)
        await harness.until(lambda: harness.server.count("PUT") == 2, tick=0.2)
    assert [id for id, _, _ in waiting(harness)] == ["released", "stuck"]
    go_on.set()


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_jobs_of_a_run_that_is_cancelled_from_outside_are_put_back(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        await anyio.sleep_forever()

    started: list[Helper] = []
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in "abc"])
    async with anyio.create_task_group() as group:
        group.start_soon(harness.worker("q", handle).run)
        await harness.until(lambda: len(started) == 3)
        group.cancel_scope.cancel()
    assert [id for id, _, _ in waiting(harness)] == ["a", "b", "c"]


async def test_a_job_that_failed_while_stopping_is_left_to_its_timeout_or_retried(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()
        raise LookupError

    gate = harness.gate()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=60)
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting)
        worker.stop()
        gate.open()
    assert waiting(harness) == []


@pytest.mark.parametrize(
    "trouble",
    [lambda _: httpx.Response(503), lambda _: httpx.Response(500, text="fault")],
    ids=["away", "broken"],
)
async def test_what_cannot_be_put_back_is_left_to_its_timeout_and_named(
    harness: Harness,
    trouble: Callable[[httpx.Request], httpx.Response],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        if harness.kind == "sync":
            await gate.passed()
        else:
            with anyio.CancelScope(shield=True):
                await gate.passed()

    gate = harness.gate()
    started: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=0)
    async with harness.running(worker):
        await harness.until(lambda: started)
        harness.server.trouble = trouble
        worker.stop()
        await harness.until(lambda: "it is left to its timeout" in caplog.text, tick=0.2)
        gate.open()
        harness.clock.advance(60)
    assert "job 'a' in queue 'q' still runs; it is left to its timeout" in caplog.text
    harness.server.trouble = lambda _: None
    assert harness.jobs("q", "a") == ["a"]


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_run_that_is_cancelled_while_it_stops_ends_at_once(harness: Harness) -> None:
    """As asyncio does at a second Ctrl-C: a server that hangs is not to be waited for."""

    async def handle(helper: Helper) -> None:
        started.append(helper)
        await anyio.sleep_forever()

    started: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=600)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await harness.until(lambda: started)
        worker.stop()
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert harness.server.count("PUT") == 0
    assert harness.jobs("q", "a") == ["a"]


async def test_a_job_that_is_done_is_not_put_back_when_only_its_completion_waits(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper)

    def busy(request: httpx.Request) -> httpx.Response | None:
        if request.method == "DELETE" and harness.server.count("DELETE") == 1:
            return httpx.Response(429, headers={"retry-after": "60"})
        return None

    done: list[Helper] = []
    harness.server.trouble = busy
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=0)
    async with harness.running(worker):
        await harness.until(lambda: harness.server.count("DELETE"))
        worker.stop()
        ended = harness.clock.monotonic() + 20
        await harness.until(lambda: harness.clock.monotonic() > ended, tick=0.2)
    assert waiting(harness) == []
