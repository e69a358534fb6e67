"""The interface of a database that jobs are moved from or to, and what all of them share."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Protocol, TypeAlias

from .operations import Job

MAX_BATCH_JOBS = 1000
MAX_BATCH_CHARACTERS = 16 * 1024 * 1024
"""Characters of payloads and states after which a batch is full."""

JobVersion: TypeAlias = tuple[str, str, str | None, int]
"""Queue, id, run_id and updated_at of a job: equal only while the job is unchanged."""


class JobConflictError(Exception):
    """A job of the source has the queue and id of another job in the target."""


class MigrationStore(Protocol):
    """A database that jobs are moved from or to."""

    name: str

    def count(self) -> int: ...
    def first(self) -> list[Job]: ...
    def delete(self, versions: Sequence[JobVersion]) -> int: ...
    def put(self, jobs: Sequence[Job], source: str) -> None: ...
    def moved_from(self, source: str) -> list[JobVersion]: ...
    def forget(self, source: str) -> None: ...
    def close(self) -> None: ...


def job_versions(jobs: Iterable[Job]) -> list[JobVersion]:
    """Return what identifies each job as long as it is unchanged."""
    return [(job.queue, job.id, job.run_id, job.updated_at) for job in jobs]


def parse_job_versions(notes: Iterable[str]) -> list[JobVersion]:
    """Parse the JSON texts in which job versions were stored."""
    found = chain.from_iterable(json.loads(note) for note in notes)
    return [(queue, id, run_id, updated_at) for queue, id, run_id, updated_at in found]


def take_batch(rows: Iterator[Job]) -> list[Job]:
    """Return the first jobs that are not too many or too large together."""
    jobs: list[Job] = []
    size = 0
    for job in rows:
        jobs.append(job)
        size += len(job.payload) + len(job.state or "")
        if size > MAX_BATCH_CHARACTERS or len(jobs) >= MAX_BATCH_JOBS:
            break
    return jobs


def job_conflict(jobs: Iterable[Job], new: set[tuple[str, str]], name: str) -> JobConflictError:
    """Return an error that names the first job that the target had already."""
    old = next(job for job in jobs if (job.queue, job.id) not in new)
    return JobConflictError(
        f"job {old.id!r} of queue {old.queue!r} is in the {name} too: delete it on one side, and "
        "start again"
    )
