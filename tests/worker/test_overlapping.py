"""Requests for jobs, ends and heartbeats are on their way together, and none waits for another."""

import threading
import time
from collections import defaultdict
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from attrs import evolve

from relay_sdk import AsyncWorker, Queue
from relay_sdk._base.clock import Stopped, SystemClock
from relay_sdk._base.flow import Request, Response, Step
from relay_sdk._engine.driver import AsyncDriver
from relay_sdk._engine.limiter import MAX_IN_FLIGHT
from relay_sdk.worker.limited_driver import LimitedDriver

from .harness import PATIENCE, Gate, Harness, Helper

pytestmark = pytest.mark.anyio


def is_next(request: httpx.Request) -> bool:
    return request.method == "GET" and "num_jobs" in str(request.url)


async def test_a_job_that_is_done_is_completed_while_a_next_hangs(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gates[helper.raw.id].passed()

    gates = {"a": harness.gate(), "b": harness.gate()}
    hung = harness.gate()
    harness.producer.enqueue_batch([Queue("q").job(id, 1) for id in gates])
    harness.server.delay = lambda request: (
        hung if is_next(request) and harness.server.polls()[1:] else None
    )
    async with harness.running(harness.worker("q", handle, concurrency=3)):
        await harness.until(lambda: hung.waiting)
        for id, gate in gates.items():
            gate.open()
            await harness.until(lambda done=id: not harness.jobs("q", done))
        assert harness.server.polls() == [3, 1]
        hung.open()


async def test_free_slots_are_filled_while_another_next_hangs(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gates[helper.raw.id].passed()

    def delay(request: httpx.Request) -> Gate | None:
        return hung if is_next(request) and len(harness.server.polls()) == 2 else None

    ids = [f"{number:02}" for number in range(30)]
    gates = {id: harness.gate() for id in ids}
    hung = harness.gate()
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in ids])
    harness.server.delay = delay
    async with harness.running(harness.worker("q", handle, concurrency=8)):
        await harness.until(lambda: sum(gate.waiting for gate in gates.values()) == 8)
        first = [id for id, gate in gates.items() if gate.waiting]
        gates[first[0]].open()
        await harness.until(lambda: hung.waiting)
        for id in first[1:5]:
            gates[id].open()
        await harness.until(lambda: sum(gate.waiting for gate in gates.values()) == 12)
        assert harness.server.polls() == [8, 1, 4]
        # One slot is promised to the request that hangs: with it, eight jobs are claimed.
        claimed = [job for job in ids if id_is_claimed(harness, job)]
        assert len(claimed) == 8
        hung.open()
        for gate in gates.values():
            gate.open()
        await harness.until(lambda: not harness.jobs("q", *ids), tick=0.1)


def id_is_claimed(harness: Harness, id: str) -> bool:
    return harness.producer.exists("q", id) and harness.producer.get("q", id).run_id is not None


