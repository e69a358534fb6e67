"""What an `on_event` is told of jobs in workers: each that starts has one end, of its kind."""

import logging
import threading
from typing import Any

import anyio
import pytest

from relay_sdk import Backoff, Event, JobEvent, JobLostError, Queue

from .harness import Harness, Helper, maybe_await

pytestmark = pytest.mark.anyio


class Told:
    """The events of a client."""

    def __init__(self) -> None:
        self.jobs: list[JobEvent] = []
        self.threads: list[threading.Thread] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, JobEvent):
            self.jobs.append(event)
            self.threads.append(threading.current_thread())

    def kinds(self, id: str = "a") -> list[str]:
        return [event.kind for event in self.jobs if event.id == id]


async def end(helper: Helper) -> None:
    pass


async def fail(helper: Helper) -> None:
    raise LookupError(helper.raw.id)


async def reschedule(helper: Helper) -> None:
    await maybe_await(helper.reschedule(delay=1000))


async def release(helper: Helper) -> None:
    await maybe_await(helper.release(delay=1000))


async def requeue(helper: Helper) -> None:
    await maybe_await(helper.requeue([Queue("other").job("b", 1)]))


async def remove(helper: Helper) -> None:
    await maybe_await(helper.remove())


@pytest.mark.parametrize(
    ("handle", "options", "expected"),
    [
        (end, {}, "completed"),
        (requeue, {}, "requeued"),
        (remove, {}, "removed"),
        (reschedule, {}, "rescheduled"),
        (release, {}, "released"),
        (fail, {}, "failed"),
        (fail, {"retry": Backoff(1000, maximum=1000, retries=3)}, "retried"),
    ],
)
async def test_a_job_starts_and_has_one_end(
    harness: Harness, handle: Any, options: dict[str, Any], expected: str
) -> None:
    told = Told()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle, client=harness.client(on_event=told), **options)
    async with harness.running(worker):
        await harness.until(lambda: len(told.jobs) == 2)
    started, over = told.jobs
    assert (started.kind, over.kind) == ("started", expected)
    for event in told.jobs:
        assert (event.queue, event.id, event.attempt, bytes(event.raw.payload)) == (
            "q",
            "a",
            1,
            b"1",
        )
    assert isinstance(over.error, LookupError) == (handle is fail)
    assert over.seconds >= started.seconds == 0
    assert "payload" not in repr(over)


async def test_attempts_are_counted_and_the_last_one_has_failed(harness: Harness) -> None:
    told = Told()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    retry = Backoff(10, maximum=10, retries=1)
    worker = harness.worker("q", fail, client=harness.client(on_event=told), retry=retry)
    async with harness.running(worker):
        await harness.until(lambda: len(told.jobs) == 4, tick=1)
    assert told.kinds() == ["started", "retried", "started", "failed"]
    assert [event.attempt for event in told.jobs] == [1, 1, 2, 2]


async def complete_and_fail(helper: Helper) -> None:
    await maybe_await(helper.complete())
    raise LookupError(helper.raw.id)


async def release_and_fail(helper: Helper) -> None:
    await maybe_await(helper.release(delay=1000))
    raise LookupError(helper.raw.id)


async def release_without_retries(helper: Helper) -> None:
    await maybe_await(helper.release(count_as_failure=True))


@pytest.mark.parametrize(
    ("handle", "kind_of_end", "raises"),
    [
        (complete_and_fail, "completed", True),
        (release_and_fail, "released", True),
        (release_without_retries, "failed", False),
    ],
)
async def test_the_kind_is_what_has_become_of_the_job_whatever_the_handler_raises(
    harness: Harness, handle: Any, kind_of_end: str, raises: bool
) -> None:
    told = Told()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600, max_retries=0))
    worker = harness.worker("q", handle, client=harness.client(on_event=told))
    async with harness.running(worker):
        await harness.until(lambda: len(told.jobs) == 2)
    assert told.kinds() == ["started", kind_of_end]
    assert isinstance(told.jobs[-1].error, LookupError) == raises


async def test_a_lost_job_is_told(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        harness.producer.remove("q", "a")
        await maybe_await(helper.heartbeat())

    told = Told()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    async with harness.running(harness.worker("q", handle, client=harness.client(on_event=told))):
        await harness.until(lambda: len(told.jobs) == 2)
    assert told.kinds() == ["started", "lost"]
    assert isinstance(told.jobs[-1].error, JobLostError)


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_job_that_a_stopping_worker_puts_back_is_interrupted(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await anyio.sleep_forever()

    told = Told()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker(
        "q", handle, client=harness.client(on_event=told), graceful_shutdown_timeout=0
    )
    async with harness.running(worker):
        await harness.until(lambda: told.jobs)
        worker.stop()
    assert told.kinds() == ["started", "interrupted"]
    assert harness.jobs("q", "a") == ["a"]


@pytest.mark.parametrize("kind", ["sync"])
async def test_the_job_of_a_thread_that_outlives_its_worker_is_interrupted(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    told, gate = Told(), harness.gate()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker(
        "q", handle, client=harness.client(on_event=told), graceful_shutdown_timeout=0
    )
    thread = threading.Thread(target=worker.run)
    thread.start()
    await harness.until(lambda: gate.waiting)
    worker.stop()
    await harness.until(lambda: not thread.is_alive(), tick=0.5)
    gate.open()
    await harness.until(lambda: len(told.jobs) == 2)
    assert told.kinds() == ["started", "interrupted"]


async def test_what_on_event_raises_is_logged_and_the_job_is_done(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event) -> None:
        raise ZeroDivisionError

    harness.producer.enqueue(Queue("q").job("a", 1))
    async with harness.running(harness.worker("q", end, client=harness.client(on_event=broken))):
        await harness.until(lambda: not harness.jobs("q", "a"))
    messages = {record.getMessage() for record in caplog.records if record.exc_info}
    assert any("on_event failed, for JobEvent(kind='started'" in text for text in messages)
    assert any("on_event failed, for RequestEvent(name='complete'" in text for text in messages)
    assert {record.levelno for record in caplog.records if record.exc_info} == {logging.ERROR}


async def test_it_is_called_where_the_handler_is(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        threads.append(threading.current_thread())

    told = Told()
    threads: list[threading.Thread] = []
    harness.producer.enqueue(Queue("q").job("a", 1))
    async with harness.running(harness.worker("q", handle, client=harness.client(on_event=told))):
        await harness.until(lambda: len(told.jobs) == 2)
    assert told.threads == threads * 2


class Odd(BaseException):
    """What some libraries raise past `except Exception`."""


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
async def test_a_job_whose_handler_raised_past_every_exception_is_not_told_as_put_back(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        raise Odd

    told = Told()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker(
        "q", handle, client=harness.client(on_event=told), graceful_shutdown_timeout=0
    )
    async with harness.running(worker):
        await harness.until(lambda: len(told.jobs) == 2)
        harness.clock.advance(10)
        assert [helper.raw.id for helper in harness.producer.next("q", timeout=0)] == []
        assert told.kinds() == ["started", "failed"]
        assert "was cancelled" not in caplog.text
