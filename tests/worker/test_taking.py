"""A worker takes what it has free slots for, in as few requests as it can."""

import threading
from itertools import pairwise

import anyio
import pytest

from relay_sdk import Backoff, Queue

from .harness import Harness, Helper

pytestmark = pytest.mark.anyio


async def test_it_asks_for_as_many_jobs_as_there_are_free_slots(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gates[helper.raw.id].passed()

    gates = {str(number): harness.gate() for number in range(9)}
    harness.producer.enqueue_batch([Queue("q").job(id, 1) for id in gates])
    async with harness.running(harness.worker("q", handle, concurrency=4)):
        await harness.until(lambda: sum(gate.waiting for gate in gates.values()) == 4)
        assert harness.server.polls() == [4]
        started = [id for id, gate in gates.items() if gate.waiting]
        gates[started[0]].open()
        await harness.until(lambda: sum(gate.waiting for gate in gates.values()) == 5)
        assert harness.server.polls() == [4, 1]
        for gate in gates.values():
            gate.open()
        await harness.until(lambda: not harness.jobs("q", *gates), tick=0.1)
    assert sum(harness.server.polls()[2:]) >= 4


async def test_a_full_worker_asks_for_nothing(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue_batch([Queue("q").job(str(n), 1, timeout=3600) for n in range(5)])
    async with harness.running(harness.worker("q", handle, concurrency=2)):
        await harness.until(lambda: gate.waiting == 2)
        for _ in range(20):
            harness.clock.advance(1)
            await harness.until(lambda: True)
        assert harness.server.polls() == [2]
        gate.open()


async def test_it_never_runs_more_than_its_concurrency(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        with lock:
            running.add(helper.raw.id)
            most.append(len(running))
        await gates[helper.raw.id].passed()
        with lock:
            running.discard(helper.raw.id)
            done.append(helper.raw.id)

    lock = threading.Lock()
    running: set[str] = set()
    most: list[int] = []
    done: list[str] = []
    ids = [str(number) for number in range(60)]
    gates = {id: harness.gate(opened=int(id) >= 5 and int(id) % 3 == 0) for id in ids}
    harness.producer.enqueue_batch([Queue("q").job(id, 1) for id in ids])

    def all_done() -> bool:
        with lock:
            for id in running:
                gates[id].open()
        return len(done) == len(ids)

    async with harness.running(harness.worker("q", handle, concurrency=5)):
        await harness.until(lambda: len(running) == 5)
        await harness.until(all_done, tick=0.1)
    assert max(most) == 5
    assert sorted(done) == sorted(ids)


async def test_it_holds_no_job_that_it_is_not_running(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    ids = [str(number) for number in range(10)]
    harness.producer.enqueue_batch([Queue("q").job(id, 1) for id in ids])
    async with harness.running(harness.worker("q", handle, concurrency=3)):
        await harness.until(lambda: gate.waiting == 3)
        taken = [id for id in ids if harness.producer.get("q", id).run_id]
        assert len(taken) == 3
        gate.open()


async def test_an_idle_worker_polls_more_and_more_slowly_and_is_quick_again(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)

    def note(request: object) -> None:
        polls.append(harness.clock.monotonic())

    done: list[str] = []
    polls: list[float] = []
    harness.server.trouble = note
    backoff = Backoff(0.5, maximum=8, factor=2, jitter=0)
    async with harness.running(
        harness.worker("q", handle, client=harness.client(next_backoff=backoff))
    ):
        await harness.until(lambda: len(polls) == 7, tick=0.05)
        waits = [after - before for before, after in pairwise(polls)]
        assert waits == pytest.approx([0.5, 1, 2, 4, 8, 8], abs=0.45)
        harness.producer.enqueue(Queue("q").job("a", 1))
        await harness.until(lambda: done, tick=0.1)
        came = harness.clock.monotonic()
        await harness.until(lambda: polls[-1] > came, tick=0.1)
        assert polls[-1] - came == pytest.approx(0.5, abs=0.45)


async def test_a_queue_that_is_always_full_starves_no_other(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        order.append(helper.raw.queue)

    order: list[str] = []
    harness.producer.enqueue_batch([Queue("full").job(str(n), 1) for n in range(100)])
    harness.producer.enqueue_batch([Queue("rare").job(str(n), 1) for n in range(5)])
    worker = harness.worker("full", handle, concurrency=1).add("rare", harness.adapted(handle))
    async with harness.running(worker):
        await harness.until(lambda: len(order) == 105, tick=0.1)
    last = max(index for index, queue in enumerate(order) if queue == "rare")
    assert last < 15


async def test_each_queue_has_its_own_handler_and_they_share_the_slots(harness: Harness) -> None:
    async def one(helper: Helper) -> None:
        ran.append(("one", helper.raw.queue))
        await gate.passed()

    async def two(helper: Helper) -> None:
        ran.append(("two", helper.raw.queue))
        await gate.passed()

    ran: list[tuple[str, str]] = []
    gate = harness.gate()
    harness.producer.enqueue(Queue("1").job("a", 1))
    harness.producer.enqueue_batch([Queue("2").job(str(n), 1) for n in range(5)])
    worker = harness.worker("1", one, concurrency=3).add("2", harness.adapted(two))
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting == 3)
        assert sorted(ran) == [("one", "1"), ("two", "2"), ("two", "2")]
        gate.open()
        await harness.until(lambda: len(ran) == 6, tick=0.1)


async def test_a_queue_is_not_asked_when_another_has_filled_the_slots(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue_batch([Queue("1").job(str(n), 1) for n in range(3)])
    worker = harness.worker("1", handle, concurrency=2).add("2", harness.adapted(handle))
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting == 2)
        await anyio.wait_all_tasks_blocked()
        assert harness.server.asked == ["GET /v2/queues/1/jobs?num_jobs=2"]
        gate.open()


async def test_the_api_version_is_asked_for_once(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)

    done: list[str] = []
    harness.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(20)])
    async with harness.running(harness.worker("q", handle, client=harness.client(api="auto"))):
        await harness.until(lambda: not harness.jobs("q", *map(str, range(20))), tick=0.1)
    assert len([line for line in harness.server.asked if line.endswith("num_jobs=0")]) == 1


def test_a_worker_that_could_not_work_is_refused(harness: Harness) -> None:
    async def handle(helper: Helper) -> None: ...

    with pytest.raises(ValueError, match="concurrency must be from 1"):
        harness.worker("q", handle, concurrency=0)
    with pytest.raises(TypeError, match="concurrency must be an int"):
        harness.worker("q", handle, concurrency=1.5)
    with pytest.raises(ValueError, match="graceful_shutdown_timeout must be 0 or more"):
        harness.worker("q", handle, graceful_shutdown_timeout=-1)
    with pytest.raises(ValueError, match="queue 'q' has a handler already"):
        harness.worker("q", handle).add("q", harness.adapted(handle))


@pytest.fixture
def threads() -> int:
    """How many threads the system has."""
    return 2


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    class Scarce(threading.Thread):
        started = 0

        def start(self) -> None:
            if Scarce.started == threads:
                raise RuntimeError("can't start new thread")
            Scarce.started += 1
            super().start()

    monkeypatch.setattr(threading, "Thread", Scarce)


@pytest.mark.usefixtures("scarce")
@pytest.mark.parametrize("kind", ["sync"])
@pytest.mark.parametrize("threads", [2, 3, 5])
async def test_where_the_system_has_few_threads_each_job_is_done_once(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)

    done: list[str] = []
    ids = [f"{number:03}" for number in range(60)]
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in ids])
    async with harness.running(harness.worker("q", handle, concurrency=8)):
        await harness.until(lambda: len(done) == len(ids), tick=0.05)
        await harness.until(lambda: not harness.jobs("q", *ids), tick=0.05)
    assert sorted(done) == ids


