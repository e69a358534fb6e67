"""A worker on threads."""

import threading
from collections.abc import Callable
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Self

from relay_sdk._base.clock import Stopped
from relay_sdk._base.flow import Sleep, Step, run
from relay_sdk._base.log import logger
from relay_sdk._base.validation import check_type
from relay_sdk._base.wakeup import Wakeup
from relay_sdk._engine.heartbeats import HeartbeatScheduler
from relay_sdk._engine.run import Run
from relay_sdk._engine.thread_pool import Threads
from relay_sdk.backoff import Backoff
from relay_sdk.client import Client
from relay_sdk.exceptions import TransportError
from relay_sdk.helper import JobHelper
from relay_sdk.job import P, Queue, S, as_queue
from relay_sdk.worker.base import BaseWorker
from relay_sdk.worker.execution import ErrorHandler, ExitForkedChild, Task
from relay_sdk.worker.signals import stop_on_signals

# Clients and helpers show their parts to workers only.
# pyright: reportPrivateUsage=false


class Worker(BaseWorker):
    """Takes jobs and runs each handler in a thread, up to `concurrency` at a time.

    When the handler returns, the job is completed, unless the handler has completed, rescheduled,
    released, requeued or removed it. When the handler raises, the error is logged and passed to
    `on_error`, and the job waits for its timeout. With `retry` it is queued again after a growing
    delay instead; once the retries are used up, `on_retries_exhausted` is called and the job is
    removed. The worker sends heartbeats for every running job.

    `run` works until `stop`, SIGTERM or SIGINT. Then the worker takes no more jobs and gives the
    running ones `graceful_shutdown_timeout` seconds to end. After that `helper.stopping` is true
    for 5 seconds, and the jobs that still run are put back into their queues. A second signal ends
    the program at once. `with Worker(...)` works in a thread until the block is left, and raises
    the error that ended the worker early. `concurrency` may be changed before the worker runs.
    """

    _thread: threading.Thread

    def __init__(
        self,
        client: Client,
        queue: Queue[P, S] | str,
        handler: Callable[[JobHelper[P, S]], object],
        *,
        concurrency: int = 8,
        graceful_shutdown_timeout: float = 30.0,
        retry: Backoff | None = None,
        on_error: ErrorHandler | None = None,
        on_retries_exhausted: ErrorHandler | None = None,
    ) -> None:
        check_type("Worker takes a Client", client, Client, "for an AsyncClient, use AsyncWorker")
        super().__init__(
            client._driver,
            concurrency,
            graceful_shutdown_timeout,
            retry,
            on_error,
            on_retries_exhausted,
        )
        self._driver = client._driver
        self._keeper = self._beats = HeartbeatScheduler(self._driver)
        self._wakeup = Wakeup(self._config.clock)
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
            helper = JobHelper(self._driver, run, declared)
            call = partial(_call, handler, helper)
            return Task(run, helper._beat, helper=helper, handle=call)

        return self._route(declared.name, handler, task)

    def run(self) -> None:
        """Work until told to stop; return when the jobs have ended or were put back."""
        self._begin()
        try:
            with self._beats, stop_on_signals(self._signalled):
                self._driver.run(self._life())
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
            self._wakeup.notify()

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
        return self._driver.wait(step, self._leave if isinstance(step, Sleep) else self._held)


def _call(handler: Callable[[JobHelper[P, S]], object], helper: JobHelper[P, S]) -> None:
    with ExitForkedChild():
        result = handler(helper)
    if isawaitable(result):
        raise TypeError(f"the handler returned {result!r}: it needs an AsyncWorker")
