"""Run workers step by step, in the thread or task of the test."""

from typing import Any

from attrs import evolve

from relay_sdk._base.flow import Flow, arun, run
from relay_sdk._engine.config import ClientConfig
from relay_sdk._engine.run import R, claim_runs
from relay_sdk.events import Event, JobEvent
from relay_sdk.worker import AsyncWorker, Worker
from relay_sdk.worker.base import BaseWorker
from relay_sdk.worker.execution import RunningJob, execute
from relay_sdk.worker.tasks import cancellation_types

LIMIT = 1000

# The parts of a worker are private to everything else.
# pyright: reportPrivateUsage=false


def drain(worker: Worker, *, limit: int = LIMIT) -> int:
    """Run every job that is due, one by one in this thread, and return how many there were.

    Jobs that become due on the way are included. The worker does what it always does with a job:
    it completes it, or applies `retry`, `on_error` and `on_retries_exhausted`. Then an error of the
    handler is raised here too, and the remaining jobs wait for the next call. There are no
    heartbeats: a handler that moves the clock beyond the timeout loses its job. More than `limit`
    jobs raise `RuntimeError`.
    """
    return run(_drain(worker, limit), worker._driver.perform)


async def adrain(worker: AsyncWorker, *, limit: int = LIMIT) -> int:
    """Do what `drain` does, in this task."""
    # A cancellation of the handler cancels this task too.
    worker._cancellation, worker._leaving = cancellation_types(), True
    try:
        return await arun(_drain(worker, limit), worker._driver.perform)
    finally:
        worker._leaving = False


def _drain(worker: BaseWorker[R, Any], limit: int) -> Flow[int]:
    raised: list[BaseException] = []

    def on_event(event: Event) -> None:
        """Keep the exception of the handler, which the worker survives but the test must raise."""
        if isinstance(event, JobEvent) and event.error is not None:
            raised.append(event.error)
        if worker._config.on_event is not None:
            worker._config.on_event(event)

    config = evolve(worker._config, on_event=on_event)
    for count in range(limit):
        job = yield from _next_job(worker, config)
        if job is None:
            return count
        yield from execute(job, worker._failure_policy, worker._cancellation)
        for error in raised:
            raise error
    raise RuntimeError(
        f"{limit} jobs were run and more may be due. Does a handler keep queueing its job for now? "
        "If this many are right, pass a higher limit"
    )


def _next_job(worker: BaseWorker[R, Any], config: ClientConfig) -> Flow[RunningJob | None]:
    for queue, make_job in worker._routes.items():
        runs = yield from claim_runs(
            worker._run_kind, worker._fetch_config, queue, 1, run_config=config
        )
        if runs:
            return make_job(runs[0])
    return None
