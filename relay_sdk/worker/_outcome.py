"""What becomes of a job: its handler returns, raises, loses the job, or is told to leave."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

from attrs import define, field, frozen

from relay_sdk._flow import Flow, Invoke, sleep
from relay_sdk._keeper import Lease
from relay_sdk._log import logger
from relay_sdk._operations import pause_asked_for
from relay_sdk._run import Run
from relay_sdk.backoff import Backoff
from relay_sdk.exceptions import RelayError, ServerBusyError, TransportError
from relay_sdk.helper import AsyncJobHelper, JobHelper
from relay_sdk.worker._watch import Watch

Report: TypeAlias = Callable[[JobHelper[Any, Any], Exception], object]
"""What a `Worker` tells of a handler's exception."""

AsyncReport: TypeAlias = Callable[[AsyncJobHelper[Any, Any], Exception], Awaitable[object]]
"""What an `AsyncWorker` tells of a handler's exception."""

AWAY = Backoff(0.5, maximum=5.0)
"""Seconds between attempts to reach a server that is away."""


class Unfinished(BaseException):
    """The handler was made to leave before it had done its job, or never began; it says which.

    That is no failure of the handler, and so no `Exception`.
    """


@frozen
class Failing:
    """What happens when a handler raises."""

    retry: Backoff | None
    on_error: Callable[[Any, Exception], object] | None
    on_give_up: Callable[[Any, Exception], object] | None


@define(eq=False)
class Task(Lease):
    """A job in a slot, with its helper, and with what calls its handler."""

    helper: JobHelper[Any, Any] | AsyncJobHelper[Any, Any] = field(kw_only=True)
    handle: Callable[[], object] = field(kw_only=True)
    returned: bool = field(default=False, kw_only=True)
    """Whether the handler has returned, and its slot was freed."""


def outcome(
    task: Task, failing: Failing, returned: Callable[[], object] = lambda: None
) -> Flow[None]:
    """Call the handler, and tell the server what came of it, unless the handler has.

    `returned` is called when the handler has, and nothing is left but to tell that.
    """
    run = task.run
    loud, began = logger.isEnabledFor(logging.DEBUG), time.monotonic()
    if loud:
        run.log.debug("%s begins", run.where)
    watch = None if run.on_event is None else Watch(run.on_event, run, task.handle)
    try:
        yield Invoke(watch or task.handle)
        run.check_kept()
    except Unfinished as why:
        run.log.warning("%s %s; it is put back", run.where, why)
        yield from tell(run, run.release)
    except Exception as error:
        if run.lost is None:
            run.log.exception("the handler of %s failed", run.where)
        yield from _report(task, failing.on_error, error)
        yield from _retry(task, failing, error)
    except SystemExit:
        run.log.exception("the handler of %s exited; it is left to its timeout", run.where)
    except BaseException:
        run.log.warning("%s was cancelled", run.where)
        raise  # to who has cancelled it, and puts it back
    else:
        returned()
        yield from tell(run, run.complete)
    finally:
        if run.lost is not None:
            run.log.warning("%s was lost while it ran: %s", run.where, run.lost)
        if loud:
            run.log.debug("%s has ended after %.3f s", run.where, time.monotonic() - began)
        if watch is not None:
            watch.over()
    run.left = True  # so that a helper which outlives its run does no harm


def _retry(task: Task, failing: Failing, error: Exception) -> Flow[None]:
    """Put a failed job back after a wait, or give it up. Without `retry` its timeout does that."""
    run = task.run
    if failing.retry is None or run.over:
        return
    failures, limit = run.count.failures, failing.retry.retries or 0
    if run.raw.max_retries is not None:
        limit = min(limit, run.raw.max_retries)
    if failures < limit:
        wait = next(islice(failing.retry, failures, None))
        yield from tell(run, partial(run.release, delay=wait, costs_retry=True))
        return
    run.log.error("%s is given up", run.where)
    if (yield from _report(task, failing.on_give_up, error)):
        yield from tell(run, run.complete)


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


def tell(run: Run, end: Callable[[], Flow[None]]) -> Flow[None]:
    """Tell the server how the run ends, as long as the job is ours."""
    waits: Iterator[float] | None = None  # most need none
    while not run.over:
        try:
            yield from end()
        except (TransportError, ServerBusyError) as error:
            run.log.warning("%s", error)
            waits = waits or iter(AWAY)
            yield from sleep(max(next(waits), pause_asked_for(error, AWAY)))
        except RelayError:
            run.log.exception(
                "the end of %s could not be told; it is left to its timeout", run.where
            )
            return
