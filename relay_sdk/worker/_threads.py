"""A worker on threads."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from types import TracebackType
from typing import Any, Self

from relay_sdk._checks import check_type
from relay_sdk._clock import Stopped
from relay_sdk._flow import Sleep, Step, run
from relay_sdk._keeper import Beat, Keeper, Lease
from relay_sdk._log import logger
from relay_sdk._run import Run
from relay_sdk._threads import Threads
from relay_sdk.backoff import Backoff
from relay_sdk.client import Client
from relay_sdk.helper import JobHelper
from relay_sdk.job import P, Queue, S, as_queue
from relay_sdk.worker._base import LAST_REPLY, BaseWorker, Task
from relay_sdk.worker._outcome import Report, outcome
from relay_sdk.worker._signals import stop_on_signals

# Clients and helpers show their parts to workers only.
# pyright: reportPrivateUsage=false


class Worker(BaseWorker[Beat, JobHelper[Any, Any]]):
    """Takes jobs and runs each in a thread, `concurrency` of them at a time.

    When the handler returns, the job is completed. When it raises, that is logged, `on_error` is
    told, and the job is left to its timeout; with `retry` it is put back after a growing wait
    instead, and after that many failures `on_give_up` is told and the job removed. A handler that
    has itself completed, rescheduled, released, requeued or removed its job has the last word.
    Heartbeats are sent for every running job.

    `run` works until `stop`, SIGTERM or SIGINT: nothing more is taken, running jobs have `grace`
    seconds to end, then `helper.stopping` is true for 5 seconds, and what still runs is put back
    into its queue. A second signal ends the program at once. `with Worker(...)` works in a thread
    until the block is left, and raises what ended it early. `concurrency` may be set before that.
    """

    def __init__(
        self,
        client: Client,
        queue: Queue[P, S] | str,
        handler: Callable[[JobHelper[P, S]], object],
        *,
        concurrency: int = 8,
        grace: float = 30.0,
        retry: Backoff | None = None,
        on_error: Report | None = None,
        on_give_up: Report | None = None,
    ) -> None:
        check_type("Worker takes a Client", client, Client, "for an AsyncClient, use AsyncWorker")
        super().__init__(client._session.policy, concurrency, grace, retry, on_error, on_give_up)
        self._session = client._session
        self._keeper = Keeper(self._policy.clock)
        self._threads = Threads()
        self._freed = threading.Condition()
        self._nothing_runs = threading.Event()
        self._stop = threading.Event()
        self._leave = threading.Event()
        self._polled = threading.Event()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.add(queue, handler)

    def add(self, queue: Queue[P, S] | str, handler: Callable[[JobHelper[P, S]], object]) -> Self:
        """Work on another queue too; its jobs share the slots."""
        if iscoroutinefunction(handler):
            raise TypeError("an async handler needs an AsyncWorker")
        declared = as_queue(queue)

        def task(run: Run) -> Task[Beat]:
            helper = JobHelper(self._session, run, declared)
            failing = self._failing(helper)
            return Task(run, partial(_call, handler, helper), failing, Lease(run, helper._beat))

        self._route(declared.name, task)
        return self

    def run(self) -> None:
        """Work until told to stop; return when the jobs have ended or were put back."""
        self._begin()
        try:
            with self._keeper, stop_on_signals(self.stop):
                self._threads.start("relay_sdk poll", self._take_jobs)
                self._stop.wait()
                self._say_stopping()
                self._pause(LAST_REPLY, self._polled)
                self._session.run(self._end())
        finally:
            self.stop()
            self._leave.set()
            self._threads.close()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ask the worker to stop, from any thread; `run` returns when it has."""
        self._stopping = True
        self._stop.set()
        with self._freed:
            self._freed.notify_all()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run_in_block, name="relay_sdk worker")
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
        if self._failure is not None and error is None:
            raise self._failure

    def _run_in_block(self) -> None:
        try:
            self.run()
        except BaseException as error:
            logger.exception("the worker has ended early")
            self._failure = error

    def _take_jobs(self) -> None:
        try:
            run(self._poll(), partial(self._wait, stop=self._stop))
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 it is raised by `run`
            self._failure = error
        finally:
            self._polled.set()
            self.stop()

    def _start(self, task: Task[Beat]) -> None:
        with self._freed:  # else a job that ends now could set it after this
            self._nothing_runs.clear()
        self._keeper.add(task.lease, task.run.interval(None))
        try:
            self._threads.start(f"relay_sdk {task.run.raw.id:.40}", partial(self._work, task))
        except RuntimeError:
            logger.exception("no thread for %s; it is left to its timeout", task.run.where)
            self._forget(task)

    def _work(self, task: Task[Beat]) -> None:
        try:
            flow = outcome(task.run, task.handle, task.failing)
            run(flow, partial(self._wait, stop=self._leave))
        except Stopped:
            task.run.left = True
            logger.warning("the end of %s could not be told", task.run.where)
        finally:
            self._forget(task)

    def _forget(self, task: Task[Beat]) -> None:
        self._keeper.drop(task.lease)
        with self._freed:
            self._running.discard(task)
            if not self._running:
                self._nothing_runs.set()
            self._freed.notify_all()

    def _slot(self) -> None:
        with self._freed:
            self._freed.wait_for(lambda: self._stopping or len(self._running) < self.concurrency)

    def _idle(self, seconds: float) -> None:
        if self._running:
            self._pause(seconds, self._nothing_runs)

    def _wait(self, step: Step, stop: threading.Event) -> object:
        """Do a step of a flow; its sleeps raise `Stopped` when the event comes."""
        if not isinstance(step, Sleep):
            return self._session.wait(step)
        self._policy.clock.sleep(step.seconds, stop)
        return None

    def _pause(self, seconds: float, event: threading.Event) -> None:
        """Wait, until the event at most."""
        with suppress(Stopped):
            self._policy.clock.sleep(seconds, event)


def _call(handler: Callable[[JobHelper[P, S]], object], helper: JobHelper[P, S]) -> None:
    result = handler(helper)
    if isawaitable(result):
        raise TypeError(f"the handler returned {result!r}: it needs an AsyncWorker")
