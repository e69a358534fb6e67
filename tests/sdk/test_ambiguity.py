"""A lost reply is not a failure: what the retry meets may be the trace of the first attempt."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from relay_sdk import JobExistsError, JobLostError, TransportError
from relay_sdk._flow import Reply
from relay_sdk._operations import enqueue
from relay_sdk._run import Run

from .flows import (
    JOBS,
    LOST_REPLY,
    REFUSED,
    exists_already,
    play,
    policy,
    received,
    reply,
    shown,
)

MOMENT = datetime(2031, 1, 1, tzinfo=UTC)
versions = pytest.mark.parametrize("version", ["v1", "v2"])
unsure = pytest.mark.parametrize(
    "failure",
    [LOST_REPLY, reply(408), reply(502), reply(504), reply(202, "<html>")],
    ids=["lost", "408", "502", "504", "html"],
)
sure = pytest.mark.parametrize(
    "failure", [REFUSED, reply(429), reply(503)], ids=["refused", "429", "503"]
)
NOT_FOUND = reply(404, "job with id `x` not found in queue `emails`.")


@versions
@unsure
def test_the_job_of_an_earlier_attempt_is_no_conflict(version: str, failure: Any) -> None:
    job = JOBS.job("x", {"a": 1, "b": 2}, timeout=5, max_retries=3, run_at=MOMENT)
    there = shown(payload={"b": 2, "a": 1}, timeout=5, max_retries=3, run_at="2031-01-01T00:00:00Z")
    played = play(enqueue(policy(version), [job], "unique"), failure, exists_already(), there)
    assert played.error is None
    assert [call.method for call in played.calls] == ["POST", "POST", "GET"]


@unsure
@pytest.mark.parametrize(
    "difference",
    [
        {"payload": 2},
        {"timeout": 61},
        {"max_retries": 0},
        {"run_at": "2031-01-01T00:00:01Z"},
    ],
    ids=str,
)
def test_another_job_of_that_id_is_a_conflict(failure: Any, difference: dict[str, Any]) -> None:
    job = JOBS.job("x", 1, run_at=MOMENT)
    there = shown(**{"run_at": "2031-01-01T00:00:00Z"} | difference)
    played = play(enqueue(policy(), [job], "unique"), failure, exists_already(), there)
    assert isinstance(played.error, JobExistsError)


def test_a_job_that_has_gone_since_cannot_be_told_apart() -> None:
    flow = enqueue(policy(), [JOBS.job("x", 1)], "unique")
    played = play(flow, LOST_REPLY, exists_already(), reply(404))
    assert isinstance(played.error, JobExistsError)


@versions
@sure
def test_after_a_refusal_a_conflict_is_a_conflict(version: str, failure: Any) -> None:
    flow = enqueue(policy(version), [JOBS.job("x", 1)], "unique")
    played = play(flow, failure, exists_already())
    assert isinstance(played.error, JobExistsError)


def test_a_conflict_at_the_first_attempt_is_a_conflict() -> None:
    played = play(enqueue(policy(), [JOBS.job("x", 1)], "unique"), exists_already())
    assert isinstance(played.error, JobExistsError)


def test_what_was_unsure_once_stays_unsure() -> None:
    flow = enqueue(policy(), [JOBS.job("x", 1)], "unique")
    played = play(flow, LOST_REPLY, reply(503), REFUSED, exists_already(), shown())
    assert played.error is None


def test_each_job_of_a_batch_is_compared() -> None:
    jobs = [JOBS.job("x", 1), JOBS.job("y", 2)]
    there = [shown(), shown(id="y", payload=2)]
    play_it = [LOST_REPLY, exists_already(), *there]
    assert play(enqueue(policy(), jobs, "unique"), *play_it).error is None
    play_it[-1] = shown(id="y", payload=3)
    played = play(enqueue(policy(), jobs, "unique"), *play_it)
    assert isinstance(played.error, JobExistsError)
    play_it[-1] = reply(404)
    played = play(enqueue(policy(), jobs, "unique"), *play_it)
    assert isinstance(played.error, JobExistsError)


def test_big_numbers_are_compared_to_the_last_digit() -> None:
    job = JOBS.job("x", 10**30)
    for there, same in ((10**30, True), (10**30 + 1, False)):
        flow = enqueue(policy(), [job], "unique")
        played = play(flow, LOST_REPLY, exists_already(), shown(payload=there))
        assert (played.error is None) is same


def test_what_python_cannot_read_is_compared_as_text() -> None:
    digits = b'{"n": %b}' % (b"9" * 5000)
    run = Run(policy("v1"), received(), 0.0)
    run.raw = msgspec.structs.replace(run.raw, payload=msgspec.Raw(digits))
    there = shown(run_at="2031-01-01T00:00:00Z")
    same = Reply(200, {}, there.content.replace(b'"payload":1', b'"payload":' + digits))
    assert play(run.again(MOMENT, None), LOST_REPLY, NOT_FOUND, same).error is None


def test_a_lost_look_is_repeated() -> None:
    flow = enqueue(policy(), [JOBS.job("x", 1)], "unique")
    played = play(flow, LOST_REPLY, exists_already(), LOST_REPLY, shown())
    assert played.error is None


def test_on_v1_a_reschedule_whose_reply_was_lost_finds_its_job() -> None:
    run = Run(policy("v1"), received(), 0.0)
    played = play(
        run.again(MOMENT, None), LOST_REPLY, NOT_FOUND, shown(run_at="2031-01-01T00:00:00Z")
    )
    assert played.error is None
    assert run.ended
    assert run.lost is None


def test_on_v1_a_reschedule_of_a_job_that_is_not_ours_is_told() -> None:
    for replies in ([NOT_FOUND], [REFUSED, NOT_FOUND], [LOST_REPLY, NOT_FOUND, reply(404)]):
        run = Run(policy("v1"), received(), 0.0)
        played = play(run.again(MOMENT, None), *replies)
        assert isinstance(played.error, JobLostError)
        assert run.lost is not None
        assert not run.ended


def test_once_a_requeue_has_succeeded_the_next_attempt_succeeds_too() -> None:
    run = Run(policy(), received(), 0.0)
    played = play(run.requeue([JOBS.job("y", 2)], "unique"), LOST_REPLY, reply(202))
    assert played.error is None
    assert run.ended


def test_so_a_conflict_that_a_requeue_meets_is_never_its_own() -> None:
    run = Run(policy(), received(), 0.0)
    played = play(run.requeue([JOBS.job("y", 2)], "unique"), LOST_REPLY, exists_already("y"))
    assert isinstance(played.error, JobExistsError)
    assert not run.ended


def test_a_conflict_leaves_the_run_ours() -> None:
    run = Run(policy(), received(), 0.0)
    played = play(run.requeue([JOBS.job("y", 2)], "unique"), exists_already("y"))
    assert isinstance(played.error, JobExistsError)
    assert not run.ended


@versions
def test_completing_again_after_a_lost_reply_is_no_error(version: str) -> None:
    run = Run(policy(version), received(), 0.0)
    assert play(run.complete(), LOST_REPLY, reply(200)).error is None
    assert run.ended


def test_a_conflict_about_a_job_that_was_not_sent_is_no_answer() -> None:
    flow = enqueue(policy(retries=0), [JOBS.job("x", 1)], "unique")
    assert isinstance(play(flow, exists_already("z")).error, TransportError)
