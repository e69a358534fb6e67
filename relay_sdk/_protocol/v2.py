"""API v2 of `relay`: only the run that holds a job can end it."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from relay_api.api.v2 import (
    complete_v2,
    enqueue_v2,
    exists_v2,
    get_v2,
    heartbeat_v2,
    next_v2,
    remove_v2,
    requeue_v2,
)
from relay_api.models.new_job_v2 import NewJobV2

from relay_sdk._base.validation import job_label
from relay_sdk._protocol import base
from relay_sdk._protocol.generated import prefer, to_request
from relay_sdk._protocol.models import EnqueueMode, RawJob
from relay_sdk._protocol.replies import ClaimedJobs
from relay_sdk._protocol.request import ApiRequest, expect_empty

FENCED: bool = True
UNIVERSAL: bool = False


def enqueue(jobs: Sequence[RawJob], mode: EnqueueMode) -> ApiRequest[None]:
    """POST /v2/queues/jobs"""
    return ApiRequest(
        base.describe_enqueue(jobs),
        to_request(enqueue_v2.build_request(body=[], mode=mode), [_new_job(job) for job in jobs]),
        {202: expect_empty, 409: base.exists_handler(jobs)},
    )


def next_jobs(queue: str, num_jobs: int, wait: int = 0) -> ApiRequest[ClaimedJobs]:
    """GET /v2/queues/{queue}/jobs"""
    request = to_request(next_v2.build_request(queue, num_jobs=num_jobs, prefer=prefer(wait)))
    return base.next_request(request, queue, num_jobs, wait, fenced=True)


def get(queue: str, id: str) -> ApiRequest[RawJob]:
    """GET /v2/queues/{queue}/jobs/{id}"""
    return base.get_request(to_request(get_v2.build_request(queue, id)), queue, id)


def exists(queue: str, id: str) -> ApiRequest[None]:
    """HEAD /v2/queues/{queue}/jobs/{id}"""
    return base.exists_request(to_request(exists_v2.build_request(queue, id)), queue, id)


def remove(queue: str, id: str) -> ApiRequest[None]:
    """DELETE /v2/queues/{queue}/jobs/{id}"""
    return base.remove_request(to_request(remove_v2.build_request(queue, id)), queue, id)


def heartbeat(run: RawJob, state: msgspec.Raw) -> ApiRequest[None]:
    """PATCH /v2/queues/{queue}/jobs/{id}/run-id/{run_id}"""
    request = to_request(heartbeat_v2.build_request(run.queue, run.id, _run_id(run), body=state))
    return base.heartbeat_request(request, run)


def complete(run: RawJob) -> ApiRequest[None]:
    """DELETE /v2/queues/{queue}/jobs/{id}/run-id/{run_id}"""
    request = to_request(complete_v2.build_request(run.queue, run.id, _run_id(run)))
    return base.complete_request(request, run)


def requeue(run: RawJob, jobs: Sequence[RawJob], mode: EnqueueMode) -> ApiRequest[None]:
    """PUT /v2/queues/{queue}/jobs/{id}/run-id/{run_id}"""
    built = requeue_v2.build_request(run.queue, run.id, _run_id(run), body=[], mode=mode)
    return ApiRequest(
        f"requeue of {job_label(run.queue, run.id)}",
        to_request(built, [_new_job(job) for job in jobs]),
        {202: expect_empty, 409: base.exists_handler(jobs)},
    )


def _new_job(job: RawJob) -> NewJobV2:
    return NewJobV2(
        queue=job.queue,
        id=job.id,
        timeout=job.timeout,
        payload=job.payload,
        max_retries=job.max_retries,
        state=job.state,
        run_at=job.run_at,
    )


def _run_id(run: RawJob) -> UUID:
    if run.run_id is None:
        raise ValueError(
            f"{job_label(run.queue, run.id)} has no run id: it was not claimed by `next`"
        )
    return run.run_id
