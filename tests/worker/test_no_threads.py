"""The system has no more threads: what cannot be run is not claimed, and a stop is heard."""

import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from relay_sdk import AsyncClient, AsyncWorker, Client, Queue, Worker
from relay_sdk.local import LocalServer

PATIENCE = 5
IDS = [str(number) for number in range(30)]


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Allow that many more threads to start, and then none."""
    start, left = threading.Thread.start, [1000]

    def limited(thread: threading.Thread) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        start(thread)

    def allow(number: int) -> None:
        left[0] = number

    monkeypatch.setattr(threading.Thread, "start", limited)
    return allow


def started(worker: Worker) -> tuple[threading.Thread, list[str]]:
    """Run a worker in a thread; give what it raises."""

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001 its traceback may be endless
            raised.append(type(error).__name__)

    raised: list[str] = []
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, raised


def test_jobs_that_no_thread_is_there_for_stay_in_the_queue(allow: Callable[[int], None]) -> None:
    def handle(helper: Any) -> None:
        done.append(helper.raw.id)

    done: list[str] = []
    with LocalServer() as server, Client(server.url) as relay:
        relay.enqueue_batch([Queue("q").job(id, 1, timeout=600, max_retries=0) for id in IDS])
        worker = Worker(relay, "q", handle, concurrency=8, graceful_shutdown_timeout=1)
        allow(4)  # itself, what sends heartbeats, and two more
        thread, raised = started(worker)
        thread.join(1)
        worker.stop()
        thread.join(PATIENCE)
        allow(1000)
        waiting = {helper.raw.id for helper in relay.next("q", len(IDS), timeout=0)}
    assert raised == []
    assert waiting | set(done) == set(IDS)


def test_a_worker_without_a_thread_for_its_request_hears_a_stop(
    allow: Callable[[int], None],
) -> None:
    with LocalServer() as server, Client(server.url) as relay:
        worker = Worker(relay, "q", lambda helper: None)
        allow(2)  # itself, and what sends heartbeats
        thread, raised = started(worker)
        thread.join(1)
        worker.stop()
        thread.join(PATIENCE)
        heard = not thread.is_alive()
        allow(1000)
    assert heard
    assert raised == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_plain_functions_that_no_thread_is_there_for_leave_their_jobs_in_the_queue(
    allow: Callable[[int], None], backend: str
) -> None:
    def handle(helper: Any) -> None:
        done.append(helper.raw.id)

    async def work(url: str) -> None:
        async with AsyncClient(url) as client:
            allow(2)  # for signals, and one more
            async with AsyncWorker(client, "q", handle, concurrency=8, graceful_shutdown_timeout=3):
                await anyio.sleep(0.3)
            allow(1000)  # the loop's end needs one too

    done: list[str] = []
    with LocalServer() as server, Client(server.url) as relay:
        relay.enqueue_batch([Queue("q").job(id, 1, timeout=600, max_retries=0) for id in IDS])
        anyio.run(work, server.url, backend=backend)
        waiting = {helper.raw.id for helper in relay.next("q", len(IDS), timeout=0)}
    assert waiting | set(done) == set(IDS)
