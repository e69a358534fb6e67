"""A worker that is to stop takes nothing more, lets its jobs end, and loses none from sight."""

import logging
import threading

import anyio
import httpx
import pytest

from relay_sdk import Queue

from .harness import PATIENCE, Gate, Harness, Helper, maybe_await

pytestmark = pytest.mark.anyio


async def test_running_jobs_are_finished_and_nothing_more_is_taken(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(10)])
    worker = harness.worker("q", handle, concurrency=4)
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting == 4)
        worker.stop()
        polls = harness.server.polls()
        gate.open()
    assert harness.server.polls() == polls == [4]
    assert len(harness.jobs("q", *map(str, range(10)))) == 6
    assert gate.waiting == 4


async def test_jobs_that_come_in_the_moment_of_stopping_are_put_back(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        ran.append(helper.raw.id)

    def delay(request: httpx.Request) -> Gate | None:
        return gate if request.method == "GET" else None

    ran: list[str] = []
    gate = harness.gate()
    harness.server.delay = delay
    harness.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(3)])
    worker = harness.worker("q", handle, concurrency=4).add("other", harness.adapted(handle))
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting)
        worker.stop()
        assert ran == []
        gate.open()
    assert ran == []
    assert harness.server.polls() == [4]
    assert len(harness.producer.next("q", 5, timeout=0)) == 3


async def test_a_handler_may_end_while_stopping(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gates[helper.raw.id].passed()

    gates = {"a": harness.gate(), "b": harness.gate()}
    harness.producer.enqueue_batch([Queue("q").job(id, 1) for id in gates])
    worker = harness.worker("q", handle, graceful_shutdown_timeout=60)
    async with harness.running(worker):
        await harness.until(lambda: all(gate.waiting for gate in gates.values()))
        worker.stop()
        gates["a"].open()
        await harness.until(lambda: harness.jobs("q", "a", "b") == ["b"])
        harness.clock.advance(30)
        gates["b"].open()
    assert harness.jobs("q", "a", "b") == []


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
async def test_a_handler_that_raises_no_exception_delays_no_stop(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        raise pytest.fail.Exception  # a BaseException

    started: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1))
    with anyio.fail_after(PATIENCE):
        async with harness.running(
            harness.worker("q", handle, graceful_shutdown_timeout=2 * PATIENCE)
        ):
            await harness.until(lambda: started)
    assert harness.jobs("q", "a") == ["a"]


async def test_stopping_twice_does_not_cut_the_grace_short(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        await gate.passed()

    caplog.set_level(logging.INFO, "relay_sdk")
    started: list[Helper] = []
    gate = harness.gate()
    harness.producer.enqueue(Queue("q").job("a", 1))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=60)
    async with harness.running(worker):
        await harness.until(lambda: started)
        worker.stop()
        await harness.until(lambda: "1 jobs are running" in caplog.text)
        worker.stop()
        await anyio.wait_all_tasks_blocked()
        assert not started[0].stopping
        gate.open()
    assert harness.jobs("q", "a") == []


@pytest.mark.parametrize("graceful_shutdown_timeout", [0, 5])
async def test_the_grace_may_be_nothing(harness: Harness, graceful_shutdown_timeout: float) -> None:
    async def handle(helper: Helper) -> None: ...

    worker = harness.worker("q", handle, graceful_shutdown_timeout=graceful_shutdown_timeout)
    async with harness.running(worker):
        await harness.until(lambda: harness.server.polls())
        worker.stop()


async def test_a_worker_stopped_before_it_runs_takes_nothing(harness: Harness) -> None:
    async def handle(helper: Helper) -> None: ...

    harness.producer.enqueue(Queue("q").job("a", 1))
    worker = harness.worker("q", handle)
    worker.stop()
    await maybe_await(worker.run())
    assert harness.server.asked == []
    assert harness.jobs("q", "a") == ["a"]


async def test_a_worker_runs_once(harness: Harness) -> None:
    async def handle(helper: Helper) -> None: ...

    worker = harness.worker("q", handle)
    async with harness.running(worker):
        await harness.until(lambda: harness.server.polls())
        worker.stop()
        with pytest.raises(RuntimeError, match="has run already: make a new one"):
            await maybe_await(worker.run())
        with pytest.raises(RuntimeError, match="add queues before the worker runs"):
            worker.add("other", harness.adapted(handle))
    with pytest.raises(RuntimeError, match="has run already: make a new one"):
        await maybe_await(worker.run())


async def test_no_thread_is_left(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    before = set(threading.enumerate())
    gate = harness.gate()
    harness.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(5)])
    worker = harness.worker("q", handle)
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting == 5)
        worker.stop()
        gate.open()
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert {name for name in left if not name.startswith(("AnyIO", "Trio"))} == set()


async def test_it_says_how_many_jobs_are_running(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    caplog.set_level(logging.INFO, "relay_sdk")
    gate = harness.gate()
    harness.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(3)])
    worker = harness.worker("q", handle)
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting == 3)
        worker.stop()
        await harness.until(lambda: "stopping; 3 jobs are running" in caplog.text)
        gate.open()
