"""`on_event` gets events of the requests of clients and helpers."""

import threading
from typing import Any

import httpx
import pytest

from relay_sdk import (
    Backoff,
    Event,
    JobExistsError,
    PayloadError,
    Queue,
    RequestEvent,
    TransportError,
)
from relay_sdk._base.flow import Flow, Request, Response
from relay_sdk.events import with_events
from relay_sdk.local import App
from relay_sdk.testing import Clock, transport

from ..support.fixtures import Connect
from ..support.sync_async import maybe_await

pytestmark = pytest.mark.anyio

JOBS = Queue("q", int)


class Told(list[RequestEvent]):
    """The events of a client without workers."""

    def __call__(self, event: Event) -> None:
        assert isinstance(event, RequestEvent)
        self.append(event)

    def ends(self) -> list[RequestEvent]:
        """Return the end events, and check that each has a start event."""
        open_, ends = list[Any](), list[RequestEvent]()
        for event in self:
            key = event.name, event.queue, event.id
            if event.seconds is None:
                open_.append(key)
            else:
                open_.remove(key)
                ends.append(event)
                assert event.seconds >= 0
        assert not open_
        return ends


async def test_each_request_has_an_event_at_its_start_and_end(
    connect: Connect, app: App, clock: Clock
) -> None:
    told = Told()
    relay = connect(answer=transport(app).handler, clock=clock, on_event=told)
    await maybe_await(relay.enqueue(JOBS.job("a", 1)))
    await maybe_await(relay.enqueue_batch([JOBS.job("b", 2), JOBS.job("c", 3)]))
    await maybe_await(relay.enqueue_batch([JOBS.job("d", 2), Queue("other").job("d", 3)]))
    helpers = await maybe_await(relay.next(JOBS, 3))
    await maybe_await(helpers[0].heartbeat())
    await maybe_await(helpers[0].complete())
    await maybe_await(helpers[1].reschedule(delay=1000))
    await maybe_await(helpers[2].release())
    await maybe_await(relay.remove("q", "d"))
    await maybe_await(relay.next("empty", timeout=0))
    assert [(event.name, event.queue, event.id, event.jobs) for event in told.ends()] == [
        ("enqueue", "q", "a", 1),
        ("enqueue", "q", None, 2),
        ("enqueue", None, None, 2),
        ("next", "q", None, 3),
        ("heartbeat", "q", "a", 1),
        ("complete", "q", "a", 1),
        ("requeue", "q", "b", 1),
        ("requeue", "q", "c", 1),
        ("remove", "q", "d", 1),
        ("next", "empty", None, 0),
    ]
    assert {event.error for event in told} == {None}


async def test_errors_are_reported_and_raised(connect: Connect, app: App, clock: Clock) -> None:
    told = Told()
    relay = connect(answer=transport(app).handler, clock=clock, on_event=told)
    await maybe_await(relay.enqueue(JOBS.job("a", 1)))
    with pytest.raises(JobExistsError):
        await maybe_await(relay.enqueue(JOBS.job("a", 1)))
    with pytest.raises(PayloadError):
        await maybe_await(relay.enqueue(JOBS.job("b", "two")))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a Job"):
        await maybe_await(relay.enqueue("a"))  # type: ignore[arg-type]
    assert [type(event.error) for event in told.ends()] == [
        type(None),
        JobExistsError,
        PayloadError,
    ]


async def test_a_retried_request_is_reported_once(connect: Connect, clock: Clock) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectError("no")

    asked: list[httpx.Request] = []
    told = Told()
    retry = Backoff(0.1, retries=2)
    relay = connect(answer=answer, clock=clock, on_event=told, retry_backoff=retry, api="v2")
    with pytest.raises(TransportError):
        await maybe_await(relay.next("q"))
    assert len(asked) == 3
    (event,) = told.ends()
    assert isinstance(event.error, TransportError)


@pytest.mark.parametrize("kind", ["sync"])
async def test_a_wait_that_is_stopped_has_no_error(connect: Connect) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        stop.set()
        return httpx.Response(204)

    stop = threading.Event()
    told = Told()
    relay = connect(answer=answer, on_event=told, api="v2")
    assert await maybe_await(relay.next("q", stop=stop)) == []  # type: ignore[call-arg]
    (event,) = told.ends()
    assert (event.jobs, event.error) == (0, None)


def test_without_on_event_a_flow_is_not_wrapped() -> None:
    def ask() -> Flow[Response]:
        return (yield Request("GET", "/"))

    flow = ask()
    assert with_events(None, "next", "q", None, flow) is flow
