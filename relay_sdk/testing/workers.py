"""Workers run step by step, where the test can see them."""

from typing import Any

from attrs import evolve

from relay_sdk._async_task import AsyncTask
from relay_sdk._operations import take
from relay_sdk._task import Task
from relay_sdk.async_worker import AsyncWorker
from relay_sdk.helper import AsyncJobHelper, JobHelper
from relay_sdk.worker import Worker

LIMIT = 1000

# A worker shows its parts to nobody else.
# pyright: reportPrivateUsage=false


def drain(worker: Worker, *, limit: int = LIMIT) -> int:
    """Run what is due, job by job in this thread, and also what becomes due by that; count it.

    What the worker does with a job is done: complete it, or see to `retry`, `on_error` and
    `on_give_up`. Then what the handler raised is raised here too, and jobs after it are left for
    the next call. There are no heartbeats: a handler that moves the clock beyond its job's timeout
    loses the job. After `limit` jobs it ends with a `RuntimeError`.
    """
    for count in range(limit):
        task = _next_task(worker)
        if task is None:
            return count
        _run(task)
    raise RuntimeError(ENDLESS.format(limit=limit))


async def adrain(worker: AsyncWorker, *, limit: int = LIMIT) -> int:
    """Do as `drain`, in this task."""
    for count in range(limit):
        task = await _next_async_task(worker)
        if task is None:
            return count
        await _arun(task)
    raise RuntimeError(ENDLESS.format(limit=limit))


ENDLESS = (
    "{limit} jobs were run and more may be due. Does a handler queue its job again for now? If so "
    "many are right, pass a higher limit"
)


def _next_task(worker: Worker) -> Task | None:
    for queue, task in worker._routes.items():
        for raw in worker._session.run(take(worker._policy, queue, 1, 0)):
            return task(raw)
    return None


async def _next_async_task(worker: AsyncWorker) -> AsyncTask | None:
    for queue, task in worker._routes.items():
        for raw in await worker._session.run(take(worker._policy, queue, 1, 0)):
            return task(raw)
    return None


def _run(task: Task) -> None:
    raised: list[BaseException] = []
    report = task.failing.on_error

    def handle() -> object:
        # A thread of a worker survives everything, Ctrl-C and pytest.fail included.
        try:
            return task.handle()
        except BaseException as error:
            raised.append(error)
            raise

    def on_error(helper: JobHelper[Any, Any], error: Exception) -> None:
        raised.append(error)
        if report is not None:
            report(helper, error)

    failing = evolve(task.failing, on_error=on_error)
    evolve(task, handle=handle, failing=failing).run()
    for error in raised:
        raise error


async def _arun(task: AsyncTask) -> None:
    raised: list[Exception] = []
    report = task.failing.on_error

    async def on_error(helper: AsyncJobHelper[Any, Any], error: Exception) -> None:
        raised.append(error)
        if report is not None:
            await report(helper, error)

    await evolve(task, failing=evolve(task.failing, on_error=on_error)).run()
    for error in raised:
        raise error
