"""API v1, which `relay-rs` and `relay` speak: whoever names a job can end it."""

from collections.abc import Sequence

import msgspec
from relay_api.api.v1 import (
    enqueue_v1,
    exists_v1,
    get_v1,
    heartbeat_v1,
    next_v1,
    remove_v1,
    reschedule_v1,
)
from relay_api.models.new_job_v1 import NewJobV1
from relay_api.types import UNSET

from relay_sdk._checks import place
from relay_sdk._flow import Reply
from relay_sdk._wire.api import (
    enqueue_about,
    exists_already,
    lost,
    meaning,
    not_found,
    read_job,
    read_jobs,
)
from relay_sdk._wire.request import Request, build, nothing
from relay_sdk.exceptions import UnsupportedError
from relay_sdk.job import NULL, EnqueueMode, RawJob

WITHOUT_LIMIT = -1


def enqueue(jobs: Sequence[RawJob], mode: EnqueueMode) -> Request[None]:
    """POST /v1/queues/jobs

    The server takes one job as unique and several as ignore; a 409 to one is how ignore looks.
    """
    if mode == "replace" or (mode == "unique" and len(jobs) > 1):
        raise UnsupportedError(
            f"{enqueue_about(jobs)}: API v1 has no mode {mode!r}"
            + (" for several jobs" if mode == "unique" else "")
        )
    return Request(
        enqueue_about(jobs),
        build(enqueue_v1, body=[_new(job) for job in jobs]),
        {202: nothing, 409: exists_already(jobs) if mode == "unique" else meaning(None)},
    )


def next_jobs(queue: str, num_jobs: int) -> Request[list[RawJob]]:
    """GET /v1/queues/{queue}/jobs"""
    return Request(
        f"next of {place(queue)}",
        build(next_v1, queue, num_jobs=num_jobs),
        {200: _jobs, 204: meaning(list[RawJob]())},
        patient=True,
    )


def get(queue: str, id: str) -> Request[RawJob]:
    """GET /v1/queues/{queue}/jobs/{id}"""
    return Request(
        f"get of {place(queue, id)}",
        build(get_v1, queue, id),
        {200: _job, 404: not_found(queue, id)},
    )


def exists(queue: str, id: str) -> Request[bool]:
    """HEAD /v1/queues/{queue}/jobs/{id}"""
    return Request(
        f"look-up of {place(queue, id)}",
        build(exists_v1, queue, id),
        {200: meaning(True), 404: meaning(False)},
    )


def remove(queue: str, id: str) -> Request[None]:
    """DELETE /v1/queues/{queue}/jobs/{id}"""
    return Request(f"removal of {place(queue, id)}", build(remove_v1, queue, id), {200: nothing})


def heartbeat(run: RawJob, state: msgspec.Raw) -> Request[None]:
    """PATCH /v1/queues/{queue}/jobs/{id}"""
    return Request(
        f"heartbeat of {place(run.queue, run.id)}",
        build(heartbeat_v1, run.queue, run.id, body=state),
        {202: nothing, 404: lost(run)},
        patient=True,
    )


def complete(run: RawJob) -> Request[None]:
    """DELETE /v1/queues/{queue}/jobs/{id}, whoever holds the job"""
    return Request(
        f"completion of {place(run.queue, run.id)}",
        build(remove_v1, run.queue, run.id),
        {200: nothing},
        patient=True,
    )


def requeue(run: RawJob, jobs: Sequence[RawJob], _: EnqueueMode) -> Request[None]:
    """PUT /v1/queues/jobs, which can only queue the same job again, whatever the mode"""
    if [(job.queue, job.id) for job in jobs] != [(run.queue, run.id)]:
        raise UnsupportedError(
            f"requeue of {place(run.queue, run.id)}: API v1 can only queue the same job again"
        )
    return Request(
        f"reschedule of {place(run.queue, run.id)}",
        build(reschedule_v1, body=_new(jobs[0])),
        {202: nothing, 404: lost(run)},
    )


def _new(job: RawJob) -> NewJobV1:
    return NewJobV1(
        id=job.id,
        queue=job.queue,
        timeout=job.timeout,
        # An absent number would mean none at all.
        max_retries=WITHOUT_LIMIT if job.max_retries is None else job.max_retries,
        payload=job.payload,
        state=UNSET if job.state == NULL else job.state,
        run_at=job.run_at or UNSET,
    )


def _job(reply: Reply) -> RawJob:
    return _with_limit(read_job(reply))


def _jobs(reply: Reply) -> list[RawJob]:
    return [_with_limit(job) for job in read_jobs(reply)]


def _with_limit(job: RawJob) -> RawJob:
    if job.max_retries is not None and job.max_retries < 0:
        return msgspec.structs.replace(job, max_retries=None)
    return job
