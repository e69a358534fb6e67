"""Connections are reused, and not kept for ever."""

import pytest

from relay_sdk._http import pool
from relay_sdk._http.pool import MAX_IDLE_TIME, Pool


class Made:
    """What a pool makes."""


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(pool, "monotonic", time)
    return time


def test_what_is_given_back_is_taken_first() -> None:
    pool = Pool(Made)
    a, b = pool.acquire(), pool.acquire()
    assert a is not b
    assert pool.release(a) is None
    assert pool.release(b) is None
    assert pool.acquire() is b
    assert pool.acquire() is a


def test_what_was_unused_for_long_is_to_be_closed(time: Time) -> None:
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


def test_what_alone_was_unused_for_long_is_taken(time: Time) -> None:
    pool = Pool(Made)
    a = pool.acquire()
    pool.release(a)
    time.now = 2 * MAX_IDLE_TIME
    assert pool.acquire() is a


def test_one_client_for_all_exchanges_is_remembered_once() -> None:
    own = Made()
    pool = Pool(lambda: own)
    lent = [pool.acquire() for _ in range(3)]
    assert pool.all() == [own]
    assert all(client is own for client in lent)
