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

from relay_sdk._base.validation import job_label
from relay_sdk._protocol import base
from relay_sdk._protocol.building import prefer, to_call
from relay_sdk._protocol.models import EnqueueMode, RawJob
from relay_sdk._protocol.replies import ClaimedJobs
from relay_sdk._protocol.request import ApiRequest, nothing
from relay_sdk.exceptions import UnsupportedError

WITHOUT_LIMIT = -1


def enqueue(jobs: Sequence[RawJob], mode: EnqueueMode) -> ApiRequest[None]:
    """POST /v1/queues/jobs

    The server takes one job as unique and several as ignore; a 409 to one is how ignore looks.
    """
    if mode == "replace" or (mode == "unique" and len(jobs) > 1):
        raise UnsupportedError(
            f"{base.enqueue_about(jobs)}: API v1 has no mode {mode!r}"
            + (" for several jobs" if mode == "unique" else "")
        )
    return ApiRequest(
        base.enqueue_about(jobs),
        to_call(enqueue_v1.build_request(body=[]), [_new(job) for job in jobs]),
        {202: nothing, 409: base.exists_already(jobs) if mode == "unique" else lambda _: None},
    )


def next_jobs(queue: str, num_jobs: int, wait: int = 0) -> ApiRequest[ClaimedJobs]:
    """GET /v1/queues/{queue}/jobs"""
    call = to_call(next_v1.build_request(queue, num_jobs=num_jobs, prefer=prefer(wait)))
    return base.next_request(call, queue, num_jobs, wait, fenced=False)


def get(queue: str, id: str) -> ApiRequest[RawJob]:
    """GET /v1/queues/{queue}/jobs/{id}"""
    return base.get_request(to_call(get_v1.build_request(queue, id)), queue, id)


def exists(queue: str, id: str) -> ApiRequest[None]:
    """HEAD /v1/queues/{queue}/jobs/{id}"""
    return base.exists_request(to_call(exists_v1.build_request(queue, id)), queue, id)


def remove(queue: str, id: str) -> ApiRequest[None]:
    """DELETE /v1/queues/{queue}/jobs/{id}"""
    return base.remove_request(to_call(remove_v1.build_request(queue, id)), queue, id)


def heartbeat(run: RawJob, state: msgspec.Raw) -> ApiRequest[None]:
    """PATCH /v1/queues/{queue}/jobs/{id}"""
    call = to_call(heartbeat_v1.build_request(run.queue, run.id, body=state))
    return base.heartbeat_request(call, run)


def complete(run: RawJob) -> ApiRequest[None]:
    """DELETE /v1/queues/{queue}/jobs/{id}, whoever holds the job"""
    return base.complete_request(to_call(remove_v1.build_request(run.queue, run.id)), run)


def requeue(run: RawJob, jobs: Sequence[RawJob], _: EnqueueMode) -> ApiRequest[None]:
    """PUT /v1/queues/jobs, which can only queue the same job again, whatever the mode"""
    if [(job.queue, job.id) for job in jobs] != [(run.queue, run.id)]:
        raise UnsupportedError(
            f"requeue of {job_label(run.queue, run.id)}: API v1 can only queue the same job again"
        )
    return ApiRequest(
        f"reschedule of {job_label(run.queue, run.id)}",
        to_call(reschedule_v1.build_request(body=_new(jobs[0]))),
        {202: nothing, 404: base.lost(run)},
    )


def _new(job: RawJob) -> NewJobV1:
    return NewJobV1(
        id=job.id,
        queue=job.queue,
        timeout=job.timeout,
        # An absent number would mean none at all.
        max_retries=WITHOUT_LIMIT if job.max_retries is None else job.max_retries,
        payload=job.payload,
        state=job.state,
        run_at=job.run_at,
    )
