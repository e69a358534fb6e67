"""A clock that is an hour off, or is set while a job runs, makes nothing run early or often."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import httpx
import pytest

from relay_sdk import Client, Every, Queue
from relay_sdk.local import App
from relay_sdk.testing import Clock, transport

HOUR = timedelta(hours=1)
EMAILS = Queue("emails", int)


class Wrong(Clock):
    """A clock whose time of day is off; what it measures is right."""

    def __init__(self, right: Clock) -> None:
        super().__init__()
        self._right = right
        self.off = timedelta()

    def now(self) -> datetime:
        return self._right.now() + self.off

    def monotonic(self) -> float:
        return self._right.monotonic()

    def sleep(self, seconds: float, stop: object = None) -> None:
        self._right.skip(seconds)


class Timeless(Wrong):
    """A clock that must not be asked for the time of day."""

    def now(self) -> datetime:
        raise AssertionError("it was asked for the time of day")


@pytest.fixture
def right() -> Clock:
    return Clock()


@pytest.fixture
def app(right: Clock) -> Iterator[App]:
    with App(clock=right.now) as app:
        yield app


def connected(app: App, clock: Clock, api: str) -> Client:
    http = httpx.Client(transport=transport(app), verify=False)
    return Client("http://server", http_client=http, clock=clock, api=api)  # type: ignore[arg-type]


@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("off", [-HOUR, HOUR], ids=["behind", "ahead"])
@pytest.mark.parametrize("early", [True, False], ids=["wrong", "set while the job runs"])
def test_delays_and_schedules_count_by_the_servers_clock(
    app: App, right: Clock, api: str, off: timedelta, early: bool
) -> None:
    wrong = Wrong(right)
    with connected(app, wrong, api) as relay:
        for after in ({"delay": 60}, {"run_at": Every(timedelta(seconds=60))}):
            relay.enqueue(EMAILS.job("x", 1, run_at=right.now()))
            wrong.off = off if early else timedelta()
            (helper,) = relay.next(EMAILS, timeout=0)
            wrong.off = off
            right.advance(10)
            helper.reschedule(**after)
            due = right.now() + timedelta(seconds=60 if "delay" in after else 50)
            assert relay.get(EMAILS, "x").run_at == due
            relay.remove(EMAILS, "x")


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_waits_and_leases_ask_no_clock_that_can_be_set(app: App, right: Clock, api: str) -> None:
    with connected(app, Timeless(right), api) as relay:
        assert relay.next(EMAILS, timeout=30) == []
        relay.enqueue(EMAILS.job("x", 1, timeout=30))
        (helper,) = relay.next(EMAILS)
        for _ in range(3):
            right.advance(20)
            helper.heartbeat()
        helper.reschedule(delay=5)
        (helper,) = relay.next(EMAILS, timeout=30)
        helper.complete()
