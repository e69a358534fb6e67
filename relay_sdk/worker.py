"""A worker on threads."""

import threading
from collections.abc import Callable
from functools import partial
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Self

from attrs import evolve

from relay_sdk._checks import check_whole, place
from relay_sdk._clock import Stopped
from relay_sdk._lease import Lease
from relay_sdk._log import logger
from relay_sdk._operations import take
from relay_sdk._pulse import Pulse
from relay_sdk._signals import stop_on_signals
from relay_sdk._task import Failing, Report, Task
from relay_sdk._work import LAST_CALL, MOST_JOBS, ONCE, Pace, check_settings
from relay_sdk.backoff import Backoff
from relay_sdk.client import Client
from relay_sdk.exceptions import RelayError, UnusableClientError
from relay_sdk.helper import JobHelper
from relay_sdk.job import P, Queue, RawJob, S, as_queue

# A client shows its session to nobody else.
# pyright: reportPrivateUsage=false


class Worker:
    """Takes jobs and runs each in a thread of its own, `concurrency` of them at a time.

    When the handler returns, the job is completed. When it raises, that is logged, `on_error` is
    told, and the job is left to its timeout; with `retry` it is queued again after a growing wait
    instead, and after that many failures `on_give_up` is told and the job removed. A handler that
    has itself completed, rescheduled, requeued or removed its job has the last word. Heartbeats are
    sent for every running job.

    `run` works until `stop`, SIGTERM or SIGINT: nothing more is taken, running jobs have `grace`
    seconds to end, then `helper.stopping` is true for 5 seconds, and what still runs is left to the
    server's timeout. A second signal ends the program at once. `with Worker(...)` works in a thread
    until the block is left. `concurrency` may be set before that.
    """

    def __init__(
        self,
        client: Client,
        queue: Queue[P, S] | str,
        handler: Callable[[JobHelper[P, S]], None],
        *,
        concurrency: int = 8,
        grace: float = 30.0,
        retry: Backoff | None = None,
        on_error: Report | None = None,
        on_give_up: Report | None = None,
    ) -> None:
        check_settings(concurrency, grace, retry)
        self.concurrency: int = concurrency
        self._session = client._session
        self._policy = evolve(client._session.policy, retry_backoff=ONCE)
        self._grace = grace
        self._failing = Failing(retry, on_error, on_give_up)
        self._routes: dict[str, Callable[[RawJob], Task]] = {}
        self._running: set[Task] = set()
        self._changed = threading.Condition()
        self._idle = threading.Event()
        self._idle.set()
        self._stop = threading.Event()
        self._leave = threading.Event()
        self._thread: threading.Thread | None = None
        self.add(queue, handler)

    def add(self, queue: Queue[P, S] | str, handler: Callable[[JobHelper[P, S]], None]) -> Self:
        """Work on another queue too; its jobs share the slots."""
        declared = as_queue(queue)
        if iscoroutinefunction(handler):
            raise TypeError("an async handler needs an AsyncWorker")
        if declared.name in self._routes:
            raise ValueError(f"{place(declared.name)} has a handler already")

        def task(raw: RawJob) -> Task:
            lease = Lease(self._session, raw)
            helper = JobHelper(lease, declared)
            return Task(lease, helper, partial(handler, helper), self._failing, self._leave)

        self._routes[declared.name] = task
        return self

    def run(self) -> None:
        """Work until told to stop; return when the jobs have ended or were left."""
        check_whole("concurrency", self.concurrency, 1, MOST_JOBS)
        pulse = Pulse(self._policy.clock)
        try:
            with stop_on_signals(self.stop):
                self._work(pulse)
                self._end()
        finally:
            self._stop.set()
            self._leave.set()
            pulse.close()

    def stop(self) -> None:
        """Ask the worker to stop, from any thread; `run` returns when it has."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.run, name="relay_sdk worker")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def _work(self, pulse: Pulse) -> None:
        pace = Pace(self._policy.next_backoff, len(self._routes))
        queues = list(self._routes)
        while self._wait_for_slot():
            more = False
            for queue in queues:
                try:
                    more |= self._take(queue, pace, pulse)
                except UnusableClientError:
                    raise
                except RelayError as error:
                    pace.failed(queue, error)
            # Another queue is first next time.
            queues.append(queues.pop(0))
            if not more and not self._pause(pace.wait(), self._stop):
                return

    def _take(self, queue: str, pace: Pace, pulse: Pulse) -> bool:
        """Fill free slots from a queue; tell whether it may have more."""
        free = self.concurrency - len(self._running)
        if not free or self._stop.is_set():
            return True
        # A request that is on its way is let finish: its jobs are claimed.
        raws = self._session.run(take(self._policy, queue, free, 0))
        pace.answered(queue)
        for raw in raws:
            pace.found()
            task = self._routes[queue](raw)
            with self._changed:
                self._running.add(task)
                self._idle.clear()
            pulse.add(task.lease)
            name = f"relay_sdk {raw.id:.40}"
            try:
                threading.Thread(
                    target=self._run_task, args=(task, pulse), name=name, daemon=True
                ).start()
            except RuntimeError:
                logger.exception("no thread for %s; it is left to its timeout", task.where)
                self._forget(task, pulse)
        return len(raws) == free

    def _run_task(self, task: Task, pulse: Pulse) -> None:
        try:
            task.run()
        finally:
            self._forget(task, pulse)

    def _forget(self, task: Task, pulse: Pulse) -> None:
        pulse.drop(task.lease)
        with self._changed:
            self._running.discard(task)
            if not self._running:
                self._idle.set()
            self._changed.notify_all()

    def _wait_for_slot(self) -> bool:
        """Block until a slot is free; false when the worker is to stop."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stop.is_set() or len(self._running) < self.concurrency
            )
        return not self._stop.is_set()

    def _end(self) -> None:
        """Let the running jobs end, tell those that do not, and leave what still runs."""
        logger.info("stopping; %d jobs are running", len(self._running))
        if not self._pause(self._grace, self._idle):
            return
        for task in list(self._running):
            task.lease.run.stopping = True
        if not self._pause(LAST_CALL, self._idle):
            return
        for task in list(self._running):
            task.lease.run.ended = True
            logger.warning("%s still runs; it is left to its timeout", task.where)

    def _pause(self, seconds: float, event: threading.Event) -> bool:
        """Wait; tell whether the time passed before the event."""
        try:
            self._policy.clock.sleep(seconds, event)
        except Stopped:
            return False
        return True
