"""What clients and workers tell of what they do, to an `on_event` of your own."""

import time
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar

from attrs import evolve, field, frozen

from relay_sdk._base.clock import Stopped
from relay_sdk._base.flow import Flow
from relay_sdk._base.log import logger
from relay_sdk.job import Queue, RawJob

R = TypeVar("R")
Name: TypeAlias = Literal["enqueue", "next", "heartbeat", "complete", "requeue", "remove"]


@frozen(kw_only=True)
class RequestEvent:
    """What a client asks of the server; told twice: as it begins, and as it ends.

    `seconds` is `None` at the beginning, and then how long it took, with all its retries. `queue`
    and `id` are `None` where there is not one alone, as in a batch. `jobs` is how many it is about;
    with "next" how many came. `error` is what it raised. A job that is rescheduled or released is
    "requeue".
    """

    name: Literal["enqueue", "next", "heartbeat", "complete", "requeue", "remove"]
    queue: str | None
    id: str | None
    jobs: int
    seconds: float | None = None
    error: BaseException | None = None


@frozen(kw_only=True)
class JobEvent:
    """What happens to a job in a worker; after "started" comes one of the others.

    "ended": it is done, or the handler has rescheduled, requeued or removed it. "failed": the
    handler raised, or its end could not be told, and the job is left to its timeout, or given up.
    "retried": the handler raised, and the job is put back for another attempt. "released": it is
    put back not done, by the handler or by a worker that stops. "lost": it is no longer ours.

    `attempt` counts from 1, in workers with `retry`. `seconds` is how long the handler took, and
    `error` what it raised. `raw` is the job as it was received.
    """

    kind: Literal["started", "ended", "failed", "lost", "retried", "released"]
    raw: RawJob = field(repr=False)
    attempt: int
    seconds: float = 0.0
    error: BaseException | None = None
    _types: Queue[Any, Any] | None = field(default=None, alias="_types", repr=False)

    @property
    def queue(self) -> str:
        """The name of the job's queue."""
        return self.raw.queue

    @property
    def id(self) -> str:
        """The job's id."""
        return self.raw.id


Event: TypeAlias = RequestEvent | JobEvent
"""What an `on_event` is called with, in the thread or task in which it happens."""


def tell(on_event: Callable[[Event], object], event: Event) -> None:
    """Tell of an event; what the function raises is logged."""
    try:
        on_event(event)
    except Exception:
        logger.exception("on_event failed, for %r", event)


def with_events(
    on_event: Callable[[Event], object] | None,
    name: Name,
    queue: str | None,
    id: str | None,
    flow: Flow[R],
    jobs: int = 1,
    count: Callable[[R], int] | None = None,
) -> Flow[R]:
    """Tell how a request begins and ends; `count` may tell its jobs from its result.

    Without `on_event` it stays as it is.
    """
    if on_event is None:
        return flow
    return _told(on_event, RequestEvent(name=name, queue=queue, id=id, jobs=jobs), flow, count)


def _told(
    on_event: Callable[[Event], object],
    event: RequestEvent,
    flow: Flow[R],
    count: Callable[[R], int] | None,
) -> Flow[R]:
    tell(on_event, event)
    began = time.monotonic()
    try:
        result = yield from flow
    except BaseException as error:
        told = None if isinstance(error, Stopped) else error
        tell(on_event, evolve(event, seconds=time.monotonic() - began, error=told))
        raise
    jobs = event.jobs if count is None else count(result)
    tell(on_event, evolve(event, seconds=time.monotonic() - began, jobs=jobs))
    return result
