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
from relay_sdk._engine.run import ThreadRun
from relay_sdk._engine.thread_pool import ThreadPool
from relay_sdk.backoff import Backoff
from relay_sdk.client import Client
from relay_sdk.exceptions import TransportError
from relay_sdk.helper import JobHelper
from relay_sdk.job import P, Queue, S, as_queue
from relay_sdk.worker.base import BaseWorker
from relay_sdk.worker.execution import ErrorHandler, ExitForkedChild, RunningJob
from relay_sdk.worker.signals import stop_on_signals

# Workers use private parts of clients and helpers.
# pyright: reportPrivateUsage=false


class Worker(BaseWorker[ThreadRun, HeartbeatScheduler]):
    """Claims jobs and runs each handler in a thread, up to `concurrency` at a time.

    When the handler returns, the job is completed, unless the handler has completed, rescheduled,
    released, requeued or removed it. When the handler raises, the error is logged and passed to
    `on_error`, and the job waits for its timeout. With `retry` it is queued again after a growing
    delay instead; once the retries are used up, `on_retries_exhausted` is called and the job is
    removed. The worker sends heartbeats for every running job.

    `run` works until `stop`, SIGTERM or SIGINT. Then the worker claims no more jobs and gives the
    running ones `graceful_shutdown_timeout` seconds to end. After that `helper.stopping` is true
    for 5 seconds, and the jobs that still run are put back into their queues. A second signal ends
    the program at once. `with Worker(...)` works in a thread until the block is left, and raises
    the error that ended the worker early. `concurrency` may be changed before the worker runs.
    """

    _run_kind = ThreadRun
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
        self._heartbeats = HeartbeatScheduler(self._driver)
        self._wakeup = Wakeup(self._config.clock)
        self._threads = ThreadPool()
        self._cancel_fetches = threading.Event()
        self._left = threading.Event()
        self._failure: BaseException | None = None
        self.add(queue, handler)

    def add(self, queue: Queue[P, S] | str, handler: Callable[[JobHelper[P, S]], object]) -> Self:
        """Run the jobs of another queue too; all queues share the slots."""
        if iscoroutinefunction(handler):
            raise TypeError("an async handler needs an AsyncWorker")
        declared = as_queue(queue)

        def make_job(run: ThreadRun) -> RunningJob:
            helper = JobHelper(self._driver, run, declared)
            return RunningJob(run, helper=helper, call_handler=partial(_call, handler, helper))

        return self._route(declared.name, handler, make_job)

    def run(self) -> None:
        """Work until the worker is asked to stop, and its jobs have ended or were put back."""
        self._begin()
        try:
            with self._heartbeats, stop_on_signals(self._stop_on_signal):
                self._driver.run(self._work())
        finally:
            self.stop()
            self._cancel_fetches.set()
            self._left.set()
            for job in list(self._running):
                job.run.stop_waiting()
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
            logger.exception("the worker has stopped early")
            self._failure = error

    def _start_fetching(self) -> None:
        try:
            self._threads.start("relay_sdk next", self._fetch_in_thread)
        except RuntimeError as error:
            if fetch := self._slots.reserve():
                self._slots.free_unused(fetch)
                self._slots.failed(
                    fetch, TransportError(f"no thread is left for it: {error}", sent=False)
                )
            self._wakeup.notify()

    def _fetch_in_thread(self) -> None:
        try:
            run(self._fetch_all(self._cancel_fetches.set), self._perform)
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 it is raised by `run`
            self._failure = error
            self.stop()

    def _start(self, job: RunningJob) -> None:
        work = partial(run, self._execute(job), self._perform)
        self._threads.start_or_run(f"relay_sdk {job.run.raw.id:.40}", work)

    def _perform(self, step: Step) -> object:
        """Perform a step of a flow; raise `Stopped` from a wait once the worker has left.

        A held fetch can be cancelled; a thread that runs a handler cannot.
        """
        stop = self._left if isinstance(step, Sleep) else self._cancel_fetches
        return self._driver.perform(step, stop)


def _call(handler: Callable[[JobHelper[P, S]], object], helper: JobHelper[P, S]) -> None:
    with ExitForkedChild():
        result = handler(helper)
    if isawaitable(result):
        raise TypeError(f"the handler returned {result!r}: it needs an AsyncWorker")
