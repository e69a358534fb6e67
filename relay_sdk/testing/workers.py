"""Run workers step by step, in the thread or task of the test."""

from relay_sdk._flow import Invoke, Step, arun, run
from relay_sdk._operations import take
from relay_sdk._run import Run
from relay_sdk.worker import AsyncWorker, Worker
from relay_sdk.worker._outcome import Task, outcome

LIMIT = 1000

# A worker shows its parts to nobody else.
# pyright: reportPrivateUsage=false


def drain(worker: Worker, *, limit: int = LIMIT) -> int:
    """Run every job that is due, one by one in this thread, and return how many there were.

    Jobs that become due on the way are included. The worker does what it always does with a job:
    it completes it, or applies `retry`, `on_error` and `on_give_up`. Then an error of the handler
    is raised here too, and the remaining jobs wait for the next call. There are no heartbeats: a
    handler that moves the clock beyond the timeout loses its job. More than `limit` jobs raise
    `RuntimeError`.
    """
    for count in range(limit):
        task = _next_task(worker)
        if task is None:
            return count
        _run(worker, task)
    raise RuntimeError(ENDLESS.format(limit=limit))


async def adrain(worker: AsyncWorker, *, limit: int = LIMIT) -> int:
    """Do what `drain` does, in this task."""
    for count in range(limit):
        task = await _next_async_task(worker)
        if task is None:
            return count
        await _arun(worker, task)
    raise RuntimeError(ENDLESS.format(limit=limit))


ENDLESS = (
    "{limit} jobs were run and more may be due. Does a handler keep queueing its job for now? If "
    "this many are right, pass a higher limit"
)


def _next_task(worker: Worker) -> Task | None:
    for queue, task in worker._routes.items():
        jobs, asked = worker._session.run(take(worker._once, queue, 1))
        for job in jobs:
            return task(Run(worker._policy, job, asked))
    return None


async def _next_async_task(worker: AsyncWorker) -> Task | None:
    for queue, task in worker._routes.items():
        jobs, asked = await worker._session.run(take(worker._once, queue, 1))
        for job in jobs:
            return task(Run(worker._policy, job, asked))
    return None


def _run(worker: Worker, task: Task) -> None:
    raised: list[BaseException] = []

    def wait(step: Step) -> object:
        try:
            return worker._session.wait(step)
        except BaseException as error:
            _note(step, task, error, raised)
            raise

    run(outcome(task, worker._failing), wait)
    for error in raised:
        raise error


async def _arun(worker: AsyncWorker, task: Task) -> None:
    raised: list[BaseException] = []

    async def wait(step: Step) -> object:
        try:
            return await worker._session.wait(step)
        except BaseException as error:
            _note(step, task, error, raised)
            raise

    await arun(outcome(task, worker._failing), wait)
    for error in raised:
        raise error


def _note(step: Step, task: Task, error: BaseException, raised: list[BaseException]) -> None:
    """Keep what the handler raised: the worker survives it, but the test must see it."""
    if isinstance(step, Invoke) and step.function is task.handle:
        raised.append(error)
