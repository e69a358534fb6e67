"""What becomes of a job when its handler has returned, raised, or ended the job itself."""

import asyncio
import logging
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from relay_sdk import AsyncWorker, JobLostError, PayloadError, Queue, Worker

from .harness import Harness, Helper, maybe_await

HOUR = timedelta(hours=1)

pytestmark = pytest.mark.anyio


async def test_a_job_whose_handler_returns_is_completed(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        seen.append((helper.job.id, helper.job.payload))

    seen: list[Any] = []
    harness.producer.enqueue(Queue("q").job("a", {"n": 1}))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: not harness.jobs("q", "a"))
    assert seen == [("a", {"n": 1})]


async def test_a_job_whose_handler_raises_is_logged_reported_and_left(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        raise LookupError("no such customer")

    async def report(helper: Helper, error: Exception) -> None:
        reports.append((helper.raw.queue, helper.raw.id, error))

    reports: list[Any] = []
    harness.producer.enqueue(Queue("q").job("a", 1))
    async with harness.running(harness.worker("q", handle, on_error=report)):
        await harness.until(lambda: reports)
    ((queue, id, error),) = reports
    assert (queue, id, str(error)) == ("q", "a", "no such customer")
    assert harness.jobs("q", "a") == ["a"]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "the handler of job 'a' in queue 'q' failed"
    assert record.exc_info
    assert record.exc_info[1] is error


async def test_a_job_that_was_left_comes_again_after_its_timeout_with_its_state(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        states.append(helper.job.state)
        if len(states) == 1:
            await maybe_await(helper.heartbeat({"page": 3}))
            raise LookupError

    states: list[Any] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: states)
        harness.clock.advance(29)
        assert len(states) == 1
        await harness.until(lambda: not harness.jobs("q", "a"), tick=0.2)
    assert states == [None, {"page": 3}]


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("end", ["complete", "reschedule", "release", "requeue", "remove"])
async def test_a_handler_that_has_ended_its_job_has_the_last_word(
    harness: Harness, end: str, raises: bool
) -> None:
    async def handle(helper: Helper) -> None:
        if end == "requeue":
            await maybe_await(helper.requeue([Queue("other").job("b", 1)]))
        elif end in ("reschedule", "release"):
            later = (
                {"run_at": harness.clock.now() + HOUR} if end == "reschedule" else {"delay": 3600}
            )
            await maybe_await(getattr(helper, end)(**later))
        else:
            await maybe_await(getattr(helper, end)())
        harness.server.asked.clear()
        ended.append(helper)
        if raises:
            raise LookupError

    ended: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1))
    worker = harness.worker("q", handle, concurrency=1)
    async with harness.running(worker):
        await harness.until(lambda: ended)
        worker.stop()
    assert {line.split()[0] for line in harness.server.asked} <= {"GET"}
    assert harness.jobs("q", "a") == (["a"] if end in ("reschedule", "release") else [])
    assert harness.jobs("other", "b") == (["b"] if end == "requeue" else [])


@dataclass
class Email:
    to: str


async def test_a_payload_that_does_not_fit_is_reported_and_the_others_go_on(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.job.payload.to)

    async def report(helper: Helper, error: Exception) -> None:
        reports.append((helper.raw.id, error))

    done: list[str] = []
    reports: list[tuple[str, Exception]] = []
    plain = Queue("q")
    harness.producer.enqueue_batch(
        [plain.job("1", {"to": "a"}), plain.job("2", {"to": 2}), plain.job("3", {"to": "c"})]
    )
    worker = harness.worker(Queue("q", payload=Email), handle, on_error=report, concurrency=1)
    async with harness.running(worker):
        await harness.until(lambda: len(done) == 2)
    ((id, error),) = reports
    assert id == "2"
    assert isinstance(error, PayloadError)
    assert error.raw == b'{"to":2}'
    assert sorted(done) == ["a", "c"]
    assert harness.jobs("q", "1", "2", "3") == ["2"]


