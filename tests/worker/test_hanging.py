"""A server that takes a request and says nothing: nothing else waits for it."""

import threading

import httpx
import pytest

from relay_sdk import Queue

from .harness import Gate, Harness, Helper, maybe_await

pytestmark = pytest.mark.anyio


def beats(harness: Harness, *ids: str) -> int:
    """How many heartbeats the jobs had at least."""
    return min(sum(f"/jobs/{id}/" in line for line in harness.server.asked) for id in ids)


def hang(harness: Harness, method: str, *ids: str) -> Gate:
    """Hold back the replies to these requests until a gate is opened."""

    def delay(request: httpx.Request) -> Gate | None:
        mine = any(f"/jobs/{id}/" in request.url.path for id in ids)
        return gate if request.method == method and mine else None

    gate = harness.gate()
    harness.server.delay = delay
    return gate


@pytest.mark.parametrize("count", [1, 20, 60])
async def test_heartbeats_that_hang_delay_no_others(harness: Harness, count: int) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    healthy = [f"good{number}" for number in range(4)]
    sick = [f"bad{number}" for number in range(count)]
    hung = hang(harness, "PATCH", *sick)
    jobs = [Queue("q").job(id, 1, timeout=60) for id in [*sick, *healthy]]
    harness.producer.enqueue_batch(jobs)
    async with harness.running(harness.worker("q", handle, concurrency=100)):
        await harness.until(lambda: gate.waiting == len(jobs))
        for number in (1, 2, 3):
            await harness.until(lambda n=number: beats(harness, *healthy) >= n, tick=0.1)
        assert harness.clock.monotonic() < 60 + 10
        gate.open()
        hung.open()
        await harness.until(lambda: not harness.jobs("q", *sick, *healthy), tick=0.1)


async def test_a_job_that_is_done_does_not_wait_for_its_heartbeat(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    hung = hang(harness, "PATCH", "a")
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=60))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: gate.waiting)
        await harness.until(lambda: hung.waiting, tick=1)
        gate.open()
        await harness.until(lambda: not harness.jobs("q", "a"))
        hung.open()


@pytest.mark.parametrize("call", ["complete", "reschedule", "release", "remove"])
async def test_a_handler_that_ends_its_job_does_not_wait_for_its_heartbeat(
    harness: Harness, call: str
) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()
        await maybe_await(getattr(helper, call)())
        ended.append(helper)
        worker.stop()

    gate = harness.gate()
    ended: list[Helper] = []
    hung = hang(harness, "PATCH", "a")
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=60))
    worker = harness.worker("q", handle, concurrency=1)
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting)
        await harness.until(lambda: hung.waiting, tick=1)
        gate.open()
        await harness.until(lambda: ended)
        hung.open()
    assert not ended[0].lost


async def test_a_stop_does_not_wait_for_a_heartbeat_that_hangs(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    hung = hang(harness, "PATCH", "a")
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=60))
    worker = harness.worker("q", handle)
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting)
        await harness.until(lambda: hung.waiting, tick=1)
        worker.stop()
        gate.open()
    assert harness.jobs("q", "a") == []
    hung.open()


async def test_a_stop_does_not_wait_for_long_for_a_next_that_hangs_and_its_jobs_are_put_back(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        ran.append(helper)

    ran: list[Helper] = []
    gate = harness.gate()
    harness.server.delay = lambda request: gate if request.method == "GET" else None
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle)
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting)
        worker.stop()
    gate.open()
    if harness.kind == "sync":  # a task's request is cancelled, and its jobs stay claimed
        await harness.until(lambda: harness.server.count("PUT"))
        assert len(harness.producer.next("q", timeout=0)) == 1
    assert ran == []


@pytest.mark.parametrize("kind", ["sync"])
async def test_a_completion_that_waits_for_the_server_leaves_no_thread_behind(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None: ...

    def busy(request: httpx.Request) -> httpx.Response | None:
        if request.method in ("DELETE", "PUT"):
            return httpx.Response(503, headers={"retry-after": "60"})
        return None

    harness.server.trouble = busy
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    before = set(threading.enumerate())
    worker = harness.worker("q", handle, graceful_shutdown_timeout=0)
    async with harness.running(worker):
        await harness.until(lambda: harness.server.count("DELETE"))
        worker.stop()
        await harness.until(lambda: not _ours(before), tick=1)


def _ours(before: set[threading.Thread]) -> list[str]:
    left = {thread.name for thread in set(threading.enumerate()) - before}
    return [name for name in left if name.startswith("relay_sdk")]
