"""A server that is away, restarts or is busy is waited for; nothing is lost."""

import logging

import httpx
import pytest

from relay_sdk import Queue

from .harness import Harness, Helper

pytestmark = pytest.mark.anyio


def refuse(request: httpx.Request) -> httpx.Response | None:
    raise httpx.ConnectError("connection refused", request=request)


def busy(request: httpx.Request) -> httpx.Response | None:
    return httpx.Response(503, text="Backend error: too many. Is retryable: true.")


def database(request: httpx.Request) -> httpx.Response | None:
    return httpx.Response(500, text="Backend error: no connection. Is retryable: false.")


@pytest.mark.parametrize("trouble", [refuse, busy, database])
async def test_a_minute_without_a_server_is_survived(
    harness: Harness, trouble: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)
        if helper.raw.id == "long":
            await gate.passed()

    done: list[str] = []
    gate = harness.gate()
    harness.producer.enqueue(Queue("q").job("long", 1, timeout=300))
    worker = harness.worker("q", handle, concurrency=3)
    async with harness.running(worker):
        await harness.until(lambda: done)
        harness.server.trouble = trouble
        asked = len(harness.server.asked)
        await harness.until(lambda: "cannot reach the server" in caplog.text, tick=0.1)
        began = harness.clock.monotonic()
        gate.open()  # the completion meets it too
        await harness.until(lambda: harness.clock.monotonic() - began > 60, tick=0.5)
        assert len(harness.server.asked) - asked < 120
        harness.producer.enqueue(Queue("q").job("new", 1))
        harness.server.trouble = lambda _: None
        await harness.until(lambda: not harness.jobs("q", "long", "new"), tick=0.1)
    assert done == ["long", "new"]
    assert caplog.text.count("cannot reach the server") == 1
    assert caplog.text.count("the server can be reached again") == 1
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


async def test_an_outage_with_many_running_jobs_does_not_flood_the_log(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    ids = [str(number) for number in range(20)]
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=180) for id in ids])
    async with harness.running(harness.worker("q", handle, concurrency=50)):
        await harness.until(lambda: gate.waiting == 20)
        harness.server.trouble = busy
        began = harness.clock.monotonic()
        await harness.until(lambda: harness.clock.monotonic() - began > 90, tick=0.5)
        harness.server.trouble = lambda _: None
        gate.open()
        await harness.until(lambda: not harness.jobs("q", *ids), tick=0.2)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) <= 2 + 2 * len(ids)


async def test_a_completion_whose_reply_is_lost_is_sent_again(harness: Harness) -> None:
    async def handle(helper: Helper) -> None: ...

    def lose(request: httpx.Request) -> httpx.Response | None:
        if request.method == "DELETE" and harness.server.count("DELETE") <= 3:
            raise httpx.ReadError("reset by peer", request=request)
        return None

    harness.server.trouble = lose
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=300))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: not harness.jobs("q", "a"), tick=0.1)
    assert harness.server.count("DELETE") == 4


async def test_a_worker_may_be_started_before_its_server(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None: ...

    harness.server.trouble = refuse
    harness.producer.enqueue(Queue("q").job("a", 1))
    async with harness.running(harness.worker("q", handle, client=harness.client(api="auto"))):
        await harness.until(lambda: "cannot reach the server" in caplog.text)
        harness.server.trouble = lambda _: None
        await harness.until(lambda: not harness.jobs("q", "a"), tick=0.1)
    assert caplog.text.count("the server can be reached again") == 1


async def test_a_worker_that_waits_for_its_server_can_be_stopped(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None: ...

    harness.server.trouble = refuse
    worker = harness.worker("q", handle)
    async with harness.running(worker):
        await harness.until(lambda: "cannot reach the server" in caplog.text, tick=0.1)
        worker.stop()


async def test_a_queue_that_is_refused_does_not_silence_the_others(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)

    def trouble(request: httpx.Request) -> httpx.Response | None:
        if request.method == "GET" and "/broken/" in request.url.path:
            return httpx.Response(500, text="fault")
        return None

    done: list[str] = []
    ids = [str(number) for number in range(5)]
    harness.server.trouble = trouble
    harness.producer.enqueue_batch([Queue("good").job(id, 1) for id in ids])
    worker = harness.worker("broken", handle, concurrency=1).add("good", harness.adapted(handle))
    async with harness.running(worker):
        await harness.until(lambda: len(done) == 5, tick=0.1)
        assert harness.clock.monotonic() < 20


@pytest.mark.parametrize("status", [401, 403, 404, 400])
async def test_a_refusal_is_not_called_an_outage_and_is_said_again_now_and_then(
    harness: Harness, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None: ...

    def refused(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(status, text="no")

    def said() -> int:
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        return sum("the server refuses this worker" in each.getMessage() for each in errors)

    harness.server.trouble = refused
    harness.producer.enqueue(Queue("q").job("a", 1))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: said() == 1)
        await harness.until(lambda: harness.clock.monotonic() > 100, tick=1)
        assert said() == 1
        await harness.until(lambda: said() == 3, tick=1)
        harness.server.trouble = lambda _: None
        await harness.until(lambda: not harness.jobs("q", "a"), tick=0.5)
    assert "cannot reach the server" not in caplog.text
    assert str(status) in caplog.text
    assert caplog.text.count("the server can be reached again") == 1


async def test_a_queue_is_not_asked_before_the_server_wants_it(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.queue)

    def busy(request: httpx.Request) -> httpx.Response | None:
        if "/busy/" in request.url.path and request.method == "GET":
            asked.append(harness.clock.monotonic())
            if len(asked) == 1:
                return httpx.Response(429, headers={"retry-after": "30"})
        return None

    done: list[str] = []
    asked: list[float] = []
    harness.server.trouble = busy
    harness.producer.enqueue_batch([Queue(name).job("a", 1) for name in ("busy", "quick")])
    worker = harness.worker("busy", handle).add("quick", harness.adapted(handle))
    async with harness.running(worker):
        await harness.until(lambda: done)
        await harness.until(lambda: len(done) == 2, tick=0.5)
    assert done == ["quick", "busy"]
    assert asked[1] - asked[0] >= 30


@pytest.mark.parametrize("graceful_shutdown_timeout", [float("inf")])
async def test_a_grace_without_end_is_one(
    harness: Harness, graceful_shutdown_timeout: float
) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=10**6))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=graceful_shutdown_timeout)
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting)
        worker.stop()
        harness.clock.advance(86_400)
        gate.open()
    assert harness.jobs("q", "a") == []


async def test_a_second_outage_is_looked_after_as_soon_as_the_first(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)

    async def outage(seconds: float) -> int:
        harness.server.trouble = busy
        asked = harness.server.count("GET")
        until = harness.clock.monotonic() + seconds
        await harness.until(lambda: harness.clock.monotonic() >= until, tick=0.1)
        return harness.server.count("GET") - asked

    done: list[str] = []
    async with harness.running(harness.worker("q", handle)):
        await outage(60)
        assert await outage(15) <= 4  # every five seconds by now
        harness.server.trouble = lambda _: None
        harness.producer.enqueue(Queue("q").job("a", 1))
        await harness.until(lambda: done, tick=0.1)
        assert await outage(15) > 4
