"""What workers on threads and on tasks do alike: take jobs, and come to an end."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from types import NoneType
from typing import Generic, TypeVar

from attrs import evolve, frozen

from relay_sdk._checks import check_seconds, check_type, check_whole, place
from relay_sdk._flow import Flow, Invoke, bounded, sleep
from relay_sdk._keeper import B, Lease
from relay_sdk._log import logger
from relay_sdk._operations import take
from relay_sdk._policy import Policy
from relay_sdk._run import Run
from relay_sdk.backoff import Backoff
from relay_sdk.exceptions import RelayError, UnusableClientError
from relay_sdk.worker._outcome import Failing, tell
from relay_sdk.worker._pace import Pace

H = TypeVar("H")

ONCE = Backoff(retries=0)
MOST_JOBS = 1_000_000
MOST_RETRIES = 1000
LAST_CALL = 5.0
"""Seconds that handlers have to end after they were told to."""
LAST_WORD = 5.0
"""Seconds that a worker takes at most to put back what still runs then."""
LAST_REPLY = 2.0
"""Seconds that a worker which stops waits at most for jobs that are on their way."""


@frozen(eq=False)
class Task(Generic[B]):
    """A job in a slot."""

    run: Run
    handle: Callable[[], object]
    failing: Failing
    lease: Lease[B]
    cancel: Callable[[], object] = lambda: None


class BaseWorker(ABC, Generic[B, H]):
    """The settings and the flows of a worker."""

    def __init__(
        self,
        policy: Policy,
        concurrency: int,
        grace: float,
        retry: Backoff | None,
        on_error: Callable[[H, Exception], object] | None,
        on_give_up: Callable[[H, Exception], object] | None,
    ) -> None:
        check_whole("concurrency", concurrency, 1, MOST_JOBS)
        check_seconds("grace", grace)
        check_type(
            "retry must be a Backoff", retry, (Backoff, NoneType), "write Backoff(retries=3)"
        )
        if retry is not None and not (retry.retries and retry.retries <= MOST_RETRIES):
            raise ValueError(f"retry needs a number of retries, from 1 to {MOST_RETRIES}")
        self.concurrency: int = concurrency
        self._policy = policy
        self._once = evolve(policy, next_backoff=ONCE, retry_backoff=ONCE)
        self._grace = grace
        self._retry = retry
        self._on_error = on_error
        self._on_give_up = on_give_up
        self._routes: dict[str, Callable[[Run], Task[B]]] = {}
        self._running: set[Task[B]] = set()
        self._stopping = False
        self._begun = False
        self._process = os.getpid()

    def _failing(self, helper: H) -> Failing:
        """Decide what happens when the handler of a job raises."""
        return Failing(
            self._retry,
            self._on_error and partial(self._on_error, helper),
            self._on_give_up and partial(self._on_give_up, helper),
        )

    def _route(self, queue: str, task: Callable[[Run], Task[B]]) -> None:
        """Work on a queue."""
        if self._begun:
            raise RuntimeError("add queues before the worker runs")
        if queue in self._routes:
            raise ValueError(f"{place(queue)} has a handler already")
        self._routes[queue] = task

    def _begin(self) -> None:
        """Refuse to run twice, or in a child of the process that made the worker."""
        check_whole("concurrency", self.concurrency, 1, MOST_JOBS)
        if os.getpid() != self._process:
            raise RuntimeError("this worker was made before a fork: make one in each process")
        if self._begun:
            raise RuntimeError("this worker has run already: make a new one")
        self._begun = True

    def _say_stopping(self) -> None:
        logger.info("stopping; %d jobs are running", len(self._running))

    @abstractmethod
    def _start(self, task: Task[B]) -> None:
        """Run a job beside the others."""

    @abstractmethod
    def _slot(self) -> object:
        """Wait until a slot is free or the worker is to stop."""

    @abstractmethod
    def _idle(self, seconds: float) -> object:
        """Wait until no job is running, some seconds at most."""

    def _poll(self) -> Flow[None]:
        """Take jobs for free slots until told to stop."""
        pace = Pace(self._policy.next_backoff, self._policy.clock, len(self._routes))
        queues = list(self._routes)
        while True:
            yield Invoke(self._slot)
            more = False
            for queue in queues:
                free = self.concurrency - len(self._running)
                if self._stopping:
                    return
                if free and pace.may_ask(queue):
                    more |= yield from self._take(queue, free, pace)
            # Another queue is first next time.
            queues.append(queues.pop(0))
            if len(self._running) < self.concurrency and not more:
                yield from sleep(pace.wait())

    def _take(self, queue: str, free: int, pace: Pace) -> Flow[bool]:
        """Fill free slots from a queue; tell whether it may have more."""
        try:
            jobs, asked = yield from take(self._once, queue, free)
        except UnusableClientError:
            raise
        except RelayError as error:
            pace.failed(queue, error)
            return False
        pace.answered(queue)
        for job in jobs:
            pace.found()
            run = Run(self._policy, job, asked)
            if self._stopping:
                yield from tell(run, run.release)
                continue
            task = self._routes[queue](run)
            self._running.add(task)
            self._start(task)
        return len(jobs) == free

    def _end(self) -> Flow[None]:
        """Let the running jobs end, tell those that do not, and put back what still runs."""
        yield Invoke(partial(self._idle, self._grace))
        for task in list(self._running):
            task.run.stopping = True
            task.cancel()
        yield Invoke(partial(self._idle, LAST_CALL))
        yield from self._put_back(LAST_WORD)

    def _put_back(self, seconds: float) -> Flow[None]:
        """Put back the jobs that still run; what cannot be told in time is left to its timeout."""
        monotonic = self._policy.clock.monotonic
        until = monotonic() + seconds
        for task in list(self._running):
            if task.run.over:
                continue
            try:
                yield from bounded(task.run.release(), monotonic, until - monotonic())
            except (RelayError, TimeoutError) as error:
                logger.warning(
                    "%s still runs; it is left to its timeout: %s", task.run.where, error
                )
            else:
                logger.warning("%s still runs; it is put back", task.run.where)
            task.run.left = True
