"""What a Worker does with handlers that are still in their threads when the grace is over."""

import threading

import pytest

from relay_sdk import Queue

from .harness import Helper, Rig, do

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", ["sync"])]

CANCEL_GRACE = 5


async def test_after_the_grace_a_handler_in_a_thread_is_told_and_may_save_its_state(
    rig: Rig,
) -> None:
    async def handle(helper: Helper) -> None:
        started.append(helper)
        await gate.passed()
        assert helper.stopping
        await do(helper.heartbeat({"page": 3}))
        raise InterruptedError

    gate = rig.gate()
    started: list[Helper] = []
    rig.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    worker = rig.worker("q", handle, graceful_shutdown_timeout=30)
    async with rig.running(worker):
        await rig.until(lambda: started)
        worker.stop()
        rig.clock.advance(29)
        assert not started[0].stopping
        await rig.until(lambda: started[0].stopping, tick=0.2)
        gate.open()
    assert rig.producer.get("q", "a").state == {"page": 3}


async def test_what_still_runs_in_threads_is_named_and_put_back(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()
        ended.append(helper)

    gate = rig.gate()
    ended: list[Helper] = []
    rig.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in "ab"])
    worker = rig.worker("q", handle, graceful_shutdown_timeout=30)
    thread = threading.Thread(target=worker.run)
    thread.start()
    await rig.until(lambda: gate.waiting == 2)
    worker.stop()
    await rig.until(lambda: not thread.is_alive(), tick=0.5)
    assert rig.clock.monotonic() >= 30 + CANCEL_GRACE
    for id in "ab":
        assert f"job '{id}' in queue 'q' still runs; it is put back" in caplog.text

    # It is not completed behind the back of whoever has it now.
    rig.server.asked.clear()
    gate.open()
    await rig.until(lambda: len(ended) == 2)
    await rig.until(lambda: not _threads("relay_sdk"))
    assert rig.server.asked == []
    assert rig.jobs("q", "a", "b") == ["a", "b"]


def _threads(name: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(name)]
