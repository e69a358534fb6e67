"""Version 2: what each of its routes does."""

from . import answers, batches, dates
from .answers import BackendError, Refused, Response
from .call import Call
from .operations import Enqueue, Flow, Get, Heartbeat, Job, NewJob, Remove, Requeue
from .reading import Reader
from .v1 import exists, remove
from .writing import array, string

__all__ = [
    "complete",
    "enqueue",
    "exists",
    "get",
    "heartbeat",
    "next_jobs",
    "remove",
    "requeue",
]

FIELDS = ("queue", "id", "timeout", "max_retries", "payload", "state", "run_at")


def enqueue(call: Call) -> Flow[Response]:
    """Insert jobs, all or none; the mode decides about those that are there already."""
    mode = call.mode()
    yield from call.enqueue(_read_jobs(call), mode)
    return answers.empty(202)


def next_jobs(call: Call) -> Flow[Response]:
    """Claim ready jobs, each with a new run id."""
    return array(map(_write_job, (yield from call.claim())))


def get(call: Call) -> Flow[Response]:
    """Show the job."""
    job = yield from Get(call.queue, call.id)
    return answers.json(_write_job(job)) if job else answers.empty(404)


def heartbeat(call: Call) -> Flow[Response]:
    """Extend this run of the job; without a usable body its state is erased."""
    state = call.state()
    if not (yield from Heartbeat(call.queue, call.id, call.run_id, state)):
        raise Refused(
            404,
            f"job with id `{call.id}` not found in queue `{call.queue}` with {call.run_id}.",
        )
    return answers.empty(202)


def complete(call: Call) -> Flow[Response]:
    """Delete the job if this run holds it."""
    yield from Remove(call.queue, call.id, call.run_id)
    return answers.empty(200)


def requeue(call: Call) -> Flow[Response]:
    """Replace this run of the job by new jobs; do nothing when the run is not there."""
    mode = call.mode()
    jobs = _read_jobs(call)
    run = Remove(call.queue, call.id, call.run_id)
    if (yield from Requeue(run, Enqueue(jobs, mode))):
        call.tell(jobs)
    return answers.empty(202)


def _read_jobs(call: Call) -> list[NewJob]:
    call.check_body()
    jobs = batches.version_2(call.content, call.now)
    if jobs is None:
        jobs = call.body(lambda reader: read_jobs(reader, call.now))
    return jobs


def read_jobs(reader: Reader, now: int) -> list[NewJob]:
    """Read an array of jobs, and say what is wrong with it."""
    return reader.array(lambda item: _read_job(item, now))


def _read_job(reader: Reader, now: int) -> NewJob:
    queue = key = timeout = max_retries = payload = state = run_at = None
    for name in reader.fields(FIELDS, "struct New"):
        match name:
            case "queue":
                queue = reader.string()
            case "id":
                key = reader.string()
            case "timeout":
                timeout = _natural(reader, 2**31 - 1, "i32")
            case "max_retries":
                max_retries = None if reader.null() else _natural(reader, 2**15 - 1, "i16")
            case "payload":
                payload = reader.value()
            case "state":
                state = reader.value()
            case _:
                run_at = None if reader.null() else _read_run_at(reader)
    return NewJob(
        queue=reader.required("queue", queue),
        id=reader.required("id", key),
        timeout=reader.required("timeout", timeout),
        max_retries=max_retries,
        payload=reader.required("payload", payload),
        state=state,
        run_at=now if run_at is None else run_at,
    )


def _natural(reader: Reader, high: int, expected: str) -> int:
    number = reader.integer(-high - 1, high, expected)
    if number < 0:
        reader.mismatch("Integer is too small to store in target integer type")
    return number


def _read_run_at(reader: Reader) -> int:
    try:
        return dates.relaxed(reader.string(dates.EXPECTED))
    except ValueError as error:
        reader.mismatch(str(error))
    except OverflowError as error:
        raise BackendError(f"db error: ERROR: {error}") from None


def _write_job(job: Job) -> str:
    run_id = "null" if job.run_id is None else f'"{job.run_id}"'
    return (
        f'{{"queue":{string(job.queue)},"id":{string(job.id)},"timeout":{job.timeout},'
        f'"max_retries":{_count(job.max_retries)},'
        f'"retries_remaining":{_count(job.retries_remaining)},'
        f'"payload":{job.payload},"state":{job.state or "null"},"run_id":{run_id},'
        f'"run_at":"{dates.to_text(job.run_at)}","updated_at":"{dates.to_text(job.updated_at)}",'
        f'"created_at":"{dates.to_text(job.created_at)}"}}'
    )


def _count(number: int | None) -> str:
    return "null" if number is None else str(number)
