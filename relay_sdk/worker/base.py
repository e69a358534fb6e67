"""What workers on threads and on tasks do alike: take jobs, and come to an end."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from inspect import isasyncgenfunction, isgeneratorfunction
from math import inf
from types import NoneType
from typing import Any, Self

from attrs import evolve

from relay_sdk._base.clock import Stopped
from relay_sdk._base.flow import Flow, Invoke, sleep, with_timeout
from relay_sdk._base.log import logger
from relay_sdk._base.validation import check_int_range, check_seconds, check_type, job_label
from relay_sdk._base.wakeup import AsyncWakeup, Wakeup
from relay_sdk._engine.driver import AsyncDriver, Driver
from relay_sdk._engine.heartbeats import BaseHeartbeatScheduler
from relay_sdk._engine.polling import poll
from relay_sdk._engine.run import Run
from relay_sdk.backoff import Backoff
from relay_sdk.exceptions import ClientStateError, RelayError
from relay_sdk.job import RawJob
from relay_sdk.worker.execution import FailurePolicy, HandlerInterrupted, Task, outcome
from relay_sdk.worker.fetching import Ask, Slots

ONCE = Backoff(retries=0)
MOST_JOBS = 1_000_000
MOST_RETRIES = 1000
LAST_CALL = 5.0
"""Seconds that handlers have to end after they were told to."""
LAST_WORD = 5.0
"""Seconds that a worker takes at most to put back what still runs then."""
LAST_REPLY = 2.0
"""Seconds that a worker which stops waits at most for jobs that are on their way."""
LINGER = 0.002
"""Seconds that a free slot waits for others, until half of them are free."""
LONGEST_WAIT = 60.0
"""Seconds, after which a worker looks whether there is something to do."""
HELD = 0.25
"""Seconds after which the server holds a request that it may hold: no jobs are on their way."""


class BaseWorker(ABC):
    """The settings and the flows of a worker."""

    _keeper: BaseHeartbeatScheduler
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
        check_int_range("concurrency", concurrency, 1, MOST_JOBS)
        check_seconds("graceful_shutdown_timeout", graceful_shutdown_timeout)
        check_type(
            "retry must be a Backoff", retry, (Backoff, NoneType), "write Backoff(retries=3)"
        )
        if retry is not None and not (retry.retries and retry.retries <= MOST_RETRIES):
            raise ValueError(f"retry needs a number of retries, from 1 to {MOST_RETRIES}")
        self.concurrency: int = concurrency
        self._config = driver.config
        self._http = driver.http
        self._once = evolve(driver.config, next_backoff=ONCE, retry_backoff=ONCE)
        self._graceful_shutdown_timeout = graceful_shutdown_timeout
        self._failing = FailurePolicy(retry, on_error, on_retries_exhausted)
        self._routes: dict[str, Callable[[Run], Task]] = {}
        self._running: set[Task] = set()
        self._stopping = False
        self._begun = False
        self._hint = ""
        self._process = os.getpid()

    def stop(self) -> None:
        """Ask the worker to stop, from any thread; `run` returns when it has.

        An `AsyncWorker` is asked from a task. In a signal's handler, start a thread that asks.
        """
        self._stopping = True
        self._wakeup.notify()

    def _route(self, queue: str, handler: object, task: Callable[[Run], Task]) -> Self:
        """Work on a queue."""
        if self._begun:
            raise RuntimeError("add queues before the worker runs")
        if isgeneratorfunction(handler) or isasyncgenfunction(handler):
            raise TypeError(
                f"the handler of {job_label(queue)} has a yield: called, it would not run"
            )
        if queue in self._routes:
            raise ValueError(f"{job_label(queue)} has a handler already")
        self._routes[queue] = task
        return self

    def _begin(self) -> None:
        """Refuse to run twice, or in a child of the process that made the worker."""
        check_int_range("concurrency", self.concurrency, 1, MOST_JOBS)
        if os.getpid() != self._process:
            raise RuntimeError("this worker was made before a fork: make one in each process")
        if self._begun:
            raise RuntimeError("this worker has run already: make a new one")
        self._begun = True
        queues = list(self._routes)
        self._slots = Slots(self.concurrency, queues, self._config.next_backoff, self._config.clock)
        names = ", ".join(map(repr, queues))
        logger.info("working on %s at %s, %d at a time", names, self._http.url, self.concurrency)

    def _signalled(self) -> None:
        """Stop, as a signal asks for."""
        self._hint = "; Ctrl-C again ends at once"
        self.stop()

    @abstractmethod
    def _start(self, task: Task) -> None:
        """Run `_work` for a job, beside the others."""

    @abstractmethod
    def _start_asking(self) -> None:
        """Run `_take_jobs`, beside the jobs."""

    def _life(self) -> Flow[None]:
        """Take jobs until told to stop, and let them end."""
        while not self._stopping:
            self._fill()
            seconds = min(self._slots.wait(), LONGEST_WAIT)
            if not (yield Invoke(partial(self._wakeup.wait, seconds))):
                self._slots.waited(seconds)
        yield from self._end()

    def _fill(self) -> None:
        """Ask for jobs if there are slots for them."""
        if not self._stopping and self._slots.call():
            self._start_asking()

    def _take_jobs(self, cut: Callable[[], object]) -> Flow[None]:
        """Send the slots' requests until there is none; `cut` ends the one that is on its way."""
        more = True
        while more:
            if self._slots.few and not self._stopping:
                yield from sleep(LINGER)
            ask = None if self._stopping else self._slots.ask(cut)
            if ask is None:
                return
            self._fill()  # there may be slots for another
            more = yield from self._ask(ask)

    def _ask(self, ask: Ask) -> Flow[bool]:
        """Ask for jobs once, and start them; tell whether to go on with the next request."""
        jobs: list[RawJob] = []
        try:
            jobs, asked = yield from poll(self._once, ask.queue.name, ask.jobs, long_poll=ask.hold)
            self._slots.answered(ask, len(jobs))
        except ClientStateError:
            self._slots.close()
            raise
        except RelayError as error:
            self._slots.failed(ask, error)
            return False
        finally:
            self._slots.free(ask, len(jobs))
            if self._stopping or not jobs:
                self._wakeup.notify()
        tasks = [self._routes[ask.queue.name](Run(self._config, job, asked)) for job in jobs]
        for task in tasks:
            self._running.add(task)
            self._keeper.add(task)
        for task in tasks:
            if self._stopping:
                task.handle = _too_late
            self._start(task)
        return self._slots.call()

    def _work(self, task: Task) -> Flow[None]:
        """Run a job to its end."""
        try:
            returned = partial(self._returned, task)
            yield from outcome(task, self._failing, self._cancellation, returned)
        except Stopped:
            task.run.log.warning("the end of %s could not be told", task.run.where)
            task.run.left = True
        finally:
            self._ended(task)

    def _returned(self, task: Task) -> None:
        """Free the slot of a job whose handler has returned, before the server has heard of it."""
        task.returned = self._slots.returned()
        if task.returned:
            self._fill()

    def _ended(self, task: Task) -> None:
        """Forget a job that has ended."""
        self._keeper.drop(task)
        if task.run.over:
            self._running.discard(task)
        self._slots.ended(returned=task.returned)
        if self._stopping:
            self._wakeup.notify()
        elif not task.returned:
            self._fill()

    def _end(self) -> Flow[None]:
        """Let the running jobs end, tell those that do not, and put back what still runs."""
        left = f"they have {self._graceful_shutdown_timeout:g} s" + self._hint
        logger.info("stopping; %d jobs are running; %s", len(self._running), left)
        self._slots.close()
        monotonic, asks = self._config.clock.monotonic, self._slots.asks
        fresh = max((ask.sent for ask in list(asks) if ask.hold), default=-inf) + HELD
        yield from self._until(lambda: not asks, min(fresh - monotonic(), HELD))
        self._cut(held=True)
        yield from self._until(lambda: not asks, LAST_REPLY)
        self._cut(held=False)
        yield from self._until(lambda: not self._running, self._graceful_shutdown_timeout)
        for task in list(self._running):
            task.run.stopping = True
            task.cancel()
        yield from self._until(lambda: not self._running, LAST_CALL)
        yield from self._put_back(LAST_WORD)

    def _cut(self, *, held: bool) -> None:
        """End the requests for jobs that the server holds, or all that can be ended."""
        for ask in list(self._slots.asks):
            if ask.hold or not held:
                ask.cut()

    def _until(self, over: Callable[[], bool], seconds: float) -> Flow[None]:
        """Wait until something is over, some seconds at most."""
        monotonic = self._config.clock.monotonic
        until = monotonic() + seconds
        news = True
        while news and not over() and (left := until - monotonic()) > 0:
            news = yield Invoke(partial(self._wakeup.wait, left))

    def _put_back(self, seconds: float) -> Flow[None]:
        """Put back the jobs that still run, and tell how others have ended, if there is time.

        What cannot be told in time is left to its timeout.
        """
        monotonic = self._config.clock.monotonic
        until = monotonic() + seconds
        for task in list(self._running):
            run = task.run
            if run.over or run.handled:
                continue
            meant = run.meant
            what = "waits for the server" if meant else "still runs"
            try:
                yield from with_timeout((meant or run.release)(), monotonic, until - monotonic())
            except (RelayError, TimeoutError) as error:
                if not run.ended:  # in this moment, by itself
                    run.log.warning("%s %s; it is left to its timeout: %s", run.where, what, error)
            else:
                if meant is None:
                    run.log.warning("%s %s; it is put back", run.where, what)
            run.left = True


def _too_late() -> None:
    raise HandlerInterrupted("came while the worker stops")
