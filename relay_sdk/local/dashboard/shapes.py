"""The JSON of `/local/...`, as openapi/local.yaml describes it."""

from typing import Annotated

from msgspec import Meta, Struct, structs

from relay_sdk.local import dates, run_ids
from relay_sdk.local.job_reader import Status, job_status
from relay_sdk.local.operations import Job

MAX_IDS = 1000


class QueueLine(Struct):
    """A queue: its jobs now, and the counts of this server for the last minute."""

    queue: str
    ready: int
    scheduled: int
    running: int
    oldest_wait: float | None
    enqueued: int
    done: int
    retried: int


class Queues(Struct):
    """Queues by name; a number of jobs that equals `most` means that many or more."""

    now: str
    shared: bool
    most: int
    queues: list[QueueLine]
    after: str | None


class Recent(Struct):
    """What this server did in each step of `seconds`, the current step last."""

    now: str
    seconds: int
    enqueued: list[int]
    done: list[int]
    retried: list[int]


class JobLine(Struct):
    """A job in a list, with the beginning of its payload."""

    queue: str
    id: str
    status: Status
    payload: str
    timeout: int
    max_retries: int | None
    retries_remaining: int | None
    run_id: str | None
    running_since: str | None
    lease_ends: str | None
    run_at: str
    updated_at: str
    created_at: str


class JobWhole(JobLine, kw_only=True):
    """A job; payload and saved state are JSON text."""

    state: str | None


class Jobs(Struct):
    """A page of jobs; the next one comes after `after`, and may be empty."""

    now: str
    jobs: list[JobLine]
    after: str | None


class JobAt(Struct):
    """A job as it was at that time."""

    now: str
    job: JobWhole


class Ids(Struct, forbid_unknown_fields=True):
    """Some jobs of a queue."""

    queue: str
    ids: Annotated[list[str], Meta(max_length=MAX_IDS)]


class Changed(Struct):
    """How many jobs were changed."""

    changed: int


class PurgeAfter(Struct, forbid_unknown_fields=True):
    """A queue, and the id after which to continue."""

    queue: str
    after: str | None = None


class PurgedTo(Struct):
    """How many jobs were removed, and the id after which there may be more."""

    removed: int
    after: str | None


def line(job: Job, now: int) -> JobLine:
    """Return a job for a list."""
    running = job.run_id is not None and job.expires_at is not None
    began = None if job.run_id is None else run_ids.start_time(job.run_id)
    return JobLine(
        queue=job.queue,
        id=job.id,
        status=job_status(job, now),
        payload=job.payload,
        timeout=job.timeout,
        max_retries=job.max_retries,
        retries_remaining=job.retries_remaining,
        run_id=job.run_id,
        running_since=None if began is None else dates.to_text(began),
        lease_ends=dates.to_text(job.expires_at) if running else None,
        run_at=dates.to_text(job.run_at),
        updated_at=dates.to_text(job.updated_at),
        created_at=dates.to_text(job.created_at),
    )


def whole(job: Job, now: int) -> JobWhole:
    """Return a job with its whole payload and state."""
    return JobWhole(**structs.asdict(line(job, now)), state=job.state)
