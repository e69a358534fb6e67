"""SIGTERM and SIGINT stop a worker in the main thread; what was set for them before comes back."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest

from relay_sdk import AsyncWorker, Client, Queue, Worker
from relay_sdk.worker.signals import stop_on_signals

from .harness import Harness, Server

SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(autouse=True)
def own() -> Iterator[Any]:
    """A handler of the program, which is to be there again; the signals that came to it."""
    came: list[int] = []

    def own(number: int, _: object) -> None:
        came.append(number)

    before = {number: signal.signal(number, own) for number in SIGNALS}
    yield came
    assert {signal.getsignal(number) for number in SIGNALS} == {own}
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with httpx.Client(transport=server, verify=False) as http:
        yield Client("http://server", http_client=http, api="v2")


class Stopping(Worker):
    """Tells when it was stopped."""

    stopped: threading.Event

    def stop(self) -> None:
        super().stop()
        self.stopped.set()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_a_worker_on_threads(client: Client, own: list[int], number: int) -> None:
    def handle(helper: Any) -> None:
        done.append(helper.job.id)
        os.kill(os.getpid(), number)
        assert stopped.wait(20)

    done: list[str] = []
    stopped = threading.Event()
    client.enqueue_batch([Queue("q").job(str(n), 1) for n in range(10)])
    worker = Stopping(client, "q", handle, concurrency=1)
    worker.stopped = stopped
    worker.run()
    assert done == ["0"]
    assert own == []
    assert not client.exists("q", "0")


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["asyncio", "trio"])
@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_stops_a_worker_on_tasks(
    harness: Harness, own: list[int], number: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(helper: Any) -> None:
        done.append(helper.job.id)
        os.kill(os.getpid(), number)
        await harness.until(lambda: "1 jobs are running" in caplog.text)

    caplog.set_level(logging.INFO, "relay_sdk")
    done: list[str] = []
    harness.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(10)])
    with anyio.fail_after(20):
        await AsyncWorker(harness.client(), "q", handle, concurrency=1).run()
    assert done == ["0"]
    assert own == []
    assert harness.jobs("q", "0") == []


def test_jobs_that_come_with_the_signal_are_put_back(client: Client, server: Server) -> None:
    def interrupt(request: httpx.Request) -> None:
        server.trouble = lambda _: None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.wait(20)

    done: list[str] = []
    stopped = threading.Event()
    client.enqueue_batch([Queue("q").job(id, 1) for id in "abc"])
    worker = Stopping(client, "q", lambda helper: done.append(helper.raw.id))
    worker.stopped = stopped
    server.trouble = interrupt
    worker.run()
    assert done == []
    assert len(client.next("q", 5, timeout=0)) == 3


def test_the_second_signal_goes_to_who_had_it_before(client: Client, own: list[int]) -> None:
    def handle(helper: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        while signal.getsignal(signal.SIGTERM) is not before:
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        while own == []:
            pass
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGTERM)
    client.enqueue(Queue("q").job("a", 1))
    Worker(client, "q", handle, concurrency=1).run()
    assert own == [signal.SIGTERM, signal.SIGINT]


def test_the_handlers_come_back_when_it_was_stopped_from_code(client: Client) -> None:
    worker = Worker(client, "q", lambda helper: None)
    timer = threading.Timer(0.05, worker.stop)
    timer.start()
    worker.run()
    timer.join()


def test_in_another_thread_signals_are_left_alone(client: Client, own: list[int]) -> None:
    with Worker(client, "q", lambda helper: None):
        signal.raise_signal(signal.SIGTERM)
        assert own == [signal.SIGTERM]


def test_leaving_does_not_wait_for_a_stop_that_waits_for_this_thread() -> None:
    """As a stop does that has to run in this thread's event loop."""

    def stop() -> None:
        stopping.set()
        freed.append(left.wait(3))

    stopping, left = threading.Event(), threading.Event()
    freed: list[bool] = []
    with stop_on_signals(stop):
        signal.raise_signal(signal.SIGTERM)
        assert stopping.wait(3)
    left.set()
    assert freed in ([], [True])


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As a supervisor, or nohup, wants it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_on_signals(lambda: None):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not before
    finally:
        signal.signal(signal.SIGINT, before)


