"""The handlers of version 2."""

from . import batch_decoder, dates, responses
from .context import RequestContext
from .exceptions import BackendError, RequestError
from .json_parser import JsonParser
from .operations import Enqueue, Flow, Get, Heartbeat, Job, NewJob, Remove, Requeue
from .responses import Response, json_string
from .v1 import exists, remove

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


def enqueue(context: RequestContext) -> Flow[Response]:
    """Insert jobs, all or none; the mode decides about those that exist already."""
    mode = context.mode()
    yield from context.enqueue(_parse_request_jobs(context), mode)
    return responses.empty(202)


def next_jobs(context: RequestContext) -> Flow[Response]:
    """Claim ready jobs, each with a new run id."""
    return responses.json_array(map(_format_job, (yield from context.claim())))


def get(context: RequestContext) -> Flow[Response]:
    """Return the job."""
    job = yield from Get(context.queue, context.id)
    return responses.json(_format_job(job)) if job else responses.empty(404)


def heartbeat(context: RequestContext) -> Flow[Response]:
    """Extend this run of the job; without a valid body its state is erased."""
    state = context.parse_state()
    if not (yield from Heartbeat(context.queue, context.id, context.run_id, state)):
        raise RequestError(
            404,
            f"job with id `{context.id}` not found in queue `{context.queue}` "
            f"with {context.run_id}.",
        )
    return responses.empty(202)


def complete(context: RequestContext) -> Flow[Response]:
    """Delete the job if this run holds it."""
    yield from Remove(context.queue, context.id, context.run_id)
    return responses.empty(200)


def requeue(context: RequestContext) -> Flow[Response]:
    """Replace this run of the job by new jobs; do nothing if it does not hold the job."""
    mode = context.mode()
    jobs = _parse_request_jobs(context)
    run = Remove(context.queue, context.id, context.run_id)
    if (yield from Requeue(run, Enqueue(jobs, mode))):
        context.add_arrivals(jobs)
    return responses.empty(202)


def _parse_request_jobs(context: RequestContext) -> list[NewJob]:
    context.check_body()
    jobs = batch_decoder.decode_v2(context.content, context.now)
    if jobs is None:
        jobs = context.parse_body(lambda parser: parse_jobs(parser, context.now))
    return jobs


def parse_jobs(parser: JsonParser, now: int) -> list[NewJob]:
    """Parse an array of jobs; raise RequestError at the first mistake."""
    return parser.array(lambda item: _parse_job(item, now))


def _parse_job(parser: JsonParser, now: int) -> NewJob:
    queue = key = timeout = max_retries = payload = state = run_at = None
    for name in parser.fields(FIELDS, "struct New"):
        match name:
            case "queue":
                queue = parser.string()
            case "id":
                key = parser.string()
            case "timeout":
                timeout = _natural(parser, 2**31 - 1, "i32")
            case "max_retries":
                max_retries = None if parser.null() else _natural(parser, 2**15 - 1, "i16")
            case "payload":
                payload = parser.value()
            case "state":
                state = parser.value()
            case _:
                run_at = None if parser.null() else _parse_run_at(parser)
    return NewJob(
        queue=parser.required("queue", queue),
        id=parser.required("id", key),
        timeout=parser.required("timeout", timeout),
        max_retries=max_retries,
        payload=parser.required("payload", payload),
        state=state,
        run_at=now if run_at is None else run_at,
    )


def _natural(parser: JsonParser, high: int, expected: str) -> int:
    number = parser.integer(-high - 1, high, expected)
    if number < 0:
        parser.mismatch("Integer is too small to store in target integer type")
    return number


def _parse_run_at(parser: JsonParser) -> int:
    try:
        return dates.parse_relaxed(parser.string(dates.EXPECTED))
    except ValueError as error:
        parser.mismatch(str(error))
    except OverflowError as error:
        raise BackendError(f"db error: ERROR: {error}") from None


def _format_job(job: Job) -> str:
    run_id = "null" if job.run_id is None else f'"{job.run_id}"'
    return (
        f'{{"queue":{json_string(job.queue)},"id":{json_string(job.id)},"timeout":{job.timeout},'
        f'"max_retries":{_number(job.max_retries)},'
        f'"retries_remaining":{_number(job.retries_remaining)},'
        f'"payload":{job.payload},"state":{job.state or "null"},"run_id":{run_id},'
        f'"run_at":"{dates.to_text(job.run_at)}","updated_at":"{dates.to_text(job.updated_at)}",'
        f'"created_at":"{dates.to_text(job.created_at)}"}}'
    )


def _number(number: int | None) -> str:
    return "null" if number is None else str(number)
