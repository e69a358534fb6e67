"""A worker that is to stop takes nothing more, lets its jobs end, and loses none from sight."""

import logging
import threading

import anyio
import httpx
import pytest

from relay_sdk import Queue

from .harness import PATIENCE, Gate, Helper, Rig, do

pytestmark = pytest.mark.anyio


async def test_running_jobs_are_finished_and_nothing_more_is_taken(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = rig.gate()
    rig.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(10)])
    worker = rig.worker("q", handle, concurrency=4)
    async with rig.running(worker):
        await rig.until(lambda: gate.waiting == 4)
        worker.stop()
        polls = rig.server.polls()
        gate.open()
    assert rig.server.polls() == polls == [4]
    assert len(rig.jobs("q", *map(str, range(10)))) == 6
    assert gate.waiting == 4


async def test_jobs_that_come_in_the_moment_of_stopping_are_put_back(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        ran.append(helper.raw.id)

    def delay(request: httpx.Request) -> Gate | None:
        return gate if request.method == "GET" else None

    ran: list[str] = []
    gate = rig.gate()
    rig.server.delay = delay
    rig.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(3)])
    worker = rig.worker("q", handle, concurrency=4).add("other", rig.adapted(handle))
    async with rig.running(worker):
        await rig.until(lambda: gate.waiting)
        worker.stop()
        assert ran == []
        gate.open()
    assert ran == []
    assert rig.server.polls() == [4]
    assert len(rig.producer.next("q", 5, timeout=0)) == 3


async def test_a_handler_may_end_while_stopping(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        await gates[helper.raw.id].passed()

    gates = {"a": rig.gate(), "b": rig.gate()}
    rig.producer.enqueue_batch([Queue("q").job(id, 1) for id in gates])
    worker = rig.worker("q", handle, graceful_shutdown_timeout=60)
    async with rig.running(worker):
        await rig.until(lambda: all(gate.waiting for gate in gates.values()))
        worker.stop()
        gates["a"].open()
        await rig.until(lambda: rig.jobs("q", "a", "b") == ["b"])
        rig.clock.advance(30)
        gates["b"].open()
    assert rig.jobs("q", "a", "b") == []


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
async def test_a_handler_that_raises_no_exception_delays_no_stop(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        raise pytest.fail.Exception  # a BaseException

    started: list[Helper] = []
    rig.producer.enqueue(Queue("q").job("a", 1))
    with anyio.fail_after(PATIENCE):
        async with rig.running(rig.worker("q", handle, graceful_shutdown_timeout=2 * PATIENCE)):
            await rig.until(lambda: started)
    assert rig.jobs("q", "a") == ["a"]


async def test_stopping_twice_does_not_cut_the_grace_short(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        await gate.passed()

    caplog.set_level(logging.INFO, "relay_sdk")
    started: list[Helper] = []
    gate = rig.gate()
    rig.producer.enqueue(Queue("q").job("a", 1))
    worker = rig.worker("q", handle, graceful_shutdown_timeout=60)
    async with rig.running(worker):
        await rig.until(lambda: started)
        worker.stop()
        await rig.until(lambda: "1 jobs are running" in caplog.text)
        worker.stop()
        await anyio.wait_all_tasks_blocked()
        assert not started[0].stopping
        gate.open()
    assert rig.jobs("q", "a") == []


@pytest.mark.parametrize("graceful_shutdown_timeout", [0, 5])
async def test_the_grace_may_be_nothing(rig: Rig, graceful_shutdown_timeout: float) -> None:
    async def handle(helper: Helper) -> None: ...

    worker = rig.worker("q", handle, graceful_shutdown_timeout=graceful_shutdown_timeout)
    async with rig.running(worker):
        await rig.until(lambda: rig.server.polls())
        worker.stop()


async def test_a_worker_stopped_before_it_runs_takes_nothing(rig: Rig) -> None:
    async def handle(helper: Helper) -> None: ...

    rig.producer.enqueue(Queue("q").job("a", 1))
    worker = rig.worker("q", handle)
    worker.stop()
    await do(worker.run())
    assert rig.server.asked == []
    assert rig.jobs("q", "a") == ["a"]


async def test_a_worker_runs_once(rig: Rig) -> None:
    async def handle(helper: Helper) -> None: ...

    worker = rig.worker("q", handle)
    async with rig.running(worker):
        await rig.until(lambda: rig.server.polls())
        worker.stop()
        with pytest.raises(RuntimeError, match="has run already: make a new one"):
            await do(worker.run())
        with pytest.raises(RuntimeError, match="add queues before the worker runs"):
            worker.add("other", rig.adapted(handle))
    with pytest.raises(RuntimeError, match="has run already: make a new one"):
        await do(worker.run())


async def test_no_thread_is_left(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    before = set(threading.enumerate())
    gate = rig.gate()
    rig.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(5)])
    worker = rig.worker("q", handle)
    async with rig.running(worker):
        await rig.until(lambda: gate.waiting == 5)
        worker.stop()
        gate.open()
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert {name for name in left if not name.startswith(("AnyIO", "Trio"))} == set()


async def test_it_says_how_many_jobs_are_running(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    caplog.set_level(logging.INFO, "relay_sdk")
    gate = rig.gate()
    rig.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(3)])
    worker = rig.worker("q", handle)
    async with rig.running(worker):
        await rig.until(lambda: gate.waiting == 3)
        worker.stop()
        await rig.until(lambda: "stopping; 3 jobs are running" in caplog.text)
        gate.open()
