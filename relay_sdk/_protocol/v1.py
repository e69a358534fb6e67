"""API v1 of `relay-rs` and `relay`: jobs are ended by id, whichever run holds them."""

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

from relay_sdk._base.validation import job_label
from relay_sdk._protocol import base
from relay_sdk._protocol.generated import prefer, to_request
from relay_sdk._protocol.models import EnqueueMode, RawJob
from relay_sdk._protocol.replies import ClaimedJobs
from relay_sdk._protocol.request import ApiRequest, expect_empty
from relay_sdk.exceptions import UnsupportedError

FENCED: bool = False
UNIVERSAL: bool = True

WITHOUT_LIMIT = -1


def enqueue(jobs: Sequence[RawJob], mode: EnqueueMode) -> ApiRequest[None]:
    """POST /v1/queues/jobs

    The server handles one job as in mode "unique" and several as in mode "ignore". With one job, a
    409 means that it exists, which mode "ignore" accepts.
    """
    if mode == "replace" or (mode == "unique" and len(jobs) > 1):
        raise UnsupportedError(
            f"{base.describe_enqueue(jobs)}: API v1 has no mode {mode!r}"
            + (" for several jobs" if mode == "unique" else "")
        )
    return ApiRequest(
        base.describe_enqueue(jobs),
        to_request(enqueue_v1.build_request(body=[]), [_new_job(job) for job in jobs]),
        {202: expect_empty, 409: base.exists_handler(jobs) if mode == "unique" else lambda _: None},
    )


def next_jobs(queue: str, num_jobs: int, wait: int = 0) -> ApiRequest[ClaimedJobs]:
    """GET /v1/queues/{queue}/jobs"""
    request = to_request(next_v1.build_request(queue, num_jobs=num_jobs, prefer=prefer(wait)))
    return base.next_request(request, queue, num_jobs, wait, fenced=False)


def get(queue: str, id: str) -> ApiRequest[RawJob]:
    """GET /v1/queues/{queue}/jobs/{id}"""
    return base.get_request(to_request(get_v1.build_request(queue, id)), queue, id)


def exists(queue: str, id: str) -> ApiRequest[None]:
    """HEAD /v1/queues/{queue}/jobs/{id}"""
    return base.exists_request(to_request(exists_v1.build_request(queue, id)), queue, id)


def remove(queue: str, id: str) -> ApiRequest[None]:
    """DELETE /v1/queues/{queue}/jobs/{id}"""
    return base.remove_request(to_request(remove_v1.build_request(queue, id)), queue, id)


def heartbeat(run: RawJob, state: msgspec.Raw) -> ApiRequest[None]:
    """PATCH /v1/queues/{queue}/jobs/{id}"""
    request = to_request(heartbeat_v1.build_request(run.queue, run.id, body=state))
    return base.heartbeat_request(request, run)


def complete(run: RawJob) -> ApiRequest[None]:
    """DELETE /v1/queues/{queue}/jobs/{id}, whichever run holds the job"""
    return base.complete_request(to_request(remove_v1.build_request(run.queue, run.id)), run)


def requeue(run: RawJob, jobs: Sequence[RawJob], _: EnqueueMode) -> ApiRequest[None]:
    """PUT /v1/queues/jobs, which can only queue the same job again and has no modes"""
    if [(job.queue, job.id) for job in jobs] != [(run.queue, run.id)]:
        raise UnsupportedError(
            f"requeue of {job_label(run.queue, run.id)}: API v1 can only queue the same job again"
        )
    return ApiRequest(
        f"reschedule of {job_label(run.queue, run.id)}",
        to_request(reschedule_v1.build_request(body=_new_job(jobs[0]))),
        {202: expect_empty, 404: base.lost_handler(run)},
    )


def _new_job(job: RawJob) -> NewJobV1:
    return NewJobV1(
        id=job.id,
        queue=job.queue,
        timeout=job.timeout,
        # If it were absent, the server would allow no retries at all.
        max_retries=WITHOUT_LIMIT if job.max_retries is None else job.max_retries,
        payload=job.payload,
        state=job.state,
        run_at=job.run_at,
    )
