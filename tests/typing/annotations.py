"""Types written by hand: their defaults, and which stand for which."""

from collections.abc import Sequence
from typing import Any, assert_type

from shared import EMAILS, Email, Progress, UrgentEmail

from relay_sdk import AsyncJobHelper, Codec, Job, JobHelper, Queue


def bare(job: Job, queue: Queue, helper: JobHelper, ahelper: AsyncJobHelper) -> None:
    assert_type(job, Job[Any, Any])
    assert_type(queue, Queue[Any, Any])
    assert_type(helper, JobHelper[Any, Any])
    assert_type(ahelper, AsyncJobHelper[Any, Any])


def payload_alone(job: Job[Email], queue: Queue[Email], helper: JobHelper[Email]) -> None:
    assert_type(job, Job[Email, Any])
    assert_type(queue, Queue[Email, Any])
    assert_type(helper, JobHelper[Email, Any])


def read(job: Job[Email, Progress]) -> str:
    return job.payload.to


def read_all(jobs: Sequence[Job[Email, Progress]]) -> None: ...


def a_job_stands_for_one_of_a_wider_type(job: Job[UrgentEmail, Progress]) -> None:
    read(job)
    read_all([job, EMAILS.job("1", Email("a@example.org"))])


def typed_ones_stand_for_bare_ones(
    helper: JobHelper[Email, Progress], ahelper: AsyncJobHelper[Email, Progress]
) -> None:
    bare(helper.job, EMAILS, helper, ahelper)


def a_job_can_be_made_by_hand() -> None:
    assert_type(Job(queue="q", id="1", payload=[1], state="a"), Job[list[int], str])


def a_codec_has_the_type_of_its_functions() -> None:
    assert_type(Codec(str, int), Codec[int])
