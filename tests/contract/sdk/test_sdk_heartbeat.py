"""Heartbeats keep the job and its state, and tell when it is lost."""

import anyio
import pytest

from relay_sdk import JobLostError, Queue
from relay_sdk.testing import Clock

from ...support.sync_async import AnyClient, entered, maybe_await
from ..api import Version
from ..wire import Wire
from .conftest import Connect, Kind

pytestmark = pytest.mark.anyio


async def test_a_heartbeat_without_an_argument_keeps_the_state(
    relay: AnyClient, queue: str
) -> None:
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1, state={"from": "enqueue"})))
    (helper,) = await maybe_await(relay.next(queue))
    await maybe_await(helper.heartbeat())
    assert (await maybe_await(relay.get(queue, "x"))).state == {"from": "enqueue"}
    await maybe_await(helper.heartbeat({"from": "heartbeat"}))
    await maybe_await(helper.heartbeat())
    assert (await maybe_await(relay.get(queue, "x"))).state == {"from": "heartbeat"}


async def test_none_erases_the_state_and_it_stays_erased(relay: AnyClient, queue: str) -> None:
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1, state="old")))
    (helper,) = await maybe_await(relay.next(queue))
    await maybe_await(helper.heartbeat(None))
    assert (await maybe_await(relay.get(queue, "x"))).state is None
    await maybe_await(helper.heartbeat())
    assert (await maybe_await(relay.get(queue, "x"))).state is None


async def test_a_heartbeat_prolongs_the_run(relay: AnyClient, wire: Wire, queue: str) -> None:
    timeout = 2 * int(wire.reap_interval) + 2
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1, timeout=timeout)))
    (helper,) = await maybe_await(relay.next(queue))
    for _ in range(2):
        wire.wait(timeout / 2 + 0.5)
        await maybe_await(helper.heartbeat())
    assert await maybe_await(relay.next(queue, timeout=0)) == []


async def test_a_heartbeat_tells_that_the_job_is_gone(relay: AnyClient, queue: str) -> None:
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1)))
    (helper,) = await maybe_await(relay.next(queue))
    await maybe_await(relay.remove(queue, "x"))
    assert not helper.lost
    with pytest.raises(JobLostError) as raised:
        await maybe_await(helper.heartbeat())
    assert (raised.value.queue, raised.value.id) == (queue, "x")
    assert helper.lost
    with pytest.raises(JobLostError):
        await maybe_await(helper.complete())


async def test_a_heartbeat_tells_that_the_job_was_handed_to_another_worker(
    relay: AnyClient, version: Version, wire: Wire, queue: str
) -> None:
    if version == "v1":
        pytest.skip("API v1 does not tell runs apart")
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1, timeout=0)))
    (stale,) = await maybe_await(relay.next(queue))
    wire.reap()
    (fresh,) = await maybe_await(relay.next(queue))
    await maybe_await(fresh.heartbeat("fresh"))
    with pytest.raises(JobLostError):
        await maybe_await(stale.heartbeat("stale"))
    assert (await maybe_await(relay.get(queue, "x"))).state == "fresh"


async def test_rescheduling_tells_on_v1_that_the_job_is_gone(
    relay: AnyClient, version: Version, wire: Wire, queue: str
) -> None:
    if version == "v2" or wire.flavor == "relay":
        pytest.skip("this server does not tell")
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1)))
    (helper,) = await maybe_await(relay.next(queue))
    await maybe_await(relay.remove(queue, "x"))
    with pytest.raises(JobLostError):
        await maybe_await(helper.reschedule())
    assert helper.lost


async def test_automatic_heartbeats_keep_the_job_and_its_state(
    connect: Connect, kind: Kind, wire: Wire, queue: str
) -> None:
    clock = Clock(skip=False) if wire.own else None
    relay = connect(clock=clock)
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1, state="known", timeout=3)))
    (helper,) = await maybe_await(relay.next(queue))
    seen = {helper.job.updated_at}
    async with entered(helper.heartbeat_auto(1)):
        with anyio.fail_after(20):
            while (before := len(seen)) < 4:
                if clock is not None:
                    clock.advance(1)
                    wire.wait(1)
                for _ in range(50):  # a clock that runs ahead of a busy machine ends the lease
                    await anyio.sleep(0.02)
                    seen.add((await maybe_await(relay.get(queue, "x"))).updated_at)
                    if len(seen) > before:
                        break
    job = await maybe_await(relay.get(queue, "x"))
    assert job.state == "known"
    await maybe_await(helper.complete())


async def test_automatic_heartbeats_tell_that_the_job_is_gone(
    connect: Connect, wire: Wire, queue: str
) -> None:
    clock = Clock(skip=False) if wire.own else None
    relay = connect(clock=clock)
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1)))
    (helper,) = await maybe_await(relay.next(queue))
    with pytest.raises(JobLostError), anyio.fail_after(20):
        async with entered(helper.heartbeat_auto(0.5)):
            await maybe_await(relay.remove(queue, "x"))
            while not helper.lost:
                if clock is not None:
                    clock.advance(0.5)
                await anyio.sleep(0.02)
    assert helper.lost
