"""Each kind of request has its own limit, and a request that hangs loses its place."""

from math import inf

from relay_sdk._base.flow import RequestKind
from relay_sdk._engine.limiter import HANGING_AFTER, MAX_IN_FLIGHT, InFlightLimiter


def full(kind: RequestKind = "other") -> InFlightLimiter:
    limiter = InFlightLimiter()
    for number in range(MAX_IN_FLIGHT):
        assert limiter.opens_at(kind) == -inf
        limiter.acquire(kind, number, now=float(number))
    return limiter


def test_a_full_limiter_opens_when_its_oldest_request_hangs() -> None:
    limiter = full()
    assert limiter.opens_at("other") == 0 + HANGING_AFTER
    limiter.acquire("other", "next", now=100.0)
    assert limiter.opens_at("other") == 1 + HANGING_AFTER


def test_heartbeats_and_other_requests_do_not_wait_for_each_other() -> None:
    assert full("other").opens_at("heartbeat") == -inf
    assert full("heartbeat").opens_at("other") == -inf


def test_a_released_place_is_free() -> None:
    limiter = full("heartbeat")
    limiter.release("heartbeat", 7)
    assert limiter.opens_at("heartbeat") == -inf


def test_a_request_that_lost_its_place_frees_none_when_it_is_answered() -> None:
    limiter = full()
    limiter.acquire("other", "next", now=100.0)
    limiter.release("other", 0)
    assert limiter.opens_at("other") == 1 + HANGING_AFTER
