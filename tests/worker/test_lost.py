"""A job that is no longer ours: its handler is told, and the server nothing."""

from typing import Any

import anyio
import httpx
import pytest

from relay_sdk import Backoff, JobLostError, Queue

from .harness import Harness, Helper, maybe_await

pytestmark = pytest.mark.anyio


def endings(harness: Harness) -> list[str]:
    """What was asked of the server that ends or requeues a job."""
    return [line for line in harness.server.asked if line.startswith(("DELETE", "PUT"))]


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("retry", [None, Backoff(retries=3)])
async def test_the_handler_in_a_task_is_cancelled(harness: Harness, retry: Backoff | None) -> None:
    async def handle(helper: Helper) -> None:
        try:
            started.append(helper)
            await anyio.sleep_forever()
        finally:
            ended.append(helper)

    async def report(helper: Helper, error: Exception) -> None:
        errors.append(error)

    started: list[Helper] = []
    ended: list[Helper] = []
    errors: list[Exception] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    async with harness.running(harness.worker("q", handle, on_error=report, retry=retry)):
        await harness.until(lambda: started)
        harness.producer.remove("q", "a")
        await harness.until(lambda: errors, tick=1)
    assert ended
    assert ended[0].lost
    (error,) = errors
    assert isinstance(error, JobLostError)
    assert (error.queue, error.id) == ("q", "a")
    assert endings(harness) == []


@pytest.mark.parametrize("kind", ["sync"])
@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_the_handler_in_a_thread_sees_it_and_no_completion_is_sent(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        helpers.append(helper)
        await gate.passed()
        lost.append(helper.lost)

    gate = harness.gate()
    helpers: list[Helper] = []
    lost: list[bool] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: helpers)
        assert not helpers[0].lost
        harness.producer.remove("q", "a")
        await harness.until(lambda: helpers[0].lost, tick=1)
        gate.open()
        await harness.until(lambda: lost)
        await harness.until(lambda: "job 'a' in queue 'q' was lost" in caplog.text)
    assert lost == [True]
    assert endings(harness) == []


async def test_a_call_on_the_helper_of_a_lost_job_ends_the_handler(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        await gate.passed()
        await maybe_await(helper.heartbeat({"page": 1}))

    async def report(helper: Helper, error: Exception) -> None:
        errors.append(error)

    gate = harness.gate()
    started: list[Helper] = []
    errors: list[Exception] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=3000))
    worker = harness.worker("q", handle, on_error=report, retry=Backoff(retries=3))
    async with harness.running(worker):
        await harness.until(lambda: started)
        harness.producer.remove("q", "a")
        gate.open()
        await harness.until(lambda: errors)
    (error,) = errors
    assert isinstance(error, JobLostError)
    assert endings(harness) == []
    assert "job 'a' in queue 'q' was lost while it ran" in caplog.text


async def test_a_job_is_lost_when_no_heartbeat_arrives_within_its_timeout(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        helpers.append(helper)
        await gate.passed()

    def cut(request: httpx.Request) -> None:
        if request.method == "PATCH":
            raise httpx.ConnectError("refused", request=request)

    gate = harness.gate()
    helpers: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    harness.server.trouble = cut
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: helpers)
        taken = harness.clock.monotonic()
        await harness.until(lambda: harness.clock.monotonic() - taken >= 28, tick=0.25)
        assert not helpers[0].lost
        await harness.until(lambda: helpers[0].lost, tick=0.25)
        gate.open()
    assert endings(harness) == []


async def test_only_the_lost_job_is_given_up(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        helpers[helper.raw.id] = helper
        await gate.passed()

    gate = harness.gate()
    helpers: dict[str, Helper] = {}
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=30) for id in "abc"])
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: len(helpers) == 3)
        harness.producer.remove("q", "b")
        await harness.until(lambda: helpers["b"].lost, tick=1)
        assert not helpers["a"].lost
        gate.open()
        await harness.until(lambda: not harness.jobs("q", "a", "c"))
    assert len(endings(harness)) == 2


async def test_a_job_lost_while_its_completion_is_tried_is_let_go(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        handled.append(helper)

    def trouble(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(503) if request.method in ("DELETE", "PATCH") else None

    handled: list[Any] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    harness.server.trouble = trouble
    async with harness.running(harness.worker("q", handle, concurrency=1)):
        await harness.until(lambda: handled)
        await harness.until(lambda: "job 'a' in queue 'q' was lost" in caplog.text, tick=0.2)
        harness.server.trouble = lambda _: None
        # Its slot is free, and after its timeout it comes again.
        await harness.until(lambda: not harness.jobs("q", "a"), tick=0.2)
    assert len(handled) == 2
