"""A lost reply is not a failure: what the retry meets may be the trace of the first attempt."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from relay_sdk import JobExistsError, JobLostError, TransportError
from relay_sdk._base.flow import Response
from relay_sdk._engine.operations import enqueue, remove
from relay_sdk._engine.run import ThreadRun
from relay_sdk._protocol import v2

from ..support.flow_player import (
    JOBS,
    LOST_REPLY,
    REFUSED,
    VERSION_EXISTS,
    config,
    exists_already,
    missing_job,
    play,
    received,
    reply,
    shown,
)

MOMENT = datetime(2031, 1, 1, tzinfo=UTC)
versions = pytest.mark.parametrize("version", ["v1", "v2"])
unsure = pytest.mark.parametrize(
    "failure",
    [LOST_REPLY, *map(reply, (408, 500, 502, 504, 520, 201)), reply(202, "<html>")],
    ids=["lost", "408", "500", "502", "504", "520", "201", "html"],
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
    played = play(enqueue(config(version), [job], "unique"), failure, exists_already(), there)
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
    played = play(enqueue(config(), [job], "unique"), failure, exists_already(), there)
    assert isinstance(played.error, JobExistsError)


def test_a_job_that_has_gone_since_is_enqueued_again() -> None:
    flow = enqueue(config(), [JOBS.job("x", 1)], "unique")
    gone = [LOST_REPLY, exists_already(), *missing_job()]
    played = play(flow, *gone, reply(503), reply(202))
    assert played.error is None
    assert [call.method for call in played.calls] == [
        "POST",
        "POST",
        "GET",
        "GET",
        "GET",
        "POST",
        "POST",
    ]
    flow = enqueue(config(), [JOBS.job("x", 1)], "unique")
    assert isinstance(play(flow, *gone, exists_already()).error, JobExistsError)


@versions
@sure
def test_after_a_refusal_a_conflict_is_a_conflict(version: str, failure: Any) -> None:
    flow = enqueue(config(version), [JOBS.job("x", 1)], "unique")
    played = play(flow, failure, exists_already())
    assert isinstance(played.error, JobExistsError)


def test_a_conflict_at_the_first_attempt_is_a_conflict() -> None:
    played = play(enqueue(config(), [JOBS.job("x", 1)], "unique"), exists_already())
    assert isinstance(played.error, JobExistsError)


def test_what_was_unsure_once_stays_unsure() -> None:
    flow = enqueue(config(), [JOBS.job("x", 1)], "unique")
    played = play(flow, LOST_REPLY, reply(503), REFUSED, exists_already(), shown())
    assert played.error is None


def test_each_job_of_a_batch_is_compared() -> None:
    jobs = [JOBS.job("x", 1), JOBS.job("y", 2)]
    there = [shown(), shown(id="y", payload=2)]
    play_it = [LOST_REPLY, exists_already(), *there]
    assert play(enqueue(config(), jobs, "unique"), *play_it).error is None
    play_it[-1] = shown(id="y", payload=3)
    played = play(enqueue(config(), jobs, "unique"), *play_it)
    assert isinstance(played.error, JobExistsError)
    play_it[-1:] = missing_job()  # and the other is ours, so it is done
    assert play(enqueue(config(), jobs, "unique"), *play_it).error is None


def test_big_numbers_are_compared_to_the_last_digit() -> None:
    job = JOBS.job("x", 10**30)
    for there, same in ((10**30, True), (10**30 + 1, False)):
        flow = enqueue(config(), [job], "unique")
        played = play(flow, LOST_REPLY, exists_already(), shown(payload=there))
        assert (played.error is None) is same


def test_what_python_cannot_read_is_compared_as_text() -> None:
    digits = b'{"n": %b}' % (b"9" * 5000)
    run = ThreadRun(config("v1"), received(), 0.0)
    run.raw = msgspec.structs.replace(run.raw, payload=msgspec.Raw(digits))
    there = shown(run_at="2031-01-01T00:00:00Z")
    same = Response(200, {}, there.content.replace(b'"payload":1', b'"payload":' + digits))
    assert play(run.reschedule(MOMENT, None), LOST_REPLY, NOT_FOUND, same).error is None


def test_a_lost_look_is_repeated() -> None:
    flow = enqueue(config(), [JOBS.job("x", 1)], "unique")
    played = play(flow, LOST_REPLY, exists_already(), LOST_REPLY, shown())
    assert played.error is None


def test_on_v1_a_reschedule_whose_reply_was_lost_finds_its_job() -> None:
    run = ThreadRun(config("v1"), received(), 0.0)
    played = play(
        run.reschedule(MOMENT, None), LOST_REPLY, NOT_FOUND, shown(run_at="2031-01-01T00:00:00Z")
    )
    assert played.error is None
    assert run.lifecycle.is_ended
    assert run.lifecycle.lost_reason is None


def test_on_v1_a_reschedule_of_a_job_that_is_not_ours_is_told() -> None:
    for replies in (
        [NOT_FOUND],
        [REFUSED, NOT_FOUND],
        [LOST_REPLY, NOT_FOUND, *missing_job("v1")],
    ):
        run = ThreadRun(config("v1"), received(), 0.0)
        played = play(run.reschedule(MOMENT, None), *replies)
        assert isinstance(played.error, JobLostError)
        assert run.lifecycle.lost_reason is not None
        assert not run.lifecycle.is_ended


def test_once_a_requeue_has_succeeded_the_next_attempt_succeeds_too() -> None:
    run = ThreadRun(config(), received(), 0.0)
    played = play(run.requeue([JOBS.job("y", 2)], "unique"), LOST_REPLY, reply(202))
    assert played.error is None
    assert run.lifecycle.is_ended


def test_so_a_conflict_that_a_requeue_meets_is_never_its_own() -> None:
    run = ThreadRun(config(), received(), 0.0)
    played = play(run.requeue([JOBS.job("y", 2)], "unique"), LOST_REPLY, exists_already("y"))
    assert isinstance(played.error, JobExistsError)
    assert not run.lifecycle.is_ended


def test_a_conflict_leaves_the_run_ours() -> None:
    run = ThreadRun(config(), received(), 0.0)
    played = play(run.requeue([JOBS.job("y", 2)], "unique"), exists_already("y"))
    assert isinstance(played.error, JobExistsError)
    assert not run.lifecycle.is_ended


@pytest.mark.parametrize(
    "failure",
    [LOST_REPLY, reply(408), reply(502), reply(504), reply(200, "<html>")],
    ids=["lost", "408", "502", "504", "html"],
)
def test_on_v1_a_job_is_deleted_again_only_while_it_is_there(failure: Any) -> None:
    for flow in (
        ThreadRun(config("v1"), received(), 0.0).complete(),
        remove(config("v1"), "emails", "x"),
    ):
        played = play(flow, failure, *missing_job("v1"))
        assert played.error is None
        assert [call.method for call in played.calls] == ["DELETE", "GET", "GET"]
    for flow in (
        ThreadRun(config("v1"), received(), 0.0).complete(),
        remove(config("v1"), "emails", "x"),
    ):
        played = play(flow, failure, shown(), reply(200))
        assert played.error is None
        assert [call.method for call in played.calls] == ["DELETE", "GET", "DELETE"]


@pytest.mark.parametrize(
    "new",
    [{"payload": 2}, {"timeout": 61}, {"max_retries": 3}, {"run_at": "2030-01-01T00:00:01Z"}],
    ids=str,
)
@pytest.mark.parametrize("end", ["complete", "remove"])
def test_on_v1_a_new_job_of_that_id_is_left_alone(new: dict[str, Any], end: str) -> None:
    run = ThreadRun(config("v1"), received(), 0.0)
    flow = run.complete() if end == "complete" else run.remove()
    played = play(flow, LOST_REPLY, shown(**new))
    assert played.error is None
    assert run.lifecycle.is_ended


def test_a_heartbeat_in_between_makes_no_other_job() -> None:
    later = shown(state={"page": 1}, updated_at="2030-01-01T00:00:30Z")
    played = play(
        ThreadRun(config("v1"), received(), 0.0).complete(), LOST_REPLY, later, reply(200)
    )
    assert [call.method for call in played.calls] == ["DELETE", "GET", "DELETE"]


@sure
def test_after_a_refusal_a_job_is_deleted_without_a_look(failure: Any) -> None:
    for version in ("v1", "v2"):
        for flow in (
            ThreadRun(config(version), received(), 0.0).complete(),
            remove(config(version), "emails", "x"),
        ):
            played = play(flow, failure, reply(200))
            assert [call.method for call in played.calls] == ["DELETE", "DELETE"]


def test_a_look_before_a_deletion_that_fails_is_repeated() -> None:
    busy = reply(422, "Backend error: db error. Is retryable: false.")
    for failure in (LOST_REPLY, reply(503), busy):
        flow = ThreadRun(config("v1"), received(), 0.0).complete()
        played = play(flow, LOST_REPLY, failure, shown(), reply(200))
        assert played.error is None
        assert [call.method for call in played.calls] == ["DELETE", "GET", "GET", "DELETE"]


def test_a_deletion_that_was_lost_stays_unsure() -> None:
    flow = ThreadRun(config("v1"), received(), 0.0).complete()
    played = play(flow, LOST_REPLY, shown(), REFUSED, shown(payload=2))
    assert played.error is None
    assert [call.method for call in played.calls] == ["DELETE", "GET", "DELETE", "GET"]


def test_on_v2_a_run_ends_its_own_job_alone_and_needs_no_look() -> None:
    run = ThreadRun(config("v2"), received(), 0.0)
    played = play(run.complete(), LOST_REPLY, reply(200))
    assert [call.method for call in played.calls] == ["DELETE", "DELETE"]
    assert run.lifecycle.is_ended


def test_on_v2_a_removal_looks_too() -> None:
    played = play(remove(config("v2"), "emails", "x"), LOST_REPLY, *missing_job())
    assert played.error is None
    assert [call.method for call in played.calls] == ["DELETE", "GET", "GET", "GET"]


def test_a_run_of_v2_that_is_ended_in_v1_looks_first() -> None:
    shared = config("auto")
    shared.versions.negotiated = v2
    played = play(
        ThreadRun(shared, received(), 0.0).complete(),
        LOST_REPLY,
        reply(404),
        VERSION_EXISTS,
        *missing_job("v1"),
    )
    assert played.error is None
    assert [call.target[:3] for call in played.calls] == ["/v2", "/v2", "/v1", "/v1", "/v1"]


def test_a_conflict_about_a_job_that_was_not_sent_is_no_answer() -> None:
    flow = enqueue(config(retries=0), [JOBS.job("x", 1)], "unique")
    assert isinstance(play(flow, exists_already("z")).error, TransportError)


def test_a_conflict_that_may_be_our_own_job_says_so() -> None:
    flow = enqueue(config(), [JOBS.job("x", 1)], "unique")
    played = play(flow, LOST_REPLY, exists_already(), shown(payload=2))
    assert isinstance(played.error, JobExistsError)
    assert played.error.sent
    played = play(enqueue(config(), [JOBS.job("x", 1)], "unique"), exists_already())
    assert isinstance(played.error, JobExistsError)
    assert not played.error.sent


def test_a_job_that_a_run_has_moved_since_is_still_ours() -> None:
    job = JOBS.job("x", 1, run_at=MOMENT)
    moved = {"run_at": "2031-01-01T00:00:09Z", "updated_at": "2031-01-01T00:00:02Z"}
    flow = enqueue(config(), [job], "unique")
    assert play(flow, LOST_REPLY, exists_already(), shown(**moved)).error is None
