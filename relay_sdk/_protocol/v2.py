"""API v2, which `relay` speaks: only the run that holds a job can end it."""

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
from relay_sdk._protocol.building import prefer, to_call
from relay_sdk._protocol.models import EnqueueMode, RawJob
from relay_sdk._protocol.replies import ClaimedJobs
from relay_sdk._protocol.request import ApiRequest, nothing


def enqueue(jobs: Sequence[RawJob], mode: EnqueueMode) -> ApiRequest[None]:
    """POST /v2/queues/jobs"""
    return ApiRequest(
        base.enqueue_about(jobs),
        to_call(enqueue_v2.build_request(body=[], mode=mode), [_new(job) for job in jobs]),
        {202: nothing, 409: base.exists_already(jobs)},
    )


def next_jobs(queue: str, num_jobs: int, wait: int = 0) -> ApiRequest[ClaimedJobs]:
    """GET /v2/queues/{queue}/jobs"""
    call = to_call(next_v2.build_request(queue, num_jobs=num_jobs, prefer=prefer(wait)))
    return base.next_request(call, queue, num_jobs, wait, fenced=True)


def get(queue: str, id: str) -> ApiRequest[RawJob]:
    """GET /v2/queues/{queue}/jobs/{id}"""
    return base.get_request(to_call(get_v2.build_request(queue, id)), queue, id)


def exists(queue: str, id: str) -> ApiRequest[None]:
    """HEAD /v2/queues/{queue}/jobs/{id}"""
    return base.exists_request(to_call(exists_v2.build_request(queue, id)), queue, id)


def remove(queue: str, id: str) -> ApiRequest[None]:
    """DELETE /v2/queues/{queue}/jobs/{id}"""
    return base.remove_request(to_call(remove_v2.build_request(queue, id)), queue, id)


def heartbeat(run: RawJob, state: msgspec.Raw) -> ApiRequest[None]:
    """PATCH /v2/queues/{queue}/jobs/{id}/run-id/{run_id}"""
    call = to_call(heartbeat_v2.build_request(run.queue, run.id, _run_id(run), body=state))
    return base.heartbeat_request(call, run)


def complete(run: RawJob) -> ApiRequest[None]:
    """DELETE /v2/queues/{queue}/jobs/{id}/run-id/{run_id}"""
    call = to_call(complete_v2.build_request(run.queue, run.id, _run_id(run)))
    return base.complete_request(call, run)


def requeue(run: RawJob, jobs: Sequence[RawJob], mode: EnqueueMode) -> ApiRequest[None]:
    """PUT /v2/queues/{queue}/jobs/{id}/run-id/{run_id}"""
    built = requeue_v2.build_request(run.queue, run.id, _run_id(run), body=[], mode=mode)
    return ApiRequest(
        f"requeue of {job_label(run.queue, run.id)}",
        to_call(built, [_new(job) for job in jobs]),
        {202: nothing, 409: base.exists_already(jobs)},
    )


def _new(job: RawJob) -> NewJobV2:
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
            f"{job_label(run.queue, run.id)} has no run id: `next` did not hand it out"
        )
    return run.run_id
