"""A worker takes what it has free slots for, in as few requests as it can."""

import threading
from itertools import pairwise

import anyio
import pytest

from relay_sdk import Backoff, Queue

from .harness import Helper, Rig

pytestmark = pytest.mark.anyio


async def test_it_asks_for_as_many_jobs_as_there_are_free_slots(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        await gates[helper.raw.id].passed()

    gates = {str(number): rig.gate() for number in range(9)}
    rig.producer.enqueue_batch([Queue("q").job(id, 1) for id in gates])
    async with rig.running(rig.worker("q", handle, concurrency=4)):
        await rig.until(lambda: sum(gate.waiting for gate in gates.values()) == 4)
        assert rig.server.polls() == [4]
        started = [id for id, gate in gates.items() if gate.waiting]
        gates[started[0]].open()
        await rig.until(lambda: sum(gate.waiting for gate in gates.values()) == 5)
        assert rig.server.polls() == [4, 1]
        for gate in gates.values():
            gate.open()
        await rig.until(lambda: not rig.jobs("q", *gates), tick=0.1)
    assert sum(rig.server.polls()[2:]) >= 4


async def test_a_full_worker_asks_for_nothing(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = rig.gate()
    rig.producer.enqueue_batch([Queue("q").job(str(n), 1, timeout=3600) for n in range(5)])
    async with rig.running(rig.worker("q", handle, concurrency=2)):
        await rig.until(lambda: gate.waiting == 2)
        for _ in range(20):
            rig.clock.advance(1)
            await rig.until(lambda: True)
        assert rig.server.polls() == [2]
        gate.open()


async def test_it_never_runs_more_than_its_concurrency(rig: Rig) -> None:
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
    gates = {id: rig.gate(opened=int(id) >= 5 and int(id) % 3 == 0) for id in ids}
    rig.producer.enqueue_batch([Queue("q").job(id, 1) for id in ids])

    def all_done() -> bool:
        with lock:
            for id in running:
                gates[id].open()
        return len(done) == len(ids)

    async with rig.running(rig.worker("q", handle, concurrency=5)):
        await rig.until(lambda: len(running) == 5)
        await rig.until(all_done, tick=0.1)
    assert max(most) == 5
    assert sorted(done) == sorted(ids)


async def test_it_holds_no_job_that_it_is_not_running(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = rig.gate()
    ids = [str(number) for number in range(10)]
    rig.producer.enqueue_batch([Queue("q").job(id, 1) for id in ids])
    async with rig.running(rig.worker("q", handle, concurrency=3)):
        await rig.until(lambda: gate.waiting == 3)
        taken = [id for id in ids if rig.producer.get("q", id).run_id]
        assert len(taken) == 3
        gate.open()


async def test_an_idle_worker_polls_more_and_more_slowly_and_is_quick_again(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)

    def note(request: object) -> None:
        polls.append(rig.clock.monotonic())

    done: list[str] = []
    polls: list[float] = []
    rig.server.trouble = note
    backoff = Backoff(0.5, maximum=8, factor=2, jitter=0)
    async with rig.running(rig.worker("q", handle, client=rig.client(next_backoff=backoff))):
        await rig.until(lambda: len(polls) == 7, tick=0.05)
        waits = [after - before for before, after in pairwise(polls)]
        assert waits == pytest.approx([0.5, 1, 2, 4, 8, 8], abs=0.45)
        rig.producer.enqueue(Queue("q").job("a", 1))
        await rig.until(lambda: done, tick=0.1)
        came = rig.clock.monotonic()
        await rig.until(lambda: polls[-1] > came, tick=0.1)
        assert polls[-1] - came == pytest.approx(0.5, abs=0.45)


async def test_a_queue_that_is_always_full_starves_no_other(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        order.append(helper.raw.queue)

    order: list[str] = []
    rig.producer.enqueue_batch([Queue("full").job(str(n), 1) for n in range(100)])
    rig.producer.enqueue_batch([Queue("rare").job(str(n), 1) for n in range(5)])
    worker = rig.worker("full", handle, concurrency=1).add("rare", rig.adapted(handle))
    async with rig.running(worker):
        await rig.until(lambda: len(order) == 105, tick=0.1)
    last = max(index for index, queue in enumerate(order) if queue == "rare")
    assert last < 15


async def test_each_queue_has_its_own_handler_and_they_share_the_slots(rig: Rig) -> None:
    async def one(helper: Helper) -> None:
        ran.append(("one", helper.raw.queue))
        await gate.passed()

    async def two(helper: Helper) -> None:
        ran.append(("two", helper.raw.queue))
        await gate.passed()

    ran: list[tuple[str, str]] = []
    gate = rig.gate()
    rig.producer.enqueue(Queue("1").job("a", 1))
    rig.producer.enqueue_batch([Queue("2").job(str(n), 1) for n in range(5)])
    worker = rig.worker("1", one, concurrency=3).add("2", rig.adapted(two))
    async with rig.running(worker):
        await rig.until(lambda: gate.waiting == 3)
        assert sorted(ran) == [("one", "1"), ("two", "2"), ("two", "2")]
        gate.open()
        await rig.until(lambda: len(ran) == 6, tick=0.1)


async def test_a_queue_is_not_asked_when_another_has_filled_the_slots(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = rig.gate()
    rig.producer.enqueue_batch([Queue("1").job(str(n), 1) for n in range(3)])
    worker = rig.worker("1", handle, concurrency=2).add("2", rig.adapted(handle))
    async with rig.running(worker):
        await rig.until(lambda: gate.waiting == 2)
        await anyio.wait_all_tasks_blocked()
        assert rig.server.asked == ["GET /v2/queues/1/jobs?num_jobs=2"]
        gate.open()


async def test_the_api_version_is_asked_for_once(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)

    done: list[str] = []
    rig.producer.enqueue_batch([Queue("q").job(str(n), 1) for n in range(20)])
    async with rig.running(rig.worker("q", handle, client=rig.client(api="auto"))):
        await rig.until(lambda: not rig.jobs("q", *map(str, range(20))), tick=0.1)
    assert len([line for line in rig.server.asked if line.endswith("num_jobs=0")]) == 1


def test_a_worker_that_could_not_work_is_refused(rig: Rig) -> None:
    async def handle(helper: Helper) -> None: ...

    with pytest.raises(ValueError, match="concurrency must be from 1"):
        rig.worker("q", handle, concurrency=0)
    with pytest.raises(TypeError, match="concurrency must be an int"):
        rig.worker("q", handle, concurrency=1.5)
    with pytest.raises(ValueError, match="graceful_shutdown_timeout must be 0 or more"):
        rig.worker("q", handle, graceful_shutdown_timeout=-1)
    with pytest.raises(ValueError, match="queue 'q' has a handler already"):
        rig.worker("q", handle).add("q", rig.adapted(handle))


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
async def test_where_the_system_has_few_threads_each_job_is_done_once(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)

    done: list[str] = []
    ids = [f"{number:03}" for number in range(60)]
    rig.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in ids])
    async with rig.running(rig.worker("q", handle, concurrency=8)):
        await rig.until(lambda: len(done) == len(ids), tick=0.05)
        await rig.until(lambda: not rig.jobs("q", *ids), tick=0.05)
    assert sorted(done) == ids


@pytest.mark.usefixtures("scarce")
@pytest.mark.parametrize("kind", ["sync"])
async def test_jobs_that_wait_for_a_thread_are_kept_alive(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()
        done.append(helper.raw.id)

    done: list[str] = []
    gate = rig.gate()
    rig.producer.enqueue_batch([Queue("q").job(id, 1, timeout=30) for id in "abc"])
    async with rig.running(rig.worker("q", handle)):
        await rig.until(lambda: gate.waiting)
        for beats in range(3, 16, 3):
            await rig.until(lambda n=beats: rig.server.count("PATCH") >= n, tick=0.2)
        beaten = {line.split("/")[-1] for line in rig.server.asked if line.startswith("PATCH")}
        assert len(beaten) == 3
        gate.open()
        await rig.until(lambda: not rig.jobs("q", *"abc"), tick=0.05)
    assert sorted(done) == ["a", "b", "c"]


@pytest.mark.usefixtures("scarce")
@pytest.mark.parametrize("kind", ["sync"])
async def test_jobs_that_wait_for_a_thread_are_put_back_when_the_worker_stops(rig: Rig) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)
        await gate.passed()

    done: list[str] = []
    gate = rig.gate()
    rig.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in "abc"])
    worker = rig.worker("q", handle)
    async with rig.running(worker):
        await rig.until(lambda: gate.waiting)
        worker.stop()
        gate.open()
    assert len(done) == 1
    assert len(rig.producer.next("q", 5, timeout=0)) == 2
