"""Run workers step by step, in the thread or task of the test."""

from attrs import evolve

from relay_sdk._base.flow import Flow, arun, run
from relay_sdk._engine.config import ClientConfig
from relay_sdk._engine.polling import poll
from relay_sdk._engine.run import Run
from relay_sdk.events import Event, JobEvent
from relay_sdk.worker import AsyncWorker, Worker
from relay_sdk.worker.base import BaseWorker
from relay_sdk.worker.execution import Task, outcome
from relay_sdk.worker.tasks import passing

LIMIT = 1000

# A worker shows its parts to nobody else.
# pyright: reportPrivateUsage=false


def drain(worker: Worker, *, limit: int = LIMIT) -> int:
    """Run every job that is due, one by one in this thread, and return how many there were.

    Jobs that become due on the way are included. The worker does what it always does with a job:
    it completes it, or applies `retry`, `on_error` and `on_retries_exhausted`. Then an error of the
    handler is raised here too, and the remaining jobs wait for the next call. There are no
    heartbeats: a handler that moves the clock beyond the timeout loses its job. More than `limit`
    jobs raise `RuntimeError`.
    """
    return run(_drained(worker, limit), worker._driver.wait)


async def adrain(worker: AsyncWorker, *, limit: int = LIMIT) -> int:
    """Do what `drain` does, in this task."""
    # What cancels the handler cancels this task with it.
    worker._cancellation, worker._leaving = passing(), True
    try:
        return await arun(_drained(worker, limit), worker._driver.wait)
    finally:
        worker._leaving = False


def _drained(worker: BaseWorker, limit: int) -> Flow[int]:
    raised: list[BaseException] = []

    def note(event: Event) -> None:
        """Keep what the handler raised: the worker survives it, but the test must see it."""
        if isinstance(event, JobEvent) and event.error is not None:
            raised.append(event.error)
        if worker._config.on_event is not None:
            worker._config.on_event(event)

    config = evolve(worker._config, on_event=note)
    for count in range(limit):
        task = yield from _next_task(worker, config)
        if task is None:
            return count
        yield from outcome(task, worker._failing, worker._cancellation)
        for error in raised:
            raise error
    raise RuntimeError(
        f"{limit} jobs were run and more may be due. Does a handler keep queueing its job for now? "
        "If this many are right, pass a higher limit"
    )


def _next_task(worker: BaseWorker, config: ClientConfig) -> Flow[Task | None]:
    for queue, task in worker._routes.items():
        jobs, asked = yield from poll(worker._once, queue, 1)
        for job in jobs:
            return task(Run(config, job, asked))
    return None
