"""The requests of one helper go one after another, so that no state overtakes a newer one."""

import threading

import anyio
import httpx
import pytest

from relay_sdk import AsyncClient, Client, JobLostError

from ..support.heartbeat_server import HeartbeatServer

OLD_THEN_NEW = ["null", '"new"', '"new"']


def test_a_thread_waits_for_the_heartbeat_that_is_on_its_way() -> None:
    heartbeat_server = HeartbeatServer()
    arrived, may_go_on = threading.Event(), threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH" and not arrived.is_set():
            arrived.set()
            assert may_go_on.wait(10)
        return heartbeat_server.answer(request)

    http = httpx.Client(transport=httpx.MockTransport(answer), verify=False)
    with (
        http,
        Client("http://server", http_client=http, api="v2", clock=heartbeat_server.clock) as relay,
    ):
        (helper,) = relay.next("emails")
        with helper.heartbeat_auto(1):
            while not arrived.wait(0.01):
                heartbeat_server.clock.advance(1)
            newer = threading.Thread(target=helper.heartbeat, args=["new"])
            newer.start()
            newer.join(0.1)  # it would be through by now, were there no turns
            may_go_on.set()
            newer.join(10)
            while len(heartbeat_server.states) < 3:
                heartbeat_server.clock.advance(1)
                newer.join(0.01)
                arrived.wait(0.01)
    assert heartbeat_server.states[:3] == OLD_THEN_NEW


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_task_waits_for_the_heartbeat_that_is_on_its_way() -> None:
    heartbeat_server = HeartbeatServer()
    arrived, may_go_on = anyio.Event(), anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH" and not arrived.is_set():
            arrived.set()
            await may_go_on.wait()
        return heartbeat_server.answer(request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), verify=False)
    async with (
        http,
        AsyncClient(
            "http://server", http_client=http, api="v2", clock=heartbeat_server.clock
        ) as relay,
    ):
        (helper,) = await relay.next("emails")
        async with helper.heartbeat_auto(1), anyio.create_task_group() as group:
            await heartbeat_server.tick(1, arrived.is_set)
            group.start_soon(helper.heartbeat, "new")
            await anyio.wait_all_tasks_blocked()
            may_go_on.set()
            await heartbeat_server.tick(1, lambda: len(heartbeat_server.states) >= 3)
    assert heartbeat_server.states[:3] == OLD_THEN_NEW


def test_a_job_that_two_threads_end_is_ended_once() -> None:
    heartbeat_server = HeartbeatServer()
    arrived, may_go_on = threading.Event(), threading.Event()
    errors: list[JobLostError] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            arrived.set()
            assert may_go_on.wait(10)
        return heartbeat_server.answer(request)

    def end() -> None:
        try:
            helper.complete()
        except JobLostError as error:
            errors.append(error)

    http = httpx.Client(transport=httpx.MockTransport(answer), verify=False)
    with (
        http,
        Client("http://server", http_client=http, api="v2", clock=heartbeat_server.clock) as relay,
    ):
        (helper,) = relay.next("emails")
        threads = [threading.Thread(target=end) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert arrived.wait(10)
        threads[0].join(0.05)
        may_go_on.set()
        for thread in threads:
            thread.join(10)
    assert heartbeat_server.others == ["DELETE"]
    (error,) = errors
    assert "this helper has ended its run" in str(error)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_job_that_two_tasks_end_is_ended_once() -> None:
    heartbeat_server = HeartbeatServer()
    errors: list[JobLostError] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            await anyio.wait_all_tasks_blocked()
        return heartbeat_server.answer(request)

    async def end() -> None:
        try:
            await helper.complete()
        except JobLostError as error:
            errors.append(error)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), verify=False)
    async with (
        http,
        AsyncClient(
            "http://server", http_client=http, api="v2", clock=heartbeat_server.clock
        ) as relay,
    ):
        (helper,) = await relay.next("emails")
        async with anyio.create_task_group() as group:
            group.start_soon(end)
            group.start_soon(end)
    assert heartbeat_server.others == ["DELETE"]
    assert len(errors) == 1
