"""Taking jobs: how many, in which order, and for how long to wait."""

import threading
from datetime import timedelta

import pytest

from relay_sdk import Job, Queue

from ...support.sync_async import AnyClient, first, maybe_await
from ..api import Version
from ..wire import Wire
from .conftest import Kind

pytestmark = pytest.mark.anyio


def due(queue: str, wire: Wire, *ids: str) -> list[Job]:
    """Jobs that are due, in this order."""
    start = wire.now() - timedelta(minutes=1)
    return [
        Queue(queue).job(id, id.upper(), run_at=start + timedelta(seconds=place))
        for place, id in enumerate(ids)
    ]


async def test_as_many_jobs_as_asked_for_in_the_order_of_their_moments(
    relay: AnyClient, wire: Wire, queue: str
) -> None:
    await maybe_await(relay.enqueue_batch(due(queue, wire, "c", "a", "b")))
    taken = [await maybe_await(relay.next(queue, number)) for number in (1, 10)]
    assert [[helper.job.id for helper in helpers] for helpers in taken] == [["c"], ["a", "b"]]
    assert taken[0][0].job.payload == "C"


async def test_one_job_unless_asked_for_more(relay: AnyClient, wire: Wire, queue: str) -> None:
    await maybe_await(relay.enqueue_batch(due(queue, wire, "a", "b")))
    assert len(await maybe_await(relay.next(queue))) == 1


async def test_next_waits_until_there_is_a_job(relay: AnyClient, wire: Wire, queue: str) -> None:
    later = wire.now() + timedelta(seconds=1.5)
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1, run_at=later)))
    (helper,) = await maybe_await(relay.next(queue))
    assert helper.raw.id == "x"
    assert wire.now() >= later


async def test_next_gives_nothing_when_its_time_is_over(relay: AnyClient, queue: str) -> None:
    assert await maybe_await(relay.next(queue, timeout=0)) == []
    assert await maybe_await(relay.next(queue, 5, timeout=0.3)) == []


async def test_jobs_of_other_queues_stay_there(relay: AnyClient, queue: str) -> None:
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1)))
    assert await maybe_await(relay.next(queue + "2", timeout=0)) == []
    assert len(await maybe_await(relay.next(queue, timeout=0))) == 1


async def test_iter_yields_job_after_job(relay: AnyClient, wire: Wire, queue: str) -> None:
    await maybe_await(relay.enqueue_batch(due(queue, wire, "a", "b", "c")))
    helpers = await first(3, relay.iter(queue))
    assert [helper.raw.id for helper in helpers] == ["a", "b", "c"]
    assert await maybe_await(relay.next(queue, timeout=0)) == []


async def test_nothing_is_taken_once_stop_is_set(relay: AnyClient, kind: Kind, queue: str) -> None:
    if kind != "sync":
        pytest.skip("tasks are stopped by cancellation")
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1)))
    stop = threading.Event()
    stop.set()
    assert await maybe_await(relay.next(queue, stop=stop)) == []
    assert list(relay.iter(queue, stop=stop)) == []
    assert len(await maybe_await(relay.next(queue, timeout=0))) == 1


async def test_a_received_job_tells_what_the_version_knows(
    relay: AnyClient, version: Version, queue: str
) -> None:
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1, max_retries=3)))
    waiting = await maybe_await(relay.get(queue, "x"))
    (helper,) = await maybe_await(relay.next(queue))
    running = await maybe_await(relay.get(queue, "x"))
    assert helper.job == running
    assert running.updated_at >= waiting.updated_at
    if version == "v1":
        hidden = (running.created_at, running.run_id, running.retries_remaining)
        assert hidden == (None, None, None)
    else:
        assert waiting.run_id is None
        assert running.run_id is not None
        assert running.created_at == waiting.created_at
        assert running.retries_remaining == 3


async def test_a_job_comes_back_when_its_time_is_over_and_keeps_its_state(
    relay: AnyClient, wire: Wire, queue: str
) -> None:
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1, timeout=1)))
    (before,) = await maybe_await(relay.next(queue))
    await maybe_await(before.heartbeat({"half": "done"}))
    wire.wait(1)
    wire.reap()
    (after,) = await maybe_await(relay.next(queue))
    assert after.job.state == {"half": "done"}
