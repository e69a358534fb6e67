"""Events of clients and workers, which are passed to the client's `on_event`."""

import time
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar

from attrs import evolve, field, frozen

from relay_sdk._base.clock import Stopped
from relay_sdk._base.flow import Flow
from relay_sdk._base.log import logger
from relay_sdk.job import Queue, RawJob

R = TypeVar("R")
RequestName: TypeAlias = Literal["enqueue", "next", "heartbeat", "complete", "requeue", "remove"]
JobEventKind: TypeAlias = Literal[
    "started", "completed", "rescheduled", "requeued", "removed", "released", "retried",
    "interrupted", "failed", "lost",
]  # fmt: skip


@frozen(kw_only=True)
class RequestEvent:
    """A request of a client. Each request has two events: at its start and at its end.

    `seconds` is `None` in the first event, and in the second how long the request took, with all
    its retries. `queue` and `id` are `None` if the request has more than one, as a batch may.
    `jobs` is how many jobs were sent, or with "next" how many came. `error` is the exception that
    the request raised. The request that reschedules or releases a job is "requeue".
    """

    name: Literal["enqueue", "next", "heartbeat", "complete", "requeue", "remove"]
    queue: str | None
    id: str | None
    jobs: int
    seconds: float | None = None
    error: BaseException | None = None


@frozen(kw_only=True)
class JobEvent:
    """A job in a worker. After its "started" event comes one event with another kind.

    - "completed", "rescheduled", "requeued", "removed", "released": the handler has ended the job
      in this way, or has returned, and the worker has completed it.
    - "retried": the handler raised, and the worker has queued the job again for another attempt.
    - "interrupted": a worker that stops has put the job back into its queue, or is about to.
    - "failed": the handler raised and the job waits for its timeout, the job has used up its
      retries, or the outcome could not be reported.
    - "lost": the worker no longer holds the job.

    `attempt` counts from 1, in workers with `retry`. `seconds` is how long the handler took, and
    `error` what it raised. `raw` is the job as it was received.
    """

    kind: Literal[
        "started", "completed", "rescheduled", "requeued", "removed", "released", "retried",
        "interrupted", "failed", "lost",
    ]  # fmt: skip
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
"""The argument of `on_event`, which is called in the thread or task of the event."""


def emit(on_event: Callable[[Event], object], event: Event) -> None:
    """Call `on_event` and log the exception that it may raise."""
    try:
        on_event(event)
    except Exception:
        logger.exception("on_event failed, for %r", event)


def with_events(
    on_event: Callable[[Event], object] | None,
    name: RequestName,
    queue: str | None,
    id: str | None,
    flow: Flow[R],
    jobs: int = 1,
    count: Callable[[R], int] | None = None,
) -> Flow[R]:
    """Emit an event as a flow begins and as it ends; `count` returns its jobs from its result.

    Without `on_event`, return the flow unchanged.
    """
    if on_event is None:
        return flow
    return _emitting(on_event, RequestEvent(name=name, queue=queue, id=id, jobs=jobs), flow, count)


def _emitting(
    on_event: Callable[[Event], object],
    event: RequestEvent,
    flow: Flow[R],
    count: Callable[[R], int] | None,
) -> Flow[R]:
    emit(on_event, event)
    began = time.monotonic()
    try:
        result = yield from flow
    except BaseException as error:
        shown = None if isinstance(error, Stopped) else error
        emit(on_event, evolve(event, seconds=time.monotonic() - began, error=shown))
        raise
    jobs = event.jobs if count is None else count(result)
    emit(on_event, evolve(event, seconds=time.monotonic() - began, jobs=jobs))
    return result
