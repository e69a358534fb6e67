"""Waiting for jobs."""

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from relay_sdk import Backoff, Client, ServerBusyError, TransportError
from relay_sdk._base.flow import Flow
from relay_sdk._engine.config import ClientConfig
from relay_sdk._engine.polling import MIN_POLL_TIMEOUT, poll
from relay_sdk.job import RawJob
from relay_sdk.local import App
from relay_sdk.testing import Clock, transport

from ..support.fixtures import Connect
from ..support.flow_player import HANGS, JOBS, REFUSED, Slow, config, next_reply, play, reply
from ..support.sync_async import AnyHelper, maybe_await


def take(
    config: ClientConfig, queue: str, num_jobs: int, timeout: float | None = None
) -> Flow[list[RawJob]]:
    jobs, _ = yield from poll(config, queue, num_jobs, timeout)
    return jobs


def test_polls_and_retries_have_separate_backoffs() -> None:
    replies = [reply(204), reply(503), reply(503), reply(204), reply(503), next_reply("x")]
    played = play(take(config(), "emails", 1, None), *replies)
    assert played.steps == ["GET", 1, "GET", 0.1, "GET", 0.2, "GET", 2, "GET", 0.1, "GET"]
    assert [job.id for job in played.result] == ["x"]


def test_polling_never_ends_by_itself() -> None:
    played = play(take(config(), "emails", 1, None), *[reply(204)] * 50, next_reply("x"))
    assert played.waits[-1] == 8
    assert len(played.waits) == 50


def test_an_empty_list_counts_as_no_jobs() -> None:
    played = play(take(config(), "emails", 1, None), reply(200, []), next_reply("x"))
    assert played.steps == ["GET", 1, "GET"]


def test_the_last_wait_ends_at_the_timeout_and_is_followed_by_a_last_look() -> None:
    clock = Clock()
    flow = take(config(clock=clock), "emails", 1, 5)
    played = play(flow, *[reply(204)] * 4, clock=clock)
    assert played.steps == ["GET", 1, "GET", 2, "GET", 2, "GET"]
    assert played.result == []


def test_a_timeout_of_zero_looks_once() -> None:
    assert play(take(config(), "emails", 1, 0), reply(204)).steps == ["GET"]


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_the_retries_of_its_backoff_are_how_many_more_polls_there_are(retries: int) -> None:
    steady = Backoff(1, jitter=0, retries=retries)
    flow = take(evolve(config(), next_backoff=steady), "emails", 1)
    played = play(flow, *[reply(204)] * (retries + 1))
    assert played.result == []
    assert played.steps == ["GET", 1, "GET", 1, "GET"][: 2 * retries + 1]


def test_a_server_that_hangs_is_waited_for_as_long_as_was_said(clock: Clock) -> None:
    slow = Slow(clock)
    played = slow.play(take(config(clock=clock), "emails", 1, 5), HANGS)
    assert isinstance(played.error, TransportError)
    assert clock.monotonic() == pytest.approx(5)
    assert slow.bounds == [5]


@pytest.mark.parametrize("choice", ["auto", "v2"])
def test_a_wait_is_over_in_time_whatever_hangs(choice: Any, clock: Clock) -> None:
    slow = Slow(clock)
    played = slow.play(take(config(choice, clock=clock), "emails", 1, 3), HANGS)
    assert isinstance(played.error, TransportError)
    assert clock.monotonic() == pytest.approx(3)


def test_no_exchange_is_longer_than_the_clients_timeout(clock: Clock) -> None:
    slow = Slow(clock)
    flow = take(config(clock=clock), "emails", 1, 60)
    slow.play(flow, HANGS, (0, next_reply("x")))
    assert slow.bounds == [15, 15]
    slow = Slow(clock)
    slow.play(take(config(clock=clock), "emails", 1), (0, next_reply("x")))
    assert slow.bounds == [15]


def test_the_last_look_has_two_seconds(clock: Clock) -> None:
    slow = Slow(clock)
    played = slow.play(take(config(clock=clock), "emails", 1, 0), (0.5, next_reply("x")))
    assert [job.id for job in played.result] == ["x"]
    played = slow.play(take(config(clock=clock), "emails", 1, 0), HANGS)
    assert slow.bounds == [MIN_POLL_TIMEOUT, MIN_POLL_TIMEOUT] == [2, 2]
    assert played.error is not None


def test_where_there_were_no_jobs_a_last_look_without_an_answer_is_none(clock: Clock) -> None:
    slow = Slow(clock)
    played = slow.play(take(config(clock=clock), "emails", 1, 1.25), (0, reply(204)), HANGS)
    assert played.error is None
    assert played.result == []
    assert clock.monotonic() == pytest.approx(3)


def test_attempts_end_with_the_wait(clock: Clock) -> None:
    for failure in (REFUSED, reply(503)):
        flow = take(config(clock=clock, retries=None), "emails", 1, 1)
        begun = clock.monotonic()
        played = Slow(clock).play(flow, *[(0, failure)] * 4)  # at 0, 0.1, 0.3 and 0.7
        assert isinstance(played.error, TransportError | ServerBusyError)
        assert clock.monotonic() - begun == pytest.approx(1)


def test_a_server_that_goes_away_while_jobs_are_waited_for_gives_none_in_time(clock: Clock) -> None:
    flow = take(config(clock=clock, retries=None), "emails", 1, 1.5)
    later = reply(503, "no", {"retry-after": "30"})
    played = Slow(clock).play(flow, (0, reply(204)), (0, later))
    assert played.result == []
    assert clock.monotonic() == pytest.approx(1.5)


def test_a_server_that_stays_away_longer_than_the_retries_is_told_before_the_end(
    clock: Clock,
) -> None:
    flow = take(config(clock=clock, retries=1), "emails", 1, 60)
    played = Slow(clock).play(flow, (0, reply(204)), (0, REFUSED), (0, REFUSED))
    assert isinstance(played.error, TransportError)


@pytest.mark.anyio
async def test_iter_waits_on_where_next_gives_up(connect: Connect, app: App, clock: Clock) -> None:
    relay = connect(
        answer=transport(app).handler, clock=clock, next_backoff=Backoff(1, retries=0, jitter=0)
    )
    assert await maybe_await(relay.next("emails")) == []
    await maybe_await(relay.enqueue(JOBS.job("x", 1, run_at=clock.now() + timedelta(minutes=1))))
    begun = clock.monotonic()
    if isinstance(relay, Client):
        helper: AnyHelper = next(relay.iter("emails"))
    else:
        helper = await anext(relay.iter("emails"))
    assert helper.raw.id == "x"
    assert clock.monotonic() - begun >= 60  # it waited, and did not spin


def test_a_server_that_stays_away_ends_the_wait() -> None:
    played = play(take(config(retries=1), "emails", 1, None), reply(503), reply(503))
    assert isinstance(played.error, ServerBusyError)
    played = play(take(config(retries=0), "emails", 1, None), REFUSED)
    assert played.error is not None


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_as_many_jobs_as_wanted_are_asked_for(version: str) -> None:
    (call,) = play(take(config(version), "a/b", 7, 0), reply(204)).calls
    assert (call.method, call.target) == ("GET", f"/{version}/queues/a%2Fb/jobs?num_jobs=7")
    assert call.content is None
