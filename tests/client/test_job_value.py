"""A job is a value: it is compared by its public fields, not by the queue that declared it."""

from dataclasses import dataclass

import pytest

from relay_sdk import Job, Queue


@dataclass(frozen=True)
class Email:
    to: str


def test_jobs_with_the_same_fields_are_equal_regardless_of_their_queue() -> None:
    one, other = Queue("emails", Email), Queue("emails")
    assert one.job("a", Email("x")) == other.job("a", Email("x"))
    assert one.job("a", Email("x")) != one.job("a", Email("y"))
    assert one.job("a", Email("x")) != ("emails", "a")


def test_a_job_whose_payload_can_be_hashed_can_be_hashed() -> None:
    one, other = Queue("emails", Email), Queue("emails")
    assert len({one.job("a", Email("x")), other.job("a", Email("x"))}) == 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(other.job("a", []))


def test_the_repr_of_a_job_contains_its_fields() -> None:
    text = repr(Queue("emails", Email).job("a", Email("x"), timeout=5))
    assert text.startswith("Job(queue='emails', id='a', payload=Email(to='x'), state=None, ")
    assert "timeout=5" in text
    assert "_types" not in text


def test_a_job_cannot_be_changed() -> None:
    job: Job[int, None] = Queue("emails", int).job("a", 1)
    with pytest.raises(AttributeError):
        job.payload = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
