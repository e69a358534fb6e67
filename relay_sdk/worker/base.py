"""The parts that both workers share: fetching jobs, and stopping."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from inspect import isasyncgenfunction, isgeneratorfunction
from math import inf
from types import NoneType
from typing import Any, Generic, Self, TypeVar

from attrs import evolve

from relay_sdk._base.clock import Stopped
from relay_sdk._base.flow import Flow, Invoke, sleep, with_timeout
from relay_sdk._base.log import logger
from relay_sdk._base.validation import check_int_range, check_seconds, check_type, job_label
from relay_sdk._base.wakeup import AsyncWakeup, Wakeup
from relay_sdk._engine.driver import AsyncDriver, Driver
from relay_sdk._engine.heartbeats import BaseHeartbeatScheduler
from relay_sdk._engine.run import R, claim_runs
from relay_sdk.backoff import Backoff
from relay_sdk.exceptions import ClientStateError, RelayError
from relay_sdk.worker.execution import FailurePolicy, HandlerInterrupted, RunningJob, execute
from relay_sdk.worker.fetching import Fetch, Slots

H = TypeVar("H", bound=BaseHeartbeatScheduler)

ONCE = Backoff(retries=0)
MAX_CONCURRENCY = 1_000_000
MAX_WORKER_RETRIES = 1000
CANCEL_GRACE = 5.0
"""Seconds that handlers have to end after they were asked to stop."""
RELEASE_TIMEOUT = 5.0
"""The longest time that a stopping worker takes to put back the jobs that still run, in seconds."""
FETCH_DRAIN_TIMEOUT = 2.0
"""The longest time that a stopping worker waits for the replies to its fetches, in seconds."""
FETCH_DELAY = 0.002
"""Seconds that a fetch waits for more free slots while fewer than half of them are free."""
MAX_WAIT = 60.0
"""The longest wait between two checks of whether a fetch is due, in seconds."""
LONG_POLL_SETTLES_AFTER = 0.25
"""Seconds after which a long poll without a reply is held, so that ending it loses no jobs."""


class BaseWorker(ABC, Generic[R, H]):
    """The settings and the flows of a worker."""

    _run_kind: type[R]
    _heartbeats: H
    _wakeup: Wakeup | AsyncWakeup
    _slots: Slots
    _cancellation: tuple[type[BaseException], ...] = ()

    def __init__(
        self,
        driver: Driver | AsyncDriver,
        concurrency: int,
        graceful_shutdown_timeout: float,
        retry: Backoff | None,
        on_error: Callable[[Any, Exception], object] | None,
        on_retries_exhausted: Callable[[Any, Exception], object] | None,
    ) -> None:
        check_int_range("concurrency", concurrency, 1, MAX_CONCURRENCY)
        check_seconds("graceful_shutdown_timeout", graceful_shutdown_timeout)
        check_type(
            "retry must be a Backoff", retry, (Backoff, NoneType), "write Backoff(retries=3)"
        )
        if retry is not None and not (retry.retries and retry.retries <= MAX_WORKER_RETRIES):
            raise ValueError(f"retry needs a number of retries, from 1 to {MAX_WORKER_RETRIES}")
        self.concurrency: int = concurrency
        self._config = driver.config
        self._http = driver.http
        self._fetch_config = evolve(driver.config, next_backoff=ONCE, retry_backoff=ONCE)
        self._graceful_shutdown_timeout = graceful_shutdown_timeout
        self._failure_policy = FailurePolicy(retry, on_error, on_retries_exhausted)
        self._routes: dict[str, Callable[[R], RunningJob]] = {}
        self._running: set[RunningJob] = set()
        self._stopping = False
        self._begun = False
        self._signal_hint = ""
        self._pid = os.getpid()

    def stop(self) -> None:
        """Ask the worker to stop; `run` returns once it has stopped.

        Call it from any thread, for an `AsyncWorker` from a task of its event loop. In a signal
        handler, start a thread that calls it.
        """
        self._stopping = True
        self._wakeup.notify()

    def _route(self, queue: str, handler: object, make_job: Callable[[R], RunningJob]) -> Self:
        """Register the handler of a queue."""
        if self._begun:
            raise RuntimeError("add queues before the worker runs")
        if isgeneratorfunction(handler) or isasyncgenfunction(handler):
            raise TypeError(f"the handler of {job_label(queue)} must not be a generator function")
        if queue in self._routes:
            raise ValueError(f"{job_label(queue)} has a handler already")
        self._routes[queue] = make_job
        return self

    def _begin(self) -> None:
        """Refuse to run twice, or in a child of the process that made the worker."""
        check_int_range("concurrency", self.concurrency, 1, MAX_CONCURRENCY)
        if os.getpid() != self._pid:
            raise RuntimeError("this worker was made before a fork: make one in each process")
        if self._begun:
            raise RuntimeError("this worker has run already: make a new one")
        self._begun = True
        queues = list(self._routes)
        self._slots = Slots(self.concurrency, queues, self._config.next_backoff, self._config.clock)
        names = ", ".join(map(repr, queues))
        logger.info("working on %s at %s, %d at a time", names, self._http.url, self.concurrency)

    def _stop_on_signal(self) -> None:
        """Stop after a signal."""
        self._signal_hint = "; Ctrl-C again ends at once"
        self.stop()

    @abstractmethod
    def _start(self, job: RunningJob) -> None:
        """Run `_execute` in a thread or task of its own."""

    @abstractmethod
    def _start_fetching(self) -> None:
        """Run `_fetch_all` in a thread or task of its own."""

    def _work(self) -> Flow[None]:
        """Fetch jobs until the worker is asked to stop, and then stop in stages."""
        while not self._stopping:
            self._fill_slots()
            seconds = min(self._slots.until_due(), MAX_WAIT)
            if not (yield Invoke(partial(self._wakeup.wait, seconds))):
                self._slots.waited(seconds)
        hint = f"they have {self._graceful_shutdown_timeout:g} s{self._signal_hint}"
        logger.info("stopping; %d jobs are running; %s", len(self._running), hint)
        yield from self._stop_fetching()
        yield from self._let_jobs_finish()
        yield from self._ask_handlers_to_stop()
        yield from self._put_back_jobs(RELEASE_TIMEOUT)

    # Fetching

    def _fill_slots(self) -> None:
        """Start fetching if a fetch is due and slots are free for it."""
        if not self._stopping and self._slots.call_fetcher():
            self._start_fetching()

    def _fetch_all(self, cancel: Callable[[], object]) -> Flow[None]:
        """Fetch jobs while a fetch is due; `cancel` ends the request that is under way."""
        more = True
        while more:
            if self._slots.mostly_taken and not self._stopping:
                yield from sleep(FETCH_DELAY)
            fetch = None if self._stopping else self._slots.reserve(cancel)
            if fetch is None:
                return
            self._fill_slots()  # there may be slots for another fetch
            more = yield from self._fetch(fetch)

    def _fetch(self, fetch: Fetch) -> Flow[bool]:
        """Send a fetch and start its jobs; return whether another fetch is due."""
        queue = fetch.queue.name
        runs: list[R] = []
        try:
            runs = yield from claim_runs(
                self._run_kind,
                self._fetch_config,
                queue,
                fetch.jobs,
                long_poll=fetch.long_poll,
                run_config=self._config,
            )
            self._slots.succeeded(fetch, len(runs))
        except ClientStateError:
            self._slots.close()
            raise
        except RelayError as error:
            self._slots.failed(fetch, error)
            return False
        finally:
            self._slots.free_unused(fetch, len(runs))
            if self._stopping or not runs:
                self._wakeup.notify()
        jobs = [self._routes[queue](run) for run in runs]
        for job in jobs:
            self._running.add(job)
            self._heartbeats.add(job)
        for job in jobs:
            if self._stopping:
                job.call_handler = _refuse_late_job
            self._start(job)
        return self._slots.call_fetcher()

    # Running

    def _execute(self, job: RunningJob) -> Flow[None]:
        """Run a job to its end."""
        try:
            on_return = partial(self._handler_returned, job)
            yield from execute(job, self._failure_policy, self._cancellation, on_return)
        except Stopped:
            job.run.log.warning("could not report the outcome of %s before the end", job.run.label)
            job.run.lifecycle.abandon()
        finally:
            self._job_ended(job)

    def _handler_returned(self, job: RunningJob) -> None:
        """Free the slot of a job whose handler has returned, before its completion is sent."""
        job.slot_is_free = self._slots.free_early()
        if job.slot_is_free:
            self._fill_slots()

    def _job_ended(self, job: RunningJob) -> None:
        self._heartbeats.drop(job)
        if job.run.is_over:
            self._running.discard(job)
        self._slots.free(freed_early=job.slot_is_free)
        if self._stopping:
            self._wakeup.notify()
        elif not job.slot_is_free:
            self._fill_slots()

    # The stages of a stop

    def _stop_fetching(self) -> Flow[None]:
        """Fetch no more jobs, and wait for the replies that may have some."""
        self._slots.close()
        monotonic, fetches = self._config.clock.monotonic, self._slots.fetches
        last_held = max((fetch.sent_at for fetch in list(fetches) if fetch.long_poll), default=-inf)
        settles_in = last_held + LONG_POLL_SETTLES_AFTER - monotonic()
        yield from self._wait_until(lambda: not fetches, min(settles_in, LONG_POLL_SETTLES_AFTER))
        for fetch in list(fetches):
            if fetch.long_poll:
                fetch.cancel()
        yield from self._wait_until(lambda: not fetches, FETCH_DRAIN_TIMEOUT)
        for fetch in list(fetches):
            fetch.cancel()

    def _let_jobs_finish(self) -> Flow[None]:
        """Wait for the running jobs to end."""
        yield from self._wait_until(lambda: not self._running, self._graceful_shutdown_timeout)

    def _ask_handlers_to_stop(self) -> Flow[None]:
        """Ask the handlers that still run to stop, cancel those that can be cancelled, and wait."""
        for job in list(self._running):
            job.run.lifecycle.request_stop()
            job.cancel()
        yield from self._wait_until(lambda: not self._running, CANCEL_GRACE)

    def _put_back_jobs(self, seconds: float) -> Flow[None]:
        """Put back the jobs that still run, and report the outcomes of others, within `seconds`.

        The remaining jobs are left to their timeouts.
        """
        monotonic = self._config.clock.monotonic
        until = monotonic() + seconds
        for job in list(self._running):
            run = job.run
            if run.is_over or run.handler_is_ending:
                continue
            pending = run.lifecycle.pending_end
            what = "waits for the server" if pending else "still runs"
            try:
                yield from with_timeout(
                    (pending or run.interrupt)(), monotonic, until - monotonic()
                )
            except (RelayError, TimeoutError) as error:
                if not run.lifecycle.is_ended:  # its own thread or task may have just ended it
                    run.log.warning("%s %s; it is left to its timeout: %s", run.label, what, error)
            else:
                if pending is None:
                    run.log.warning("%s %s; it is put back into its queue", run.label, what)
            run.lifecycle.abandon()

    def _wait_until(self, condition: Callable[[], bool], seconds: float) -> Flow[None]:
        """Wait until a condition is true, for some seconds at most."""
        monotonic = self._config.clock.monotonic
        until = monotonic() + seconds
        notified = True
        while notified and not condition() and (left := until - monotonic()) > 0:
            notified = yield Invoke(partial(self._wakeup.wait, left))


def _refuse_late_job() -> None:
    raise HandlerInterrupted("arrived while the worker was stopping")