async def test_a_report_that_fails_is_logged_and_stops_nothing(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        if helper.raw.id == "bad":
            raise LookupError

    async def report(helper: Helper, error: Exception) -> None:
        raise ZeroDivisionError

    harness.producer.enqueue(Queue("q").job("bad", 1))
    async with harness.running(harness.worker("q", handle, on_error=report, concurrency=1)):
        await harness.until(
            lambda: "the error handler for job 'bad' in queue 'q' failed" in caplog.text
        )
        harness.producer.enqueue(Queue("q").job("good", 1))
        await harness.until(lambda: not harness.jobs("q", "good"), tick=0.1)
    assert harness.jobs("q", "bad") == ["bad"]


async def test_a_handler_that_exits_ends_neither_the_worker_nor_its_job(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        if helper.raw.id == "bad":
            raise SystemExit(3)

    harness.producer.enqueue(Queue("q").job("bad", 1))
    async with harness.running(harness.worker("q", handle, concurrency=1)):
        await harness.until(lambda: "job 'bad' in queue 'q'" in caplog.text)
        harness.producer.enqueue(Queue("q").job("good", 1))
        await harness.until(lambda: not harness.jobs("q", "good"), tick=0.1)
    assert harness.jobs("q", "bad") == ["bad"]


async def test_an_error_about_another_job_is_a_failure_like_any_other(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        raise JobLostError("other", "b", "it was removed")

    harness.producer.enqueue(Queue("q").job("a", 1))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: "job 'a' in queue 'q'" in caplog.text)
    assert "the handler of job 'a' in queue 'q' failed" in caplog.text
    assert "was lost" not in caplog.text


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_a_helper_that_outlives_its_run_can_do_no_harm(
    harness: Harness, raises: bool
) -> None:
    async def handle(helper: Helper) -> None:
        kept.append(helper)
        if raises:
            raise LookupError

    async def report(helper: Helper, error: Exception) -> None:
        failed.append(error)

    kept: list[Helper] = []
    failed: list[Exception] = []
    harness.producer.enqueue(Queue("q").job("a", 1))
    async with harness.running(harness.worker("q", handle, on_error=report)):
        await harness.until(lambda: failed if raises else not harness.jobs("q", "a"))
    harness.producer.enqueue(Queue("q").job("a", 2), mode="ignore")
    for call in (kept[0].complete, kept[0].heartbeat, kept[0].reschedule):
        with pytest.raises(JobLostError, match="has ended its run"):
            await maybe_await(call())
    assert harness.jobs("q", "a") == ["a"]


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
@pytest.mark.parametrize("end", ["reschedule", "release"])
async def test_an_end_that_is_under_way_when_the_handler_returns_has_the_last_word(
    harness: Harness, end: str
) -> None:
    async def handle(helper: Any) -> None:
        call = partial(getattr(helper, end), delay=3600)
        if harness.kind == "sync":
            threading.Thread(target=call).start()
            while not harness.server.count("PUT"):
                threading.Event().wait(0.003)
        else:
            ends.append(asyncio.create_task(call()))
            await harness.until(lambda: harness.server.count("PUT"))

    def busy_once(request: httpx.Request) -> httpx.Response | None:
        first = request.method == "PUT" and harness.server.count("PUT") == 1
        return httpx.Response(503) if first else None

    ends: list[asyncio.Task[None]] = []
    harness.server.trouble = busy_once
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: harness.server.count("PUT") > 1, tick=0.1)
    assert harness.jobs("q", "a") == ["a"]


class Odd(BaseException):
    """What some libraries raise past `except Exception`."""


@pytest.mark.parametrize("kind", ["asyncio"])
@pytest.mark.parametrize("cancels", [True, False])
async def test_a_handler_that_was_not_ended_by_its_worker_leaves_nothing_that_a_stop_waits_for(
    harness: Harness, cancels: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        task = asyncio.current_task()
        assert task
        if not cancels:
            raise Odd
        asyncio.get_running_loop().call_soon(task.cancel)  # as a limit of time may do
        await asyncio.Event().wait()

    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle)
    async with harness.running(worker):
        await harness.until(lambda: "job 'a' in queue 'q'" in caplog.text)
        await asyncio.sleep(0.01)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            worker.stop()
            await harness.until(lambda: "stopping" in caplog.text)
        harness.clock.advance(1000)
    assert "stopping; 0 jobs are running" in caplog.text


USER: ContextVar[str] = ContextVar("USER", default="nobody")


@pytest.mark.parametrize("plain", [False, True])
async def test_what_a_handler_sets_in_its_context_is_not_there_for_the_next_job(
    harness: Harness, plain: bool
) -> None:
    def note(helper: Helper) -> None:
        seen.append(USER.get())
        USER.set(helper.raw.id)

    async def handle(helper: Helper) -> None:
        note(helper)

    seen: list[str] = []
    harness.producer.enqueue_batch([Queue("q").job(str(number), 1) for number in range(6)])
    worker = harness.worker("q", handle, concurrency=1)
    if plain:
        worker = (Worker if harness.kind == "sync" else AsyncWorker)(
            harness.client(), "q", note, concurrency=1
        )
    async with harness.running(worker):
        await harness.until(lambda: len(seen) == 6)
    assert seen == ["nobody"] * 6
