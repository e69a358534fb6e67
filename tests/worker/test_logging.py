"""What a worker says of its work, and what records about a job carry."""

import logging

import anyio
import pytest

from relay_sdk import Queue

from .harness import Harness, Helper

pytestmark = pytest.mark.anyio


async def test_it_says_at_the_start_what_it_works_on(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None: ...

    caplog.set_level(logging.INFO, "relay_sdk")
    worker = harness.worker("emails", handle, concurrency=3).add("letters", harness.adapted(handle))
    async with harness.running(worker):
        await harness.until(lambda: harness.server.polls())
    assert "working on 'emails', 'letters' at http://server, 3 at a time" in caplog.text


async def test_the_start_and_the_end_of_each_job_are_told_at_debug(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None: ...

    caplog.set_level(logging.DEBUG, "relay_sdk")
    harness.producer.enqueue(Queue("q").job("a", 1))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: "has ended" in caplog.text)
    told = [record for record in caplog.records if getattr(record, "id", None) == "a"]
    assert told[0].getMessage() == "job 'a' in queue 'q' begins"
    assert told[-1].getMessage().startswith("job 'a' in queue 'q' has ended after 0.")


async def test_records_about_a_job_carry_its_queue_id_run_and_attempt(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        runs.append(str(helper.raw.run_id))
        raise LookupError

    runs: list[str] = []
    harness.producer.enqueue(Queue("q").job("a", 1))
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: "the handler" in caplog.text)
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    carried = {name: getattr(record, name) for name in ("queue", "id", "run_id", "attempt")}
    assert carried == {"queue": "q", "id": "a", "run_id": runs[0], "attempt": 1}


async def test_a_job_that_ends_while_it_is_put_back_is_not_said_to_run(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate, slow = harness.gate(), harness.gate()
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in "ab"])
    harness.server.delay = lambda request: slow if request.method == "PUT" else None
    worker = harness.worker("q", handle, graceful_shutdown_timeout=0)
    if harness.kind != "sync":
        pytest.skip("a task is cancelled, and puts its job back itself")
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting == 2)
        worker.stop()
        await harness.until(lambda: slow.waiting == 1, tick=0.5)
        gate.open()
        await harness.until(lambda: harness.server.count("DELETE"))
        await anyio.sleep(0.05)
        slow.open()
    assert caplog.text.count("still runs") == 1
