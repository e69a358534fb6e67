"""Connections are reused, and closed when they were idle for too long."""

import pytest

from relay_sdk._http import pool
from relay_sdk._http.pool import MAX_IDLE_TIME, Pool


class Made:
    """Takes the place of a connection."""


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(pool, "monotonic", time)
    return time


def test_the_connection_released_last_is_acquired_first() -> None:
    pool = Pool(Made)
    a, b = pool.acquire(), pool.acquire()
    assert a is not b
    assert pool.release(a) is None
    assert pool.release(b) is None
    assert pool.acquire() is b
    assert pool.acquire() is a


def test_a_connection_idle_for_too_long_is_returned_to_be_closed(time: Time) -> None:
    pool = Pool(Made)
    a, b, c = pool.acquire(), pool.acquire(), pool.acquire()
    pool.release(a)
    time.now = 1
    assert pool.release(b) is None
    time.now = MAX_IDLE_TIME
    assert pool.release(c) is a
    del a
    assert set(pool.all()) == {b, c}
    assert pool.release(pool.acquire()) is None


def test_the_only_idle_connection_is_acquired_however_old(time: Time) -> None:
    pool = Pool(Made)
    a = pool.acquire()
    pool.release(a)
    time.now = 2 * MAX_IDLE_TIME
    assert pool.acquire() is a


def test_one_connection_for_all_exchanges_is_listed_once() -> None:
    only = Made()
    pool = Pool(lambda: only)
    lent = [pool.acquire() for _ in range(3)]
    assert pool.all() == [only]
    assert all(client is only for client in lent)