async def test_another_queue_is_served_while_a_next_is_held(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        done.append(helper.raw.id)

    def delay(request: httpx.Request) -> Gate | None:
        empty = is_next(request) and "/empty/" in request.url.path
        return held if empty and request.url.params["num_jobs"] == "1" else None

    done: list[str] = []
    held = harness.gate()
    harness.server.delay = delay
    worker = harness.worker("empty", handle, concurrency=4).add("busy", harness.adapted(handle))
    async with harness.running(worker):
        await harness.until(lambda: held.waiting, tick=0.1)
        for round in range(3):
            ids = [f"{round}-{number}" for number in range(7)]
            harness.producer.enqueue_batch([Queue("busy").job(id, 1) for id in ids])
            await harness.until(lambda ids=ids: set(ids) <= set(done), tick=0.1)
        held.open()


async def test_a_stop_ends_a_next_that_the_server_holds(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handle(helper: Helper) -> None: ...

    held = harness.gate()
    worker = harness.worker("q", handle)
    if isinstance(worker, AsyncWorker):
        harness.server.delay = lambda _: held if len(harness.server.polls()) == 2 else None
    else:
        wait = worker._driver.perform

        def wait_or_stop(step: Step, stop: threading.Event | None = None) -> object:
            if not isinstance(step, Request) or len(harness.server.polls()) < 1:
                return wait(step, stop)
            held.waiting += 1
            assert stop is not None
            assert stop.wait(PATIENCE)
            raise Stopped

        monkeypatch.setattr(worker._driver, "perform", wait_or_stop)
    async with harness.running(worker):
        await harness.until(lambda: held.waiting, tick=0.1)
        harness.clock.advance(1)
        worker.stop()
    assert harness.clock.monotonic() < PATIENCE / 2


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_few_of_many_jobs_that_end_together_are_completed_at_once(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate, slow = harness.gate(), harness.gate()
    ids = [str(number) for number in range(3 * MAX_IN_FLIGHT)]
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in ids])
    harness.server.delay = lambda request: slow if request.method == "DELETE" else None
    async with harness.running(harness.worker("q", handle, concurrency=len(ids))):
        await harness.until(lambda: gate.waiting == len(ids))
        gate.open()
        await harness.until(lambda: slow.waiting == MAX_IN_FLIGHT)
        await anyio.wait_all_tasks_blocked()
        assert slow.waiting == MAX_IN_FLIGHT
        slow.open()
        await harness.until(lambda: not harness.jobs("q", *ids), tick=0.1)


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_heartbeats_wait_for_no_ends_and_ends_not_for_those_that_hang(
    harness: Harness,
) -> None:
    async def handle(helper: Any) -> None:
        await (ill if helper.raw.id in sick else gate).passed()

    ill, gate, hung = harness.gate(), harness.gate(), harness.gate()
    sick = [f"sick{number}" for number in range(2 * MAX_IN_FLIGHT)]
    well = [f"well{number}" for number in range(5)]
    jobs = [Queue("q").job(id, 1, timeout=30) for id in [*sick, *well]]
    harness.producer.enqueue_batch(jobs)
    harness.server.delay = lambda request: (
        hung if request.method == "DELETE" and "/sick" in request.url.path else None
    )
    async with harness.running(harness.worker("q", handle, concurrency=len(jobs))):
        await harness.until(lambda: ill.waiting + gate.waiting == len(jobs))
        ill.open()
        await harness.until(lambda: hung.waiting == MAX_IN_FLIGHT)
        harness.clock.advance(10)
        await harness.until(lambda: harness.server.count("PATCH") >= len(jobs) - MAX_IN_FLIGHT)
        gate.open()
        await harness.until(lambda: not harness.jobs("q", *well), tick=0.2)
        hung.open()


class Unanswered:
    """Answers a request when it is told to."""

    def __init__(self) -> None:
        self.answers = defaultdict[str, anyio.Event](anyio.Event)

    async def send(self, call: Request) -> Response:
        await self.answers[call.target].wait()
        return Response(200, {}, b"")


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_one_task_looks_after_requests_that_hang_however_often_others_wait(
    harness: Harness,
) -> None:
    http, started = Unanswered(), list[object]()
    limited = LimitedDriver(AsyncDriver(harness.client()._driver.config, http))  # type: ignore[arg-type]
    limited.open(started.append)
    async with anyio.create_task_group() as group:
        for number in range(MAX_IN_FLIGHT + 10):
            group.start_soon(limited.send, Request("DELETE", str(number)))
            await anyio.wait_all_tasks_blocked()
            if number >= MAX_IN_FLIGHT:
                assert len(http.answers) == number
                http.answers[str(number - MAX_IN_FLIGHT)].set()
                await anyio.wait_all_tasks_blocked()
        assert len(started) == 1
        group.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_job_that_waits_for_its_turn_can_be_cancelled(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate, hung = harness.gate(), harness.gate()
    ids = [str(number) for number in range(MAX_IN_FLIGHT + 5)]
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in ids])
    harness.server.delay = lambda request: hung if request.method == "DELETE" else None
    before = len(anyio.get_running_tasks())
    async with anyio.create_task_group() as group:
        group.start_soon(harness.worker("q", handle, concurrency=len(ids)).run)
        await harness.until(lambda: gate.waiting == len(ids))
        gate.open()
        await harness.until(lambda: hung.waiting == MAX_IN_FLIGHT)
        harness.server.delay = lambda _: None
        group.cancel_scope.cancel()
    assert len(anyio.get_running_tasks()) == before


class Slow:
    """A gate that lets each reply pass after a moment."""

    async def passed(self) -> None:
        await anyio.sleep(0.002)


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_an_automatic_heartbeat_takes_its_turn_among_those_of_handlers(
    harness: Harness,
) -> None:
    async def handle(helper: Any) -> None:
        while helper.raw.id != "quiet" and not quiet_is_kept():
            await helper.heartbeat()
        await gate.passed()

    def quiet_is_kept() -> bool:
        return any(line.startswith("PATCH") and "/quiet/" in line for line in harness.server.asked)

    gate = harness.gate()
    ids = [f"storm{number}" for number in range(MAX_IN_FLIGHT + 20)]
    harness.producer.enqueue(Queue("q").job("quiet", 1, timeout=30))
    harness.producer.enqueue_batch([Queue("q").job(id, 1, timeout=3000) for id in ids])
    harness.server.delay = lambda request: Slow() if request.method == "PATCH" else None  # type: ignore[assignment,return-value]
    async with harness.running(harness.worker("q", handle, concurrency=len(ids) + 1)):
        await harness.until(lambda: harness.server.count("PATCH") > 2 * len(ids))
        harness.clock.advance(10)
        await harness.until(quiet_is_kept)
        gate.open()


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_limit_that_opened_while_the_event_loop_was_blocked_ends_nothing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """anyio refuses a negative delay."""
    monkeypatch.setattr("relay_sdk._engine.limiter.HANGING_AFTER", 0.01)
    http, config = Unanswered(), evolve(harness.client()._driver.config, clock=SystemClock())
    limited = LimitedDriver(AsyncDriver(config, http))  # type: ignore[arg-type]
    async with anyio.create_task_group() as group:
        limited.open(group.start_soon)
        for number in range(MAX_IN_FLIGHT + 1):
            group.start_soon(limited.send, Request("GET", str(number)))
        await anyio.lowlevel.checkpoint()
        time.sleep(0.03)  # noqa: ASYNC251 the blocked event loop
        with anyio.fail_after(PATIENCE):
            while len(http.answers) <= MAX_IN_FLIGHT:
                await anyio.sleep(0.001)
        group.cancel_scope.cancel()
