"""Automatic heartbeats, in threads and in tasks."""

import threading
from typing import NoReturn

import anyio
import pytest

from relay_sdk import JobLostError

from ..support.fixtures import Connect, Kind
from ..support.heartbeat_server import HeartbeatServer
from ..support.sync_async import entered, maybe_await

pytestmark = pytest.mark.anyio


@pytest.fixture
def heartbeat_server() -> HeartbeatServer:
    return HeartbeatServer()


def heartbeat_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "relay_sdk heartbeat"]


async def test_the_known_state_is_sent(heartbeat_server: HeartbeatServer, connect: Connect) -> None:
    helper = await heartbeat_server.taken(connect)
    async with entered(helper.heartbeat_auto(1)):
        await heartbeat_server.another(2)
        assert set(heartbeat_server.states) == {"null"}
        await maybe_await(helper.heartbeat({"n": 1}))
        del heartbeat_server.states[:]
        await heartbeat_server.another(3)
    assert set(heartbeat_server.states) == {'{"n":1}'}


async def test_a_heartbeat_comes_every_third_of_the_timeout(
    heartbeat_server: HeartbeatServer, connect: Connect
) -> None:
    helper = await heartbeat_server.taken(connect)
    async with entered(helper.heartbeat_auto()):
        await heartbeat_server.another(4)
    assert heartbeat_server.clock.monotonic() >= 4 * 20


async def test_nothing_is_sent_before_the_first_interval(
    heartbeat_server: HeartbeatServer, connect: Connect
) -> None:
    helper = await heartbeat_server.taken(connect)
    async with entered(helper.heartbeat_auto(1)):
        pass
    assert heartbeat_server.states == []


async def test_nothing_is_sent_once_the_block_is_left(
    heartbeat_server: HeartbeatServer, connect: Connect
) -> None:
    helper = await heartbeat_server.taken(connect)
    async with entered(helper.heartbeat_auto(1)):
        await heartbeat_server.another()
    sent = len(heartbeat_server.states)
    assert heartbeat_threads() == []
    heartbeat_server.clock.advance(100)
    await anyio.sleep(0.02)
    assert len(heartbeat_server.states) == sent


@pytest.mark.parametrize("end", ["complete", "reschedule", "remove"])
async def test_nothing_is_sent_after_the_end_of_the_run(
    heartbeat_server: HeartbeatServer, connect: Connect, end: str
) -> None:
    helper = await heartbeat_server.taken(connect)
    async with entered(helper.heartbeat_auto(1)):
        await heartbeat_server.another()
        await maybe_await(getattr(helper, end)())
        sent = len(heartbeat_server.states)
        for _ in range(5):
            heartbeat_server.clock.advance(100)
            await anyio.sleep(0.005)
    assert len(heartbeat_server.states) == sent
    assert len(heartbeat_server.others) == 1


async def test_a_lost_job_is_told_on_leaving_and_at_the_next_call(
    heartbeat_server: HeartbeatServer, connect: Connect, kind: Kind
) -> None:
    helper = await heartbeat_server.taken(connect)
    heartbeat_server.status = 404
    reached = False
    with pytest.raises(JobLostError) as raised:
        async with entered(helper.heartbeat_auto(1)):
            await heartbeat_server.tick(1, lambda: helper.lost)
            if kind != "sync":
                await anyio.sleep(10)
            reached = True
    assert reached is (kind == "sync")
    assert (raised.value.queue, raised.value.id) == ("emails", "x")
    for call in (helper.complete, helper.heartbeat, helper.reschedule):
        with pytest.raises(JobLostError):
            await maybe_await(call())
    assert (len(heartbeat_server.states), heartbeat_server.others) == (1, [])


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_task_is_interrupted_when_its_job_is_lost(
    heartbeat_server: HeartbeatServer, connect: Connect
) -> None:
    helper = await heartbeat_server.taken(connect)
    heartbeat_server.status = 404
    async with anyio.create_task_group() as group:
        group.start_soon(heartbeat_server.tick, 1, lambda: helper.lost)
        with pytest.raises(JobLostError), anyio.fail_after(10):
            async with helper.heartbeat_auto(1):
                await anyio.sleep_forever()


@pytest.mark.parametrize("status", [503, 500, 422, 520])
async def test_a_heartbeat_that_fails_is_repeated_until_the_timeout_has_passed(
    heartbeat_server: HeartbeatServer, connect: Connect, status: int
) -> None:
    helper = await heartbeat_server.taken(connect)
    heartbeat_server.status = status
    with pytest.raises(JobLostError, match="60 s"):
        async with entered(helper.heartbeat_auto(1)):
            await heartbeat_server.tick(1, lambda: helper.lost)
    assert heartbeat_server.clock.monotonic() >= 60
    assert len(heartbeat_server.states) > 10


async def test_a_server_that_comes_back_in_time_costs_nothing(
    heartbeat_server: HeartbeatServer, connect: Connect
) -> None:
    helper = await heartbeat_server.taken(connect)
    async with entered(helper.heartbeat_auto(1)):
        for _ in range(3):
            heartbeat_server.status = 503
            await heartbeat_server.another(5)
            heartbeat_server.status = 202
            await heartbeat_server.another(2)
    assert not helper.lost
    await maybe_await(helper.complete())


@pytest.mark.parametrize(
    "error", [ValueError("mine"), ExceptionGroup("mine", [ValueError()]), BaseException("mine")]
)
async def test_an_error_in_the_block_comes_out_as_itself(
    heartbeat_server: HeartbeatServer, connect: Connect, error: BaseException
) -> None:
    helper = await heartbeat_server.taken(connect)

    def fail() -> NoReturn:
        raise error

    with pytest.raises(BaseException, match="mine") as raised:
        async with entered(helper.heartbeat_auto(1)):
            await heartbeat_server.another()
            fail()
    assert raised.value is error
    assert heartbeat_threads() == []


async def test_an_error_in_the_block_goes_before_the_loss(
    heartbeat_server: HeartbeatServer, connect: Connect, kind: Kind
) -> None:
    if kind != "sync":
        pytest.skip("the task was cancelled before it could fail")
    helper = await heartbeat_server.taken(connect)
    heartbeat_server.status = 404
    with pytest.raises(ZeroDivisionError):
        async with entered(helper.heartbeat_auto(1)):
            await heartbeat_server.tick(1, lambda: helper.lost)
            raise ZeroDivisionError


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_cancellation_from_outside_passes_through(
    heartbeat_server: HeartbeatServer, connect: Connect
) -> None:
    helper = await heartbeat_server.taken(connect)
    with anyio.CancelScope() as scope:
        async with helper.heartbeat_auto(1):
            await heartbeat_server.another()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    sent = len(heartbeat_server.states)
    heartbeat_server.clock.advance(100)
    await anyio.sleep(0.02)
    assert len(heartbeat_server.states) == sent
    assert not helper.lost


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
async def test_an_interval_that_is_none_is_refused(
    heartbeat_server: HeartbeatServer, connect: Connect, interval: float
) -> None:
    helper = await heartbeat_server.taken(connect)
    with pytest.raises(ValueError, match="interval"):
        async with entered(helper.heartbeat_auto(interval)):
            pass
    assert heartbeat_threads() == []
