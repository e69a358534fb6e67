"""A worker on threads."""

import threading
from collections.abc import Callable
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Self

from relay_sdk._checks import check_type
from relay_sdk._clock import News, Stopped
from relay_sdk._flow import Sleep, Step, run
from relay_sdk._keeper import Keeper
from relay_sdk._log import logger
from relay_sdk._run import Run
from relay_sdk._threads import Threads
from relay_sdk.backoff import Backoff
from relay_sdk.client import Client
from relay_sdk.exceptions import TransportError
from relay_sdk.helper import JobHelper
from relay_sdk.job import P, Queue, S, as_queue
from relay_sdk.worker._base import BaseWorker
from relay_sdk.worker._outcome import NoChild, Report, Task
from relay_sdk.worker._signals import stop_on_signals

# Clients and helpers show their parts to workers only.
# pyright: reportPrivateUsage=false


class Worker(BaseWorker):
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

    _thread: threading.Thread

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
        super().__init__(client._session, concurrency, grace, retry, on_error, on_give_up)
        self._session = client._session
        self._keeper = self._beats = Keeper(self._session)
        self._news = News(self._policy.clock)
        self._threads = Threads()
        self._held = threading.Event()
        self._leave = threading.Event()
        self._failure: BaseException | None = None
        self.add(queue, handler)

    def add(self, queue: Queue[P, S] | str, handler: Callable[[JobHelper[P, S]], object]) -> Self:
        """Work on another queue too; its jobs share the slots."""
        if iscoroutinefunction(handler):
            raise TypeError("an async handler needs an AsyncWorker")
        declared = as_queue(queue)

        def task(run: Run) -> Task:
            helper = JobHelper(self._session, run, declared)
            call = partial(_call, handler, helper)
            return Task(run, helper._beat, helper=helper, handle=call)

        return self._route(declared.name, handler, task)

    def run(self) -> None:
        """Work until told to stop; return when the jobs have ended or were put back."""
        self._begin()
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

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run_in_block, name="relay_sdk worker")
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.stop()
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
            self._threads.start("relay_sdk next", self._asking)
        except RuntimeError as error:
            if ask := self._slots.ask():
                self._slots.free(ask)
                self._slots.failed(ask, TransportError(f"no thread for it: {error}", sent=False))
            self._news.tell()

    def _asking(self) -> None:
        try:
            run(self._take_jobs(self._held.set), self._wait)
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 it is raised by `run`
            self._failure = error
            self.stop()

    def _start(self, task: Task) -> None:
        work = partial(run, self._work(task), self._wait)
        self._threads.start_or_run(f"relay_sdk {task.run.raw.id:.40}", work)

    def _wait(self, step: Step) -> object:
        """Do a step of a flow; what may last raises `Stopped` when the worker leaves.

        A request can be ended while the server holds it; a thread cannot be made to leave others.
        """
        return self._session.wait(step, self._leave if isinstance(step, Sleep) else self._held)


def _call(handler: Callable[[JobHelper[P, S]], object], helper: JobHelper[P, S]) -> None:
    with NoChild():
        result = handler(helper)
    if isawaitable(result):
        raise TypeError(f"the handler returned {result!r}: it needs an AsyncWorker")