@pytest.mark.usefixtures("scarce")
@pytest.mark.parametrize("kind", ["sync"])
async def test_jobs_that_wait_for_a_thread_are_kept_alive(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()
        done.append(helper.raw.id)

    done: list[str] = []
    gate = harness.gate()
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=30) for id in "abc"])
    async with harness.running(harness.worker("q", handle)):
        await harness.until(lambda: gate.waiting)
        for beats in range(3, 16, 3):
            await harness.until(lambda n=beats: harness.server.count("PATCH") >= n, tick=0.2)
        beaten = {line.split("/")[-1] for line in harness.server.asked if line.startswith("PATCH")}
        assert len(beaten) == 3
        gate.open()
        await harness.until(lambda: not harness.jobs("q", *"abc"), tick=0.05)
    assert sorted(done) == ["a", "b", "c"]


@pytest.mark.usefixtures("scarce")
@pytest.mark.parametrize("kind", ["sync"])
async def test_jobs_that_wait_for_a_thread_are_put_back_when_the_worker_stops(
    harness: Harness,
) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)
        await gate.passed()

    done: list[str] = []
    gate = harness.gate()
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in "abc"])
    worker = harness.worker("q", handle)
    async with harness.running(worker):
        await harness.until(lambda: gate.waiting)
        worker.stop()
        gate.open()
    assert len(done) == 1
    assert len(harness.producer.next("q", 5, timeout=0)) == 2
