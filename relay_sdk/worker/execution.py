"""What becomes of a job: its handler returns, raises, loses the job, or is told to leave."""

import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Literal, TypeAlias

from attrs import define, field, frozen

from relay_sdk._base.flow import Flow, Invoke, sleep
from relay_sdk._base.fork import process_id
from relay_sdk._base.log import logger
from relay_sdk._engine.heartbeats import Lease
from relay_sdk._engine.retries import requested_delay
from relay_sdk._engine.run import Run
from relay_sdk.backoff import Backoff
from relay_sdk.events import JobEvent, tell
from relay_sdk.exceptions import RelayError, RetryableError
from relay_sdk.helper import AsyncJobHelper, JobHelper

ErrorHandler: TypeAlias = Callable[[JobHelper[Any, Any], Exception], object]
"""What a `Worker` tells of a handler's exception."""

AsyncErrorHandler: TypeAlias = Callable[[AsyncJobHelper[Any, Any], Exception], Awaitable[object]]
"""What an `AsyncWorker` tells of a handler's exception."""

Kind: TypeAlias = Literal["started", "ended", "failed", "lost", "retried", "released"]

MOMENT = 0.05
"""Seconds between two looks at whether an end of the handler's own is still under way."""
AWAY = Backoff(0.5, maximum=5.0)
"""Seconds between attempts to reach a server that is away."""


class ExitForkedChild:
    """Where a handler runs: the child of one that forks ends there, for the job is its parent's."""

    def __enter__(self) -> None:
        self._parent = process_id()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if process_id() != self._parent:
            os._exit(kind is not None)


class HandlerInterrupted(BaseException):
    """The handler was made to leave before it had done its job, or never began; it says which.

    That is no failure of the handler, and so no `Exception`.
    """


@frozen
class FailurePolicy:
    """What happens when a handler raises."""

    retry: Backoff | None
    on_error: Callable[[Any, Exception], object] | None
    on_retries_exhausted: Callable[[Any, Exception], object] | None


@define(eq=False)
class Task(Lease):
    """A job in a slot, with its helper, and with what calls its handler."""

    helper: JobHelper[Any, Any] | AsyncJobHelper[Any, Any] = field(kw_only=True)
    handle: Callable[[], object] = field(kw_only=True)
    returned: bool = field(default=False, kw_only=True)
    """Whether the handler has returned, and its slot was freed."""


def outcome(
    task: Task,
    failing: FailurePolicy,
    cancellation: tuple[type[BaseException], ...] = (),
    returned: Callable[[], object] = lambda: None,
) -> Flow[None]:
    """Request the handler, and tell the server what came of it, unless the handler has.

    What is a `cancellation` passes. `returned` is called when the handler has, and nothing is left
    but to tell that.
    """
    run = task.run
    if loud := logger.isEnabledFor(logging.DEBUG):
        run.log.debug("%s begins", run.where)
    _tell(run, "started")
    raised: BaseException | None = None
    done, seconds, began = False, 0.0, time.monotonic()
    try:
        try:
            yield Invoke(task.handle)
            done = True
        finally:
            seconds = time.monotonic() - began
        run.check_kept()
    except HandlerInterrupted as why:
        run.log.warning("%s %s; it is put back", run.where, why)
        yield from _end(run, run.release)
    except Exception as error:
        raised = None if done else error
        if run.lost is None:
            run.log.exception("the handler of %s failed", run.where)
        yield from _report(task, failing.on_error, error)
        yield from _retry(task, failing, error)
    except cancellation:
        run.log.warning("%s was cancelled", run.where)
        raise  # to who has cancelled it, and puts it back
    except BaseException as error:
        raised = error
        what = "exited" if isinstance(error, SystemExit) else f"raised {type(error).__name__}"
        run.log.exception("the handler of %s %s; it is left to its timeout", run.where, what)
    else:
        returned()
        yield from _end(run, run.complete)
    finally:
        if run.lost is not None:
            run.log.warning("%s was lost while it ran: %s", run.where, run.lost)
        if loud:
            run.log.debug("%s has ended after %.3f s", run.where, time.monotonic() - began)
        _tell(run, _kind(run, done=done, failed=raised is not None), seconds, raised)
        raised = None  # whose traceback holds this frame
    run.left = True  # so that a helper which outlives its run does no harm


def _retry(task: Task, failing: FailurePolicy, error: Exception) -> Flow[None]:
    """Put a failed job back after a wait, or give it up. Without `retry` its timeout does that."""
    run = task.run
    if failing.retry is None or run.over:
        return
    failures, limit = run.count.failures, failing.retry.retries or 0
    if run.raw.max_retries is not None:
        limit = min(limit, run.raw.max_retries)
    if failures < limit:
        wait = next(islice(failing.retry, failures, None))
        yield from _end(run, partial(run.release, delay=wait, count_as_failure=True))
        return
    run.log.error("%s is given up", run.where)
    if (yield from _report(task, failing.on_retries_exhausted, error)):
        yield from _end(run, run.complete)


def _report(
    task: Task, report: Callable[[Any, Exception], object] | None, error: Exception
) -> Flow[bool]:
    """Tell the user's function of an exception; what it raises is logged."""
    try:
        if report is not None:
            yield Invoke(partial(report, task.helper, error))
    except Exception:
        task.run.log.exception("the report about %s failed", task.run.where)
        return False
    return True


def _end(run: Run, end: Callable[[], Flow[None]]) -> Flow[None]:
    """Tell the server how the run ends, as long as the job is ours."""
    run.meant = end
    waits: Iterator[float] | None = None  # most need none
    while run.handled:  # in a thread or task that the handler has left behind
        yield from sleep(MOMENT)
    while not run.over:
        try:
            yield from end()
        except RetryableError as error:
            run.log.warning("%s", error)
            waits = waits or iter(AWAY)
            yield from sleep(max(next(waits), requested_delay(error, AWAY)))
        except RelayError:
            run.log.exception(
                "the end of %s could not be told; it is left to its timeout", run.where
            )
            return


def _kind(run: Run, *, done: bool, failed: bool) -> Kind:
    """Give the kind of event that tells of the run's end; `done` is a handler that has returned."""
    if run.lost is not None:
        return "lost"
    if run.released:
        return "retried" if failed else "released"
    if failed or (done and not run.ended):
        return "failed"
    return "ended" if run.ended else "released"  # by whoever has cancelled it


def _tell(run: Run, kind: Kind, seconds: float = 0.0, error: BaseException | None = None) -> None:
    """Tell `on_event`, if there is one."""
    if run.config.on_event is not None:
        attempt = run.count.failures + 1
        event = JobEvent(
            kind=kind, raw=run.raw, attempt=attempt, seconds=seconds, error=error, _types=run.types
        )
        tell(run.config.on_event, event)
