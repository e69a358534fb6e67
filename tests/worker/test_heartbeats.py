"""Every running job is kept alive with its state, from one place, and no longer than it runs."""

import gc
import weakref
from datetime import timedelta

import anyio
import httpx
import pytest

from relay_sdk import Queue

from .harness import Harness, Helper, maybe_await

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_jobs_that_take_longer_than_their_timeout_are_kept_with_their_state(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        runs.append(helper.raw.id)
        if helper.raw.id == "saved":
            await maybe_await(helper.heartbeat({"page": 7}))
        await gate.passed()

    runs: list[str] = []
    gate = harness.gate()
    jobs = [Queue("q").job("known", 1, state="from before", timeout=90)]
    harness.producer.enqueue_batch([*jobs, Queue("q").job("saved", 1, state="old", timeout=90)])
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: gate.waiting == 2)
        for beats in (3, 5, 7, 9, 11):
            await harness.until(lambda n=beats: harness.server.count("PATCH") >= n, tick=1)
        harness.producer.next("other", timeout=0)  # a request, for the server to look at its clock
        assert harness.producer.get("q", "known").state == "from before"
        assert harness.producer.get("q", "saved").state == {"page": 7}
        gate.open()
        await harness.until(lambda: not harness.jobs("q", "known", "saved"))
    assert sorted(runs) == ["known", "saved"]


async def test_a_job_is_kept_while_its_failure_is_reported_but_not_after(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        raise LookupError

    async def report(helper: Helper, error: Exception) -> None:
        await gate.passed()
        reported.append(helper)

    gate = harness.gate()
    reported: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    worker = harness.worker("q", handle, on_error=report)
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting)
        await harness.until(lambda: harness.server.count("PATCH") == 2, tick=0.5)
        gate.open()
        await harness.until(lambda: reported)
        await harness.until(lambda: gate.waiting == 2, tick=0.5)
        assert harness.server.count("PATCH") <= 3


async def test_a_job_is_kept_while_its_completion_waits_for_the_server(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        runs.append(helper.raw.id)

    def busy(request: httpx.Request) -> httpx.Response | None:
        if request.method == "DELETE" and harness.server.count("DELETE") <= 2:
            return httpx.Response(503, headers={"retry-after": "60"})
        return None

    runs: list[str] = []
    harness.server.trouble = busy
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=60))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: not harness.jobs("q", "a"), tick=1)
    assert runs == ["a"]
    assert harness.server.count("PATCH") >= 4


async def test_a_heartbeat_that_fails_is_tried_again_soon(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    def lose(request: httpx.Request) -> None:
        if request.method == "PATCH" and harness.server.count("PATCH") <= 3:
            raise httpx.ReadTimeout("no reply", request=request)

    gate = harness.gate()
    harness.server.trouble = lose
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: gate.waiting)
        harness.clock.advance(10)
        await harness.until(lambda: harness.server.count("PATCH") == 4, tick=0.05)
        assert harness.clock.monotonic() < 15
        job = harness.producer.get("q", "a")
        assert job.updated_at
        assert harness.clock.now() - job.updated_at < timedelta(seconds=1)
        gate.open()


async def test_a_job_that_has_ended_is_forgotten(harness: Harness) -> None:
    """Whatever its timeout: a worker of short jobs must not grow."""

    async def handle(helper: Helper) -> None:
        payloads.append(weakref.ref(helper.job))
        leases.append(weakref.ref(helper))

    payloads: list[weakref.ref[object]] = []
    leases: list[weakref.ref[object]] = []
    harness.producer.enqueue_batch([Queue("q").job(str(n), 1, timeout=36_000) for n in range(20)])
    async with harness.running(harness.worker("q", handle, concurrency=20)):
        await harness.until(lambda: len(leases) == 20)
        await harness.until(lambda: not harness.jobs("q", *map(str, range(20))))
        await harness.until(lambda: _alive(payloads) + _alive(leases) < 4)


def _alive(references: list[weakref.ref[object]]) -> int:
    gc.collect()
    return sum(reference() is not None for reference in references)


@pytest.mark.parametrize(("kind", "count"), [("asyncio", 10_000), ("trio", 1000)])
async def test_ten_thousand_running_jobs_need_few_heartbeat_tasks(
    harness: Harness, count: int
) -> None:
    async def handle(helper: Helper) -> None:
        nonlocal running
        running += 1
        await anyio.sleep_forever()

    def accept(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(202) if request.method == "PATCH" else None

    running, most = 0, 0
    harness.server.trouble = accept
    harness.producer.enqueue_batch([Queue("q").job(str(n), 1, timeout=600) for n in range(count)])
    before = len(anyio.get_running_tasks())
    async with anyio.create_task_group() as group:
        group.start_soon(harness.worker("q", handle, concurrency=count).run)
        await harness.until(lambda: running == count)
        assert sum(harness.server.polls()) == count
        harness.clock.advance(200)
        for beats in (1, 100, 500):
            await harness.until(lambda n=beats: harness.server.count("PATCH") >= n)
            most = max(most, len(anyio.get_running_tasks()))
        group.cancel_scope.cancel()
    assert most - count - before < 100
