"""What a Worker does with handlers that are still in their threads when the grace is over."""

import threading
import time

import pytest

from relay_sdk import Event, JobEvent, Queue

from .harness import Harness, Helper, maybe_await

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", ["sync"])]

CANCEL_GRACE = 5


async def test_after_the_grace_a_handler_in_a_thread_is_told_and_may_save_its_state(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        await gate.passed()
        assert helper.stopping
        await maybe_await(helper.heartbeat({"page": 3}))
        raise InterruptedError

    gate = harness.gate()
    started: list[Helper] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = harness.worker("q", handle, graceful_shutdown_timeout=30)
    async with harness.running(worker):
        await harness.until(lambda: started)
        worker.stop()
        harness.clock.advance(29)
        assert not started[0].stopping
        await harness.until(lambda: started[0].stopping, tick=0.2)
        gate.open()
    assert harness.producer.get("q", "a").state == {"page": 3}


async def test_what_still_runs_in_threads_is_named_and_put_back(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()
        ended.append(helper)

    gate = harness.gate()
    ended: list[Helper] = []
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in "ab"])
    worker = harness.worker("q", handle, graceful_shutdown_timeout=30)
    thread = threading.Thread(target=worker.run)
    thread.start()
    await harness.until(lambda: gate.waiting == 2)
    worker.stop()
    await harness.until(lambda: not thread.is_alive(), tick=0.5)
    assert harness.clock.monotonic() >= 30 + CANCEL_GRACE
    for id in "ab":
        assert f"job '{id}' in queue 'q' still runs; it is put back" in caplog.text

    # It is not completed behind the back of whoever has it now.
    harness.server.asked.clear()
    gate.open()
    await harness.until(lambda: len(ended) == 2)
    await harness.until(lambda: not _threads("relay_sdk"))
    assert harness.server.asked == []
    assert harness.jobs("q", "a", "b") == ["a", "b"]


def _threads(name: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(name)]


async def test_a_worker_that_leaves_does_not_wait_for_an_end_that_a_handler_left_behind(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        threading.Thread(target=helper.complete).start()
        while not hung.waiting:
            time.sleep(0.001)  # noqa: ASYNC251 it runs in a thread

    hung, events = harness.gate(), list[Event]()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    harness.server.delay = lambda request: hung if request.method == "DELETE" else None
    client = harness.client(on_event=events.append)
    worker = harness.worker("q", handle, client=client, graceful_shutdown_timeout=0)
    thread = threading.Thread(target=worker.run)
    thread.start()
    await harness.until(lambda: hung.waiting)
    worker.stop()
    await harness.until(lambda: not thread.is_alive(), tick=0.5)
    kinds = [event.kind for event in events if isinstance(event, JobEvent)]
    hung.open()
    assert kinds == ["started", "failed"]
    assert harness.server.count("DELETE") == 1
