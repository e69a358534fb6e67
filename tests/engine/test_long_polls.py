"""Asking the server to hold a request until there is a job."""

from math import inf
from typing import Any

import httpx
import pytest
from attrs import evolve

from relay_sdk import Backoff, Client, ServerBusyError, TransportError
from relay_sdk._base.flow import Request, Response
from relay_sdk._engine.polling import MAX_CLAIM_AGE, poll
from relay_sdk.testing import Clock

from ..support.fixtures import Connect
from ..support.flow_player import HANGS, LOST_REPLY, REFUSED, Slow, config, next_reply, play, reply
from ..support.sync_async import maybe_await

CUT = TransportError("the connection was reset", sent=True)


def held(*ids: str) -> Response:
    """The reply of a server that was asked to hold the request."""
    given = next_reply(*ids) if ids else reply(204)
    return Response(given.status, {"preference-applied": "wait=12"}, given.content)


def waits(calls: list[Request]) -> list[int]:
    """How long each request may be held; 0 is at all."""
    return [int(call.headers.get("Prefer", "wait=0").removeprefix("wait=")) for call in calls]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_server_may_hold_a_request_shorter_than_the_clients_timeout(version: Any) -> None:
    played = play(poll(config(version), "emails", 1, long_poll=True), held("x"))
    assert waits(played.calls) == [12]


def test_without_a_timeout_a_server_may_hold_a_request_for_an_hour() -> None:
    played = play(poll(evolve(config(), timeout=inf), "emails", 1, long_poll=True), held("x"))
    assert waits(played.calls) == [3600]


def test_a_request_that_was_held_is_followed_by_the_next_at_once(clock: Clock) -> None:
    flow = poll(config(clock=clock), "emails", 1, long_poll=True)
    played = Slow(clock).play(flow, (12, held()), (12, held()), (3, held("x")))
    assert not played.waits
    assert clock.monotonic() == 27


def test_a_server_that_answers_at_once_is_polled_with_the_backoff() -> None:
    flow = poll(config(), "emails", 1, long_poll=True)
    played = play(flow, reply(204), held(), reply(204), next_reply("x"))
    assert played.waits == [1, 2, 4]


def test_no_request_is_held_beyond_the_wait_for_jobs(clock: Clock) -> None:
    flow = poll(config(clock=clock), "emails", 1, 20, long_poll=True)
    played = Slow(clock).play(flow, (12, held()), (7, held()), (0, reply(204)), (0, reply(204)))
    assert waits(played.calls) == [12, 7, 0, 0]
    assert played.result == ([], 20)
    assert waits(play(poll(config(), "emails", 1, 0, long_poll=True), reply(204)).calls) == [0]


def test_a_held_request_that_hangs_ends_with_the_wait(clock: Clock) -> None:
    played = Slow(clock).play(poll(config(clock=clock), "emails", 1, 5, long_poll=True), HANGS)
    assert isinstance(played.error, TransportError)
    assert clock.monotonic() == 5


def test_a_server_that_hangs_is_noticed_within_the_timeout(clock: Clock) -> None:
    flow = poll(config(clock=clock, retries=0), "emails", 1, long_poll=True)
    played = Slow(clock).play(flow, HANGS)
    assert isinstance(played.error, TransportError)
    assert clock.monotonic() == 15


@pytest.mark.parametrize("cut", [CUT, reply(408), reply(502, "<html>"), reply(504)])
def test_a_held_request_that_a_proxy_cuts_is_no_failure(cut: Any, clock: Clock) -> None:
    clock.advance(1000)
    flow = poll(config(clock=clock, retries=0), "emails", 1, long_poll=True)
    played = Slow(clock).play(flow, (5, cut), (0, reply(204)), (12, held()), (1, held("x")))
    assert played.error is None
    assert waits(played.calls) == [12, 0, 12, 12]


@pytest.mark.parametrize("failure", [REFUSED, LOST_REPLY, reply(503), reply(429), reply(500)])
def test_any_other_failure_is_one(failure: Any, clock: Clock) -> None:
    flow = poll(config(clock=clock, retries=0), "emails", 1, long_poll=True)
    assert Slow(clock).play(flow, (0.1, failure)).error is not None


def test_a_proxy_that_wants_to_be_left_alone_is_not_asked_at_once(clock: Clock) -> None:
    flow = poll(config(clock=clock, retries=0), "emails", 1, long_poll=True)
    busy = reply(504, "", {"retry-after": "7"})
    assert isinstance(Slow(clock).play(flow, (5, busy)).error, ServerBusyError)


def test_a_server_that_is_gone_after_the_cut_is_an_error(clock: Clock) -> None:
    flow = poll(config(clock=clock, retries=1), "emails", 1, long_poll=True)
    played = Slow(clock).play(flow, (5, CUT), (0, REFUSED), (0, REFUSED))
    assert isinstance(played.error, TransportError)


def test_jobs_of_a_held_request_are_ours_from_its_reply(clock: Clock) -> None:
    flow = poll(config(clock=clock), "emails", 1, long_poll=True)
    played = Slow(clock).play(flow, (10, held("x")))
    assert played.result[1] == 10 - MAX_CLAIM_AGE
    flow = poll(config(clock=clock), "emails", 1, long_poll=True)
    assert Slow(clock).play(flow, (0.25, held("x"))).result[1] == 10


def test_jobs_of_a_slow_request_are_ours_from_when_it_was_sent(clock: Clock) -> None:
    flow = poll(config(clock=clock), "emails", 1, long_poll=True)
    assert Slow(clock).play(flow, (10, next_reply("x"))).result[1] == 0


@pytest.mark.anyio
@pytest.mark.parametrize(("polls", "hold"), [(None, "wait=12"), (3, None)])
async def test_who_counts_polls_has_each_answered_at_once(
    connect: Connect, polls: int | None, hold: str | None
) -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("prefer"))
        return httpx.Response(200, content=next_reply("x").content)

    backoff = Backoff(1, maximum=1, retries=polls)
    relay = connect(answer=answer, next_backoff=backoff, api="v2")
    await maybe_await(relay.next("emails"))
    # A thread that waits in somebody else's client cannot be told to stop.
    assert asked == [None if isinstance(relay, Client) else hold]
