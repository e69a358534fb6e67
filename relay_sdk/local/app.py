"""The whole server as a function: request in, response out."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias

from . import dates, responses, routes
from .arrivals import JobArrivals
from .database import open_database
from .exceptions import BackendError
from .handler_run import HandlerRun
from .job_reader import JobReader
from .operations import Enqueue, NewJob, Operation, Requeue, Reschedule
from .request import Request, without_body
from .responses import Response
from .routes import RouteMatch, backend_error
from .stats import Stats
from .store import Store

log: logging.Logger = logging.getLogger("relay_sdk.local")

BATCH_TIME_LIMIT = 0.01
"""Seconds after which a batch takes no more requests, so that none waits for all of them."""


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


RoutedRequest: TypeAlias = tuple[Request, RouteMatch]

FindLongPolls: TypeAlias = Callable[[str, int], Sequence[RoutedRequest]]
"""Returns the long polls of a queue that can take this many jobs."""


def _no_long_polls(*_: object) -> Sequence[RoutedRequest]:
    return ()


class BatchResult(NamedTuple):
    """The responses to the first of some requests and to long polls, and what the batch did."""

    responses: list[Response]
    long_poll_responses: list[Response]
    arrivals: JobArrivals
    more_to_reap: bool
    """Whether more timed-out jobs are left to reap now."""


class App:
    """Relay over one database; safe to share between threads.

    The database is an SQLite file, or the `postgresql://` URL of one that servers share.
    The first batch after each interval reaps the jobs that timed out.
    """

    def __init__(
        self,
        db: str | os.PathLike[str] = ":memory:",
        *,
        reap_interval: float = 5.0,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        if not reap_interval > 0:
            raise ValueError(f"reap_interval must be more than 0 seconds, not {reap_interval}")
        self.reap_interval = reap_interval
        self.on_arrivals: Callable[[JobArrivals], None] | None = None
        """Called with the arrivals of each batch of `answer` and `execute`; must not block."""
        self.stats: Stats = Stats()
        self._lock = Lock()
        self.store: Store = open_database(db)
        # Servers that share a database use the clock of the database, unless a test sets a clock.
        self.now: Callable[[], int] = (
            self.store.clock if clock is utc_now else lambda: dates.from_datetime(clock())
        )
        self._reaped_at = self.now()

    def close(self) -> None:
        with self._lock:
            self.store.close()

    def open_reader(self) -> JobReader:
        """Return a reader that works beside the batches."""
        return self.store.open_reader(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __call__(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        return self.answer([Request(method, target, headers, body)])[0]

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        """Answer requests in order; each can fail alone."""
        matches = [route(request) for request in requests]
        work = [
            (request, match)
            for request, match in zip(requests, matches, strict=True)
            if isinstance(match, RouteMatch)
        ]
        done: list[Response] = []
        while len(done) < len(work):
            result = self.execute_batch(work[len(done) :])
            done += result.responses
            if self.on_arrivals:
                self.on_arrivals(result.arrivals)
        rest = iter(done)
        return [
            without_body(request, match if isinstance(match, Response) else next(rest))
            for request, match in zip(requests, matches, strict=True)
        ]

    def execute(self, request: Request, match: RouteMatch) -> Response:
        """Answer one request whose handler is known."""
        result = self.execute_batch([(request, match)])
        if self.on_arrivals:
            self.on_arrivals(result.arrivals)
        return result.responses[0]

    def execute_batch(
        self, work: Sequence[RoutedRequest], find_long_polls: FindLongPolls = _no_long_polls
    ) -> BatchResult:
        """Answer at least the first of these requests with one commit; raise nothing.

        The same commit claims the jobs that arrive for the long polls that wait for them.
        """
        with self._lock:
            began = perf_counter()
            arrivals = JobArrivals(0)
            runs: list[HandlerRun] = []
            long_poll_runs: list[HandlerRun] = []
            try:
                arrivals.now = self.now()
                more_to_reap = self._reap(arrivals)
                outcomes = self.store.perform(
                    _operations(work, find_long_polls, arrivals, runs, long_poll_runs),
                    arrivals.now,
                    write=not all(match.reads for _, match in work),
                )
                waiting = [run for run in runs + long_poll_runs if run.operation is not None]
                for run, outcome in zip(waiting, outcomes, strict=True):
                    run.resume(outcome)
                operations = [run.operation for run in waiting if run.operation is not None]
                done = zip(operations, outcomes, strict=True)
                self.stats.record_batch(arrivals.now, perf_counter() - began, done)
            except BackendError as error:
                failed = [backend_error(request.target, error) for request, _ in work]
                self._record_errors(work, failed)
                return BatchResult(failed, [], arrivals, more_to_reap=False)
            except Exception:
                log.exception("Cannot answer any of %d requests", len(work))
                failed = [responses.server_error() for _ in work]
                self._record_errors(work, failed)
                return BatchResult(failed, [], arrivals, more_to_reap=False)
            answered = [run.response for run in runs]
            self._record_errors(work, answered)
            polled = [run.response for run in long_poll_runs]
            return BatchResult(answered, polled, arrivals, more_to_reap)

    def _record_errors(self, work: Sequence[RoutedRequest], answered: Sequence[Response]) -> None:
        for (request, match), response in zip(work, answered, strict=False):
            if response.status >= 400:
                self.stats.record_error(request.target, match, response.status)

    def _reap(self, arrivals: JobArrivals) -> bool:
        """Reap some jobs if the interval is over; return whether more are left.

        A failure, as on a full disk, must not fail the requests that can still be answered.
        """
        # A clock that was set back must not stop the reaper.
        interval = int(self.reap_interval * 10**6)
        if 0 <= arrivals.now - self._reaped_at < interval:
            return False
        try:
            reaped = self.store.reap(arrivals.now, interval)
        except BackendError:
            # Try again after the interval: each batch would fail and log the same otherwise.
            self._reaped_at = arrivals.now
            return False
        for queue, key in reaped.dropped:
            log.warning("Dropped job %r of queue %r: it timed out without retries left", key, queue)
        for queue, run_at in reaped.requeued:
            arrivals.add(queue, run_at)
        if reaped.dropped or reaped.requeued:
            dropped, requeued = ([queue for queue, _ in jobs] for jobs in reaped[:2])
            self.stats.record_reaped(arrivals.now, dropped, requeued)
        if reaped.complete:
            self._reaped_at = arrivals.now
        return not reaped.complete


def _operations(
    work: Sequence[RoutedRequest],
    find_long_polls: FindLongPolls,
    arrivals: JobArrivals,
    runs: list[HandlerRun],
    long_poll_runs: list[HandlerRun],
) -> Iterator[Operation[Any]]:
    """Yield the operations of the first requests, then of the long polls for the new jobs."""
    end = perf_counter() + BATCH_TIME_LIMIT
    coming = JobArrivals(arrivals.now, arrivals.ready.copy())
    for request, match in work:
        run = HandlerRun(request, match, arrivals)
        runs.append(run)
        if run.operation is not None:
            for job in _jobs(run.operation):
                coming.add(job.queue, job.run_at)
            yield run.operation
        if perf_counter() > end:
            break
    for queue, jobs in coming.ready.items():
        for request, match in find_long_polls(queue, jobs):
            run = HandlerRun(request, match, arrivals)
            long_poll_runs.append(run)
            if run.operation is not None:
                yield run.operation


def _jobs(operation: Operation[Any]) -> Sequence[NewJob]:
    match operation:
        case Enqueue(jobs) | Requeue(_, Enqueue(jobs)):
            return jobs
        case Reschedule(job):
            return [job]
        case _:
            return ()


def route(request: Request) -> RouteMatch | Response:
    """Return the route of a request, or its response if it needs no handler."""
    try:
        return routes.match(request.method, request.target)
    except Exception:
        log.exception("Cannot route %s %s", request.method, ascii(request.target))
        return responses.server_error()
