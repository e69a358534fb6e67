"""Running one job: its handler returns, raises, loses the job, or is interrupted."""

import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

from attrs import define, field, frozen

from relay_sdk._base.flow import Flow, Invoke, sleep
from relay_sdk._base.fork import process_id
from relay_sdk._base.log import logger
from relay_sdk._engine.heartbeats import KeptRun
from relay_sdk._engine.retries import requested_delay
from relay_sdk._engine.run import Run
from relay_sdk._engine.run_state import End
from relay_sdk.backoff import Backoff
from relay_sdk.events import JobEvent, JobEventKind, emit
from relay_sdk.exceptions import RelayError, RetryableError
from relay_sdk.helper import AsyncJobHelper, JobHelper

ErrorHandler: TypeAlias = Callable[[JobHelper[Any, Any], Exception], object]
"""A function that a `Worker` calls with an exception of a handler."""

AsyncErrorHandler: TypeAlias = Callable[[AsyncJobHelper[Any, Any], Exception], Awaitable[object]]
"""A function that an `AsyncWorker` calls with an exception of a handler."""

OUTAGE_BACKOFF = Backoff(0.5, maximum=5.0)
"""The delays between attempts while the server cannot be reached."""


class ExitForkedChild:
    """Exit a child process that the handler forked, at the end of this block.

    Only the parent process may report the outcome of the job.
    """

    def __enter__(self) -> None:
        self._parent = process_id()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if process_id() != self._parent:
            os._exit(kind is not None)


class HandlerInterrupted(BaseException):
    """The handler was interrupted, or never started. The message has the reason.

    The handler has not failed, so this is not an `Exception`.
    """


@frozen
class FailurePolicy:
    """The options that apply when a handler raises."""

    retry: Backoff | None
    on_error: Callable[[Any, Exception], object] | None
    on_retries_exhausted: Callable[[Any, Exception], object] | None


@define(eq=False)
class RunningJob(KeptRun):
    """A job in a slot, with its helper, and with the function that calls its handler."""

    helper: JobHelper[Any, Any] | AsyncJobHelper[Any, Any] = field(kw_only=True)
    call_handler: Callable[[], object] = field(kw_only=True)
    slot_is_free: bool = field(default=False, kw_only=True)
    """Whether the handler has returned, and its slot was freed before the job has ended."""


def execute(
    job: RunningJob,
    policy: FailurePolicy,
    cancellation: tuple[type[BaseException], ...] = (),
    on_return: Callable[[], object] = lambda: None,
) -> Flow[None]:
    """Call the handler and report the outcome to the server, unless the handler has done so.

    Exceptions of the types in `cancellation` are raised again. `on_return` is called when the
    handler has returned and only the completion is left to do.
    """
    run = job.run
    if debug := logger.isEnabledFor(logging.DEBUG):
        run.log.debug("%s begins", run.label)
    _emit(run, "started")
    raised: BaseException | None = None
    returned, seconds, began = False, 0.0, time.monotonic()
    try:
        try:
            yield Invoke(job.call_handler)
            returned = True
        finally:
            seconds = time.monotonic() - began
        run.check_not_lost()
    except HandlerInterrupted as reason:
        run.log.warning("%s %s; it is put back into its queue", run.label, reason)
        yield from _report_end(run, run.interrupt)
    except Exception as error:
        raised = None if returned else error
        if run.lifecycle.lost_reason is None:
            run.log.exception("the handler of %s failed", run.label)
        yield from _call_error_handler(job, policy.on_error, error)
        yield from _retry(job, policy, error)
    except cancellation:
        run.log.warning("%s was cancelled", run.label)
        raise  # the worker that cancelled it puts the job back
    except BaseException as error:
        raised = error
        what = "exited" if isinstance(error, SystemExit) else f"raised {type(error).__name__}"
        run.log.exception("the handler of %s %s; it is left to its timeout", run.label, what)
    else:
        on_return()
        yield from _report_end(run, run.complete)
    finally:
        lifecycle = run.lifecycle
        if lifecycle.lost_reason is not None:
            run.log.warning("%s was lost while it ran: %s", run.label, lifecycle.lost_reason)
        if debug:
            run.log.debug("%s has ended after %.3f s", run.label, time.monotonic() - began)
        failed = raised is not None or (returned and not lifecycle.is_ended)
        _emit(run, lifecycle.outcome(failed=failed), seconds, raised)
        raised = None  # its traceback refers to this frame
    lifecycle.abandon()  # a helper that outlives its run cannot change the job


def _retry(job: RunningJob, policy: FailurePolicy, error: Exception) -> Flow[None]:
    """Queue a failed job again after a delay, or give it up. Without `retry` it times out."""
    run = job.run
    if policy.retry is None or run.is_over:
        return
    failures, limit = run.failure_count.failures, policy.retry.retries or 0
    if run.raw.max_retries is not None:
        limit = min(limit, run.raw.max_retries)
    if failures < limit:
        delay = next(islice(policy.retry, failures, None))
        yield from _report_end(run, partial(run.retry, delay))
        return
    run.log.error("%s has used up its retries", run.label)
    if (yield from _call_error_handler(job, policy.on_retries_exhausted, error)):
        yield from _report_end(run, run.give_up)


def _call_error_handler(
    job: RunningJob, handler: Callable[[Any, Exception], object] | None, error: Exception
) -> Flow[bool]:
    """Call an error handler of the user; return whether it succeeded. Its exception is logged."""
    try:
        if handler is not None:
            yield Invoke(partial(handler, job.helper, error))
    except Exception:
        job.run.log.exception("the error handler for %s failed", job.run.label)
        return False
    return True


def _report_end(run: Run, end: End) -> Flow[None]:
    """Send the end of a run until the server answers, as long as the job is held."""
    run.lifecycle.plan_end(end)
    waits: Iterator[float] | None = None  # most ends need none
    while run.handler_is_ending:  # in a thread or task that the handler started
        yield from sleep(0)  # raises `Stopped` if the worker has left
        yield Invoke(run.wait_for_handler)
    while not run.is_over:
        try:
            yield from end()
        except RetryableError as error:
            run.log.warning("%s", error)
            waits = waits or iter(OUTAGE_BACKOFF)
            yield from sleep(max(next(waits), requested_delay(error, OUTAGE_BACKOFF)))
        except RelayError:
            run.log.exception(
                "could not report the outcome of %s; it is left to its timeout", run.label
            )
            return


def _emit(
    run: Run, kind: JobEventKind, seconds: float = 0.0, error: BaseException | None = None
) -> None:
    """Call `on_event`, if there is one."""
    if run.config.on_event is not None:
        attempt = run.failure_count.failures + 1
        event = JobEvent(
            kind=kind, raw=run.raw, attempt=attempt, seconds=seconds, error=error, _types=run.types
        )
        emit(run.config.on_event, event)
