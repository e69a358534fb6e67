"""The handlers of version 1."""

import json

from . import batch_decoder, dates, responses, validation
from .context import RequestContext
from .exceptions import RequestError
from .json_parser import JsonParser
from .lenient_dates import parse_lenient
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
from .responses import Response, json_string

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


def enqueue(context: RequestContext) -> Flow[Response]:
    """Insert one job, or those of several that do not exist yet."""
    context.check_body()
    jobs = batch_decoder.decode_v1(context.content, context.now)
    if jobs is None:
        jobs = context.parse_body(lambda parser: parse_jobs(parser, context.now))
    yield from context.enqueue(jobs, "unique" if len(jobs) == 1 else "ignore")
    return responses.empty(202)


def reschedule(context: RequestContext) -> Flow[Response]:
    """Put the job in flight back into its queue, changed."""
    job = context.parse_body(lambda parser: _parse_job(parser, context.now))
    validation.check_json(job.payload)
    validation.check_json(job.state)
    validation.check_no_nul(job.queue + job.id)
    if not (yield from Reschedule(job)):
        raise _not_found(job.queue, job.id)
    context.add_arrivals([job])
    return responses.empty(202)


def next_jobs(context: RequestContext) -> Flow[Response]:
    """Claim ready jobs."""
    return responses.json_array(map(_format_job, (yield from context.claim())))


def exists(context: RequestContext) -> Flow[Response]:
    """Return 200 if the job exists, and 404 if not."""
    return responses.empty(200 if (yield from Exists(context.queue, context.id)) else 404)


def get(context: RequestContext) -> Flow[Response]:
    """Return the job."""
    job = yield from Get(context.queue, context.id)
    return responses.json(_format_job(job)) if job else responses.empty(404)


def heartbeat(context: RequestContext) -> Flow[Response]:
    """Extend any run of the job; without a valid body its state is erased."""
    state = context.parse_state()
    if not (yield from Heartbeat(context.queue, context.id, None, state)):
        raise _not_found(context.queue, context.id)
    return responses.empty(202)


def remove(context: RequestContext) -> Flow[Response]:
    """Delete the job if it exists, even while it runs."""
    yield from Remove(context.queue, context.id)
    return responses.empty(200)


def _not_found(queue: str, id: str) -> RequestError:
    return RequestError(404, f"job with id `{id}` not found in queue `{queue}`.")


def parse_jobs(parser: JsonParser, now: int) -> list[NewJob]:
    """Parse an array of jobs; raise RequestError at the first mistake."""
    return parser.array(lambda item: _parse_job(item, now))


def _parse_job(parser: JsonParser, now: int) -> NewJob:
    queue = key = timeout = payload = state = run_at = None
    max_retries: int | None = 0
    for name in parser.fields(FIELDS, "struct Job"):
        match name:
            case "id":
                key = parser.string()
            case "queue":
                queue = parser.string()
            case "timeout":
                timeout = max(0, parser.integer(-(2**31), 2**31 - 1, "i32"))
            case "max_retries":
                retries = parser.integer(-(2**31), 2**31 - 1, "i32")
                max_retries = None if retries < 0 else min(retries, 2**15 - 1)
            case "payload":
                payload = parser.value()
            case "state":
                state = parser.value()
            case "run_at":
                run_at = _parse_run_at(parser)
            case _:
                _check_updated_at(parser)
    return NewJob(
        id=parser.required("id", key),
        queue=parser.required("queue", queue),
        timeout=parser.required("timeout", timeout),
        max_retries=max_retries,
        payload=parser.required("payload", payload),
        state=state,
        run_at=now if run_at is None else run_at,
    )


def _parse_run_at(parser: JsonParser) -> int | None:
    if parser.peek() == '"':
        return parse_lenient(json.loads(parser.value()))  # may contain half of a surrogate pair
    if parser.peek() in "[{":
        # The real server's parser loses its position here.
        parser.syntax("expected `,` or `}`")
    parser.value()
    return None


def _check_updated_at(parser: JsonParser) -> None:
    """Raise RequestError for a bad date, although the value is not used."""
    if not parser.null():
        try:
            dates.parse_relaxed(parser.string(dates.EXPECTED))
        except ValueError as error:
            parser.mismatch(str(error))
        except OverflowError:
            pass


def _format_job(job: Job) -> str:
    max_retries = -1 if job.max_retries is None else job.max_retries
    return (
        f'{{"id":{json_string(job.id)},"queue":{json_string(job.queue)},"timeout":{job.timeout},'
        f'"max_retries":{max_retries},"payload":{job.payload},"state":{job.state or "null"},'
        f'"run_at":"{dates.to_text(job.run_at)}","updated_at":"{dates.to_text(job.updated_at)}"}}'
    )
