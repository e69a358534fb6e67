"""A worker on threads."""

import threading
from collections.abc import Callable
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from types import TracebackType
from typing import Any, Self

from relay_sdk._checks import check_type
from relay_sdk._clock import Stopped
from relay_sdk._flow import Sleep, Step, run
from relay_sdk._keeper import Beat, Keeper
from relay_sdk._log import logger
from relay_sdk._run import Run
from relay_sdk._threads import Threads
from relay_sdk.backoff import Backoff
from relay_sdk.client import Client
from relay_sdk.helper import JobHelper
from relay_sdk.job import P, Queue, S, as_queue
from relay_sdk.worker._base import BaseWorker, Task
from relay_sdk.worker._outcome import Report, outcome
from relay_sdk.worker._signals import stop_on_signals
from relay_sdk.worker._slots import Ask

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
        self._keeper = self._beats = Keeper(self._policy.clock)
        self._threads = Threads()
        self._came = threading.Event()
        self._held = threading.Event()
        self._leave = threading.Event()
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
            handle = partial(_call, handler, helper)
            return Task(run, helper._beat, handle=handle, failing=failing)

        self._route(declared.name, task)
        return self

    def run(self) -> None:
        """Work until told to stop; return when the jobs have ended or were put back."""
        self._begin(self._session.url)
        try:
            with self._beats, stop_on_signals(self._signalled):
                self._session.run(self._life())
        finally:
            self.stop()
            self._held.set()
            self._leave.set()
            self._threads.close()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ask the worker to stop, from any thread; `run` returns when it has."""
        self._stopping = True
        self._wake()

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

    def _start_asking(self) -> None:
        try:
            self._threads.start("relay_sdk next", self._take_jobs)
        except RuntimeError as error:
            logger.warning("no thread for a request: %s", error)
            self._take_jobs()

    def _take_jobs(self) -> None:
        try:
            more = True
            while more and (ask := run(self._next_ask(), self._wait)):
                more = run(self._ask(ask), partial(self._wait, ask=ask))
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 it is raised by `run`
            self._failure = error
            self.stop()

    def _start(self, task: Task[Beat]) -> None:
        self._keeper.add(task, task.run.interval(None))
        try:
            self._threads.start(f"relay_sdk {task.run.raw.id:.40}", partial(self._work, task))
        except RuntimeError:
            log = task.run.log
            log.exception("no thread for %s; it is left to its timeout", task.run.where)
            task.run.left = True
            self._ended(task)

    def _work(self, task: Task[Beat]) -> None:
        try:
            flow = outcome(task.run, task.handle, task.failing, partial(self._returned, task))
            run(flow, self._wait)
        except Stopped:
            task.run.log.warning("the end of %s could not be told", task.run.where)
        finally:
            task.run.left = True
            self._ended(task)

    def _wake(self) -> None:
        self._came.set()

    def _cut(self, *, held: bool) -> None:
        if held:  # a thread cannot be made to leave another request
            self._held.set()

    def _wait(self, step: Step, ask: Ask | None = None) -> object:
        """Do a step of a flow; what may last raises `Stopped` when the worker leaves."""
        if isinstance(step, Sleep):
            return self._session.wait(step, self._leave)
        return self._session.wait(step, self._held if ask and ask.hold else None)

    def _news(self, seconds: float) -> bool:
        try:
            self._policy.clock.sleep(seconds, self._came)
        except Stopped:
            self._came.clear()
            return True
        return False


def _call(handler: Callable[[JobHelper[P, S]], object], helper: JobHelper[P, S]) -> None:
    result = handler(helper)
    if isawaitable(result):
        raise TypeError(f"the handler returned {result!r}: it needs an AsyncWorker")
