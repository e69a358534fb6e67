"""Version 1: what each of its routes does."""

import json

from . import answers, batches, dates, storable
from .answers import Refused, Response
from .call import Call
from .lenient_dates import lenient
from .operations import (
    Exists,
    Flow,
    Get,
    Heartbeat,
    Job,
    NewJob,
    Remove,
    Reschedule,
)
from .reading import Reader
from .writing import array, string

FIELDS = (
    "id",
    "queue",
    "timeout",
    "max_retries",
    "payload",
    "state",
    "run_at",
    "updated_at",
)


def enqueue(call: Call) -> Flow[Response]:
    """Insert one job, or each of several that is not there yet."""
    call.check_body()
    jobs = batches.version_1(call.content, call.now)
    if jobs is None:
        jobs = call.body(lambda reader: read_jobs(reader, call.now))
    yield from call.enqueue(jobs, "unique" if len(jobs) == 1 else "ignore")
    return answers.empty(202)


def reschedule(call: Call) -> Flow[Response]:
    """Put the job in flight back into its queue, changed."""
    job = call.body(lambda reader: _read_job(reader, call.now))
    storable.json(job.payload)
    storable.json(job.state)
    storable.no_nul(job.queue + job.id)
    if not (yield from Reschedule(job)):
        raise _not_found(job.queue, job.id)
    call.tell([job])
    return answers.empty(202)


def next_jobs(call: Call) -> Flow[Response]:
    """Claim ready jobs."""
    return array(map(_write_job, (yield from call.claim())))


def exists(call: Call) -> Flow[Response]:
    """Tell whether the job is there."""
    return answers.empty(200 if (yield from Exists(call.queue, call.id)) else 404)


def get(call: Call) -> Flow[Response]:
    """Show the job."""
    job = yield from Get(call.queue, call.id)
    return answers.json(_write_job(job)) if job else answers.empty(404)


def heartbeat(call: Call) -> Flow[Response]:
    """Extend the job, whoever holds it; without a usable body its state is erased."""
    state = call.state()
    if not (yield from Heartbeat(call.queue, call.id, None, state)):
        raise _not_found(call.queue, call.id)
    return answers.empty(202)


def remove(call: Call) -> Flow[Response]:
    """Delete the job, whoever holds it, if it is there."""
    yield from Remove(call.queue, call.id)
    return answers.empty(200)


def _not_found(queue: str, id: str) -> Refused:
    return Refused(404, f"job with id `{id}` not found in queue `{queue}`.")


def read_jobs(reader: Reader, now: int) -> list[NewJob]:
    """Read an array of jobs, and say what is wrong with it."""
    return reader.array(lambda item: _read_job(item, now))


def _read_job(reader: Reader, now: int) -> NewJob:
    queue = key = timeout = payload = state = run_at = None
    max_retries: int | None = 0
    for name in reader.fields(FIELDS, "struct Job"):
        match name:
            case "id":
                key = reader.string()
            case "queue":
                queue = reader.string()
            case "timeout":
                timeout = max(0, reader.integer(-(2**31), 2**31 - 1, "i32"))
            case "max_retries":
                retries = reader.integer(-(2**31), 2**31 - 1, "i32")
                max_retries = None if retries < 0 else min(retries, 2**15 - 1)
            case "payload":
                payload = reader.value()
            case "state":
                state = reader.value()
            case "run_at":
                run_at = _read_run_at(reader)
            case _:
                _check_updated_at(reader)
    return NewJob(
        id=reader.required("id", key),
        queue=reader.required("queue", queue),
        timeout=reader.required("timeout", timeout),
        max_retries=max_retries,
        payload=reader.required("payload", payload),
        state=state,
        run_at=now if run_at is None else run_at,
    )


def _read_run_at(reader: Reader) -> int | None:
    if reader.peek() == '"':
        return lenient(json.loads(reader.value()))  # may hold half a surrogate pair
    if reader.peek() in "[{":
        # The real server's parser loses its place here.
        reader.syntax("expected `,` or `}`")
    reader.value()
    return None


def _check_updated_at(reader: Reader) -> None:
    """Refuse a bad date, though the value is not used."""
    if not reader.null():
        try:
            dates.relaxed(reader.string(dates.EXPECTED))
        except ValueError as error:
            reader.mismatch(str(error))
        except OverflowError:
            pass


def _write_job(job: Job) -> str:
    max_retries = -1 if job.max_retries is None else job.max_retries
    return (
        f'{{"id":{string(job.id)},"queue":{string(job.queue)},"timeout":{job.timeout},'
        f'"max_retries":{max_retries},"payload":{job.payload},"state":{job.state or "null"},'
        f'"run_at":"{dates.to_text(job.run_at)}","updated_at":"{dates.to_text(job.updated_at)}"}}'
    )
