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
from relay_api.types import UNSET

from relay_sdk._checks import place
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
from relay_sdk.job import NULL, EnqueueMode, RawJob


def enqueue(jobs: Sequence[RawJob], mode: EnqueueMode) -> Request[None]:
    """POST /v2/queues/jobs"""
    return Request(
        enqueue_about(jobs),
        build(enqueue_v2, body=[_new(job) for job in jobs], mode=mode),
        {202: nothing, 409: exists_already(jobs)},
    )


def next_jobs(queue: str, num_jobs: int) -> Request[list[RawJob]]:
    """GET /v2/queues/{queue}/jobs"""
    return Request(
        f"next of {place(queue)}",
        build(next_v2, queue, num_jobs=num_jobs),
        {200: read_jobs, 204: meaning(list[RawJob]())},
        patient=True,
    )


def get(queue: str, id: str) -> Request[RawJob]:
    """GET /v2/queues/{queue}/jobs/{id}"""
    return Request(
        f"get of {place(queue, id)}",
        build(get_v2, queue, id),
        {200: read_job, 404: not_found(queue, id)},
    )


def exists(queue: str, id: str) -> Request[bool]:
    """HEAD /v2/queues/{queue}/jobs/{id}"""
    return Request(
        f"look-up of {place(queue, id)}",
        build(exists_v2, queue, id),
        {200: meaning(True), 404: meaning(False)},
    )


def remove(queue: str, id: str) -> Request[None]:
    """DELETE /v2/queues/{queue}/jobs/{id}"""
    return Request(f"removal of {place(queue, id)}", build(remove_v2, queue, id), {200: nothing})


def heartbeat(run: RawJob, state: msgspec.Raw) -> Request[None]:
    """PATCH /v2/queues/{queue}/jobs/{id}/run-id/{run_id}"""
    return Request(
        f"heartbeat of {place(run.queue, run.id)}",
        build(heartbeat_v2, run.queue, run.id, _run_id(run), body=state),
        {202: nothing, 404: lost(run)},
        patient=True,
    )


def complete(run: RawJob) -> Request[None]:
    """DELETE /v2/queues/{queue}/jobs/{id}/run-id/{run_id}"""
    return Request(
        f"completion of {place(run.queue, run.id)}",
        build(complete_v2, run.queue, run.id, _run_id(run)),
        {200: nothing},
        patient=True,
    )


def requeue(run: RawJob, jobs: Sequence[RawJob], mode: EnqueueMode) -> Request[None]:
    """PUT /v2/queues/{queue}/jobs/{id}/run-id/{run_id}"""
    return Request(
        f"requeue of {place(run.queue, run.id)}",
        build(
            requeue_v2,
            run.queue,
            run.id,
            _run_id(run),
            body=[_new(job) for job in jobs],
            mode=mode,
        ),
        {202: nothing, 409: exists_already(jobs)},
    )


def _new(job: RawJob) -> NewJobV2:
    return NewJobV2(
        queue=job.queue,
        id=job.id,
        timeout=job.timeout,
        payload=job.payload,
        max_retries=job.max_retries,
        state=UNSET if job.state == NULL else job.state,
        run_at=job.run_at or UNSET,
    )


def _run_id(run: RawJob) -> UUID:
    if run.run_id is None:
        raise ValueError(f"{place(run.queue, run.id)} has no run id: `next` did not hand it out")
    return run.run_id
