"""A heartbeat that was sent and given up may be carried out late: no older state is left behind."""

import json
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from relay_sdk import AsyncClient, AsyncJobHelper, Queue
from relay_sdk.local import App

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]

PAGES = Queue("q", payload=int, state=int)
WAYS = ["a block that is left", "a call that is cancelled", "a call that gets no answer"]


class Slow(httpx.AsyncBaseTransport):
    """The bundled server, which carries out the first heartbeat late, whoever still waits."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.taken = anyio.Event()
        self.late = anyio.Event()
        self.states: list[bytes] = []
        self.older: httpx.Request | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH" and self.older is None:
            self.older = request
            self.taken.set()
            with anyio.move_on_after(0.3):
                await anyio.sleep_forever()
            raise httpx.ReadTimeout("no reply", request=request)
        return self.answer(request)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH":
            self.states.append(request.content)
        answer = self.app(
            request.method,
            request.url.raw_path.decode(),
            {name.lower(): value for name, value in request.headers.items()},
            request.content,
        )
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)

    def saved(self) -> object:
        return json.loads(self.app("GET", "/v2/queues/q/jobs/a", {}, b"").body)["state"]


@pytest.fixture
async def slow(anyio_backend: str) -> AsyncIterator[Slow]:
    with App() as app:
        yield Slow(app)


@pytest.fixture
async def helper(slow: Slow) -> AsyncIterator[AsyncJobHelper[int, int]]:
    async with (
        httpx.AsyncClient(transport=slow, verify=False) as http,
        AsyncClient("http://server", http_client=http, api="v2") as relay,
    ):
        await relay.enqueue(PAGES.job("a", 1, timeout=30, state=0))
        (helper,) = await relay.next(PAGES)
        yield helper


@pytest.mark.parametrize("way", WAYS)
async def test_a_newer_state_is_sent_again_after_an_older_one_that_may_come_late(
    slow: Slow, helper: AsyncJobHelper[int, int], way: str
) -> None:
    async def land() -> None:
        # As soon as the newer one was answered, the older one arrives.
        while b"2" not in slow.states:
            await anyio.sleep(0.01)
        assert slow.older is not None
        slow.answer(slow.older)

    async with anyio.create_task_group() as group:
        if way == WAYS[0]:
            async with helper.heartbeat_auto(interval=0.01):
                await slow.taken.wait()
        elif way == WAYS[1]:
            with anyio.move_on_after(0.05):
                await helper.heartbeat(1)
        else:
            # The first attempt is lost, and what the retry says is soon out of date.
            await helper.heartbeat(1)
        group.start_soon(land)
        await helper.heartbeat(2)
    assert slow.saved() == 2


async def test_automatic_heartbeats_mend_what_came_late(
    slow: Slow, helper: AsyncJobHelper[int, int]
) -> None:
    with anyio.move_on_after(0.05):
        await helper.heartbeat(1)
    await helper.heartbeat(2)
    assert slow.older is not None
    slow.answer(slow.older)
    assert slow.saved() == 1
    with anyio.fail_after(10):
        async with helper.heartbeat_auto(interval=0.05):
            while slow.saved() != 2:
                await anyio.sleep(0.01)


async def test_when_all_were_answered_nothing_is_sent_twice(
    slow: Slow, helper: AsyncJobHelper[int, int]
) -> None:
    slow.older = httpx.Request("PATCH", "http://server")
    for page in (1, 2, 3):
        await helper.heartbeat(page)
    assert slow.states == [b"1", b"2", b"3"]
