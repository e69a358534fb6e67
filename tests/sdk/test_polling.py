"""Waiting for jobs."""

import pytest

from relay_sdk import Backoff, ServerBusyError
from relay_sdk._operations import take
from relay_sdk._policy import Policy
from relay_sdk.testing import Clock

from .flows import REFUSED, handed_out, play, policy, reply


def test_polls_and_retries_have_separate_backoffs() -> None:
    replies = [reply(204), reply(503), reply(503), reply(204), reply(503), handed_out("x")]
    played = play(take(policy(), "emails", 1, None), *replies)
    assert played.steps == ["GET", 1, "GET", 0.1, "GET", 0.2, "GET", 2, "GET", 0.1, "GET"]
    assert [job.id for job in played.result] == ["x"]


def test_polling_never_ends_by_itself() -> None:
    played = play(take(policy(), "emails", 1, None), *[reply(204)] * 50, handed_out("x"))
    assert played.waits[-1] == 8
    assert len(played.waits) == 50


def test_an_empty_list_counts_as_no_jobs() -> None:
    played = play(take(policy(), "emails", 1, None), reply(200, []), handed_out("x"))
    assert played.steps == ["GET", 1, "GET"]


def test_the_last_wait_ends_at_the_timeout_and_is_followed_by_a_last_look() -> None:
    clock = Clock()
    flow = take(policy(clock=clock), "emails", 1, 5)
    played = play(flow, *[reply(204)] * 4, clock=clock)
    assert played.steps == ["GET", 1, "GET", 2, "GET", 2, "GET"]
    assert played.result == []


def test_a_timeout_of_zero_looks_once() -> None:
    assert play(take(policy(), "emails", 1, 0), reply(204)).steps == ["GET"]


def test_polling_ends_with_its_backoff() -> None:
    steady = Backoff(1, jitter=0, retries=2)
    flow = take(Policy(steady, steady, Clock(), "v2"), "emails", 1, None)
    played = play(flow, reply(204), reply(204))
    assert played.result == []


def test_a_server_that_stays_away_ends_the_wait() -> None:
    played = play(take(policy(retries=1), "emails", 1, None), reply(503), reply(503))
    assert isinstance(played.error, ServerBusyError)
    played = play(take(policy(retries=0), "emails", 1, None), REFUSED)
    assert played.error is not None


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_as_many_jobs_as_wanted_are_asked_for(version: str) -> None:
    (call,) = play(take(policy(version), "a/b", 7, 0), reply(204)).calls
    assert (call.method, call.target) == ("GET", f"/{version}/queues/a%2Fb/jobs?num_jobs=7")
    assert call.content is None