def test_one_signal_stops_all_workers_of_a_process(
    client: Client, server: Server, own: list[int]
) -> None:
    """One in the main thread, one in a block, and one that has begun after them."""

    def first(helper: Any) -> None:
        with Worker(client, "third", lambda helper: None) as third:
            assert third._thread
            while not any("third" in line for line in server.asked):
                third._thread.join(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            third._thread.join(20)
            assert not third._thread.is_alive()

    client.enqueue(Queue("first").job("a", 1))
    with Worker(client, "second", lambda helper: None) as second:
        Worker(client, "first", first).run()
        assert second._thread
        second._thread.join(20)
        assert not second._thread.is_alive()
    assert own == []
    assert not client.exists("first", "a")


def asked(harness: Harness, queues: str) -> bool:
    """Whether there is a worker at work on each queue."""
    return all(
        any(f"/queues/{queue}/" in line for line in harness.server.asked) for queue in queues
    )


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_one_signal_stops_all_workers_of_a_loop(harness: Harness, own: list[int]) -> None:
    async def handle(helper: Any) -> None: ...

    workers = [AsyncWorker(harness.client(), name, handle) for name in "abc"]
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for worker in workers:
                group.start_soon(worker.run)
            await harness.until(lambda: asked(harness, "abc"), tick=0.1)
            os.kill(os.getpid(), signal.SIGTERM)
    assert own == []


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["asyncio", "trio"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_workers_may_stop_in_any_order(
    harness: Harness, own: list[int], order: tuple[int, int]
) -> None:
    async def handle(helper: Any) -> None: ...

    workers = [AsyncWorker(harness.client(), name, handle) for name in "ab"]
    async with anyio.create_task_group() as group:
        for worker in workers:
            group.start_soon(worker.run)
        await harness.until(lambda: asked(harness, "ab"), tick=0.1)
        workers[order[0]].stop()
        await anyio.wait_all_tasks_blocked()
        assert own == []
        os.kill(os.getpid(), signal.SIGTERM)  # it is the other's, and not the program's
    assert own == []


def test_a_handler_that_was_set_meanwhile_stays(client: Client, own: list[int]) -> None:
    def other(number: int, _: object) -> None: ...

    ours = signal.getsignal(signal.SIGTERM)
    with stop_on_signals(lambda: None):
        signal.signal(signal.SIGTERM, other)
    assert signal.getsignal(signal.SIGTERM) is other
    signal.signal(signal.SIGTERM, ours)


def test_a_second_signal_that_comes_before_the_first_was_seen_is_not_lost(own: list[int]) -> None:
    """Python notes that a signal came, not how often; the main thread sleeps meanwhile."""

    def send_two() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        # Until the system has delivered it, a second one would be the same.
        while signal.SIGTERM in signal.sigpending():
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    stopped = threading.Event()
    with stop_on_signals(stopped.set):
        sender = threading.Thread(target=send_two)
        # So another thread gets them, and this one is not interrupted.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        try:
            sender.start()
            assert stopped.wait(20)
            for _ in range(2000):
                if own:
                    break
                threading.Event().wait(0.005)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        sender.join()
    while any(thread.name == "relay_sdk signals" for thread in threading.enumerate()):
        threading.Event().wait(0.005)
    # Twice, when it came in the moment in which the handlers were brought back.
    assert own in ([signal.SIGTERM], [signal.SIGTERM] * 2)


def test_a_signal_to_a_child_is_none_to_its_parent(own: list[int]) -> None:
    stops: list[int] = []
    with stop_on_signals(lambda: stops.append(os.getpid())):
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(1)
        _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == signal.SIGTERM
        pid = os.fork()
        if not pid:
            # What was set before the worker is there again.
            restored = signal.getsignal(signal.SIGTERM) is signal.getsignal(signal.SIGINT)
            os._exit(0 if restored else 1)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    assert stops == []


def test_a_worker_made_before_a_fork_refuses_to_run_in_the_child(client: Client) -> None:
    worker = Worker(client, "q", lambda helper: None)
    pid = os.fork()
    if not pid:
        try:
            worker.run()
        except RuntimeError as error:
            os._exit(0 if "made before a fork" in str(error) else 1)
        os._exit(2)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_worker_that_does_not_hear_of_a_signal_keeps_it_from_no_other(own: list[int]) -> None:
    blocked, heard = threading.Event(), threading.Event()
    with stop_on_signals(lambda: blocked.wait(20)), stop_on_signals(heard.set):
        os.kill(os.getpid(), signal.SIGTERM)
        in_time = heard.wait(3)
        blocked.set()
    assert in_time
