"""Every wait can be stopped."""

import threading
from collections.abc import Callable

import anyio
import httpx
import pytest

from relay_sdk import AsyncClient, Backoff, Client, Queue
from relay_sdk.local import App
from relay_sdk.testing import Clock, transport


class Stopping(Clock):
    """A virtual clock on which `stop` is set during a wait."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.stop = threading.Event()
        self._left = after

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        self._left -= 1
        if self._left == 0:
            self.stop.set()
        super().sleep(seconds, stop)


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(answer), verify=False)


@pytest.mark.parametrize("status", [204, 503])
def test_a_wait_for_jobs_ends_when_stop_is_set(status: int) -> None:
    clock = Stopping(after=3)
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(status)

    with answering(answer) as http:
        endless = Backoff(0.1)
        relay = Client(
            "http://server", http_client=http, api="v2", clock=clock, retry_backoff=endless
        )
        assert relay.next("emails", stop=clock.stop) == []
        assert asked == ["GET"] * 3
        assert relay.next("emails", stop=clock.stop) == []
        assert list(relay.iter("emails", stop=clock.stop)) == []
        assert asked == ["GET"] * 3


def test_a_wait_in_real_time_ends_when_stop_is_set() -> None:
    asked, stop = threading.Event(), threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.set()
        return httpx.Response(204)

    with answering(answer) as http:
        hourly = Backoff(3600, maximum=3600)
        relay = Client("http://server", http_client=http, api="v2", next_backoff=hourly)
        taken: list[object] = ["not yet"]
        thread = threading.Thread(target=lambda: taken.__setitem__(0, relay.next("q", stop=stop)))
        thread.start()
        assert asked.wait(10)
        stop.set()
        thread.join(10)
        assert taken == [[]]


def test_jobs_that_arrive_while_stop_is_set_are_returned_or_released() -> None:
    stop = threading.Event()
    with App() as app:
        serve = transport(app).handler

        def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "GET":
                stop.set()
            response = serve(request)
            assert isinstance(response, httpx.Response)
            return response

        with answering(answer) as http:
            relay = Client("http://server", http_client=http, api="v2")
            relay.enqueue_batch([Queue("emails").job(id, 1) for id in "ab"])
            assert len(relay.next("emails", stop=stop)) == 1
            assert relay.next("emails", stop=stop) == []
            stop.clear()
            assert list(relay.iter("emails", stop=stop)) == []
            assert [helper.raw.id for helper in relay.next("emails")] == ["b"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("status", [204, 503])
async def test_a_task_that_waits_for_jobs_can_be_cancelled(status: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status)

    hourly = Backoff(3600, maximum=3600)
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), verify=False) as http:
        relay = AsyncClient(
            "http://server", http_client=http, api="v2", next_backoff=hourly, retry_backoff=hourly
        )
        async with anyio.create_task_group() as group:
            group.start_soon(relay.next, "emails")
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
