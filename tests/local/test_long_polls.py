"""Long polls: requests that wait until there are jobs."""

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay_sdk.local import App, LocalServer, dates
from relay_sdk.local.app import BatchResult, FindLongPolls, RoutedRequest
from relay_sdk.local.arrivals import JobArrivals
from relay_sdk.local.long_polls import preferred_wait
from relay_sdk.local.operations import NewJob
from relay_sdk.local.request import Request
from relay_sdk.local.sqlite.sql import SELECT_READY

from .raw_client import Raw, jobs

JSON = {"content-type": "application/json"}
NEXT = "/v2/queues/q/jobs"


@pytest.fixture
def running() -> Iterator[LocalServer]:
    with LocalServer(reap_interval=0.05) as running:
        yield running


@pytest.fixture
def waiter(running: LocalServer) -> Iterator[Raw]:
    with Raw(running.url) as waiter:
        yield waiter


@pytest.fixture
def other(running: LocalServer) -> Iterator[Raw]:
    with Raw(running.url) as other:
        yield other


def hold(client: Raw, running: LocalServer, target: str = NEXT, wait: int = 30) -> None:
    """Send a long poll, and return when it waits."""
    client.send("GET", target, prefer=f"wait={wait}")
    settle(running)
    assert not client.is_answered()


def settle(running: LocalServer) -> None:
    """Return when all earlier requests are answered or wait for jobs."""
    for _ in range(2):  # the second turn begins when the first has ended
        with Raw(running.url) as other:
            assert other.ask("GET", "/v2/queues/nobody/jobs").status == 204


def health(running: LocalServer) -> None:
    """Return when the server has read all earlier requests."""
    with Raw(running.url) as other:
        assert other.ask("GET", "/health").status == 200


def ids(client: Raw) -> list[str]:
    answer = client.read()
    assert answer.status == 200
    assert answer.headers["preference-applied"] == "wait=30"
    return [job["id"] for job in json.loads(answer.body)]


@pytest.mark.parametrize("version", [1, 2])
def test_an_enqueued_job_is_claimed_at_once(
    running: LocalServer, waiter: Raw, other: Raw, version: int
) -> None:
    hold(waiter, running, f"/v{version}/queues/q/jobs")

    assert other.ask("POST", f"/v{version}/queues/jobs", jobs("a")).status == 202

    assert ids(waiter) == ["a"]


@pytest.mark.parametrize("version", [1, 2])
def test_a_long_poll_times_out_without_a_job(waiter: Raw, version: int) -> None:
    answer = waiter.ask("GET", f"/v{version}/queues/q/jobs", prefer="wait=1")

    assert (answer.status, answer.headers["preference-applied"]) == (204, "wait=1")


def test_an_existing_job_is_claimed_without_waiting(waiter: Raw, other: Raw) -> None:
    other.ask("POST", "/v2/queues/jobs", jobs("a"))

    waiter.send("GET", NEXT, prefer="wait=30")

    assert ids(waiter) == ["a"]


def test_a_scheduled_job_is_claimed_when_due(running: LocalServer, waiter: Raw, other: Raw) -> None:
    later, soon = (datetime.now(UTC) + timedelta(seconds=s) for s in (3600, 0.5))
    other.ask("POST", "/v2/queues/jobs", jobs("later", run_at=later.isoformat()))
    hold(waiter, running)
    other.ask("POST", "/v2/queues/jobs", jobs("soon", run_at=soon.isoformat()))

    assert ids(waiter) == ["soon"]
    assert datetime.now(UTC) >= soon


def test_a_job_scheduled_before_the_request_is_claimed_when_due(waiter: Raw, other: Raw) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    other.ask("POST", "/v2/queues/jobs", jobs("soon", run_at=soon.isoformat()))

    waiter.send("GET", NEXT, prefer="wait=30")

    assert ids(waiter) == ["soon"]


def test_a_timed_out_job_is_claimed_by_a_long_poll(
    running: LocalServer, waiter: Raw, other: Raw
) -> None:
    other.ask("POST", "/v2/queues/jobs", jobs("a", timeout=0))
    assert other.ask("GET", NEXT).status == 200
    waiter.send("GET", NEXT, prefer="wait=30")

    assert ids(waiter) == ["a"]


@pytest.mark.parametrize("version", [1, 2])
def test_a_rescheduled_job_is_claimed_by_a_long_poll(
    running: LocalServer, waiter: Raw, other: Raw, version: int
) -> None:
    other.ask("POST", "/v2/queues/jobs", jobs("a"))
    run_id = json.loads(other.ask("GET", NEXT).body)[0]["run_id"]
    hold(waiter, running)

    if version == 1:
        assert other.ask("PUT", "/v1/queues/jobs", jobs("a")[1:-1]).status == 202
    else:
        target = f"/v2/queues/q/jobs/a/run-id/{run_id}"
        assert other.ask("PUT", target, jobs("a")).status == 202

    assert ids(waiter) == ["a"]


def test_a_job_enqueued_in_process_is_claimed(running: LocalServer, waiter: Raw) -> None:
    hold(waiter, running)

    assert running.app("POST", "/v2/queues/jobs", JSON, jobs("a")).status == 202

    assert ids(waiter) == ["a"]


def test_long_polls_are_served_in_order_and_one_job_wakes_one(running: LocalServer) -> None:
    with ExitStack() as stack:
        waiters = [stack.enter_context(Raw(running.url)) for _ in range(5)]
        for waiter in waiters:
            hold(waiter, running)
        asked: list[str] = []
        running.app.store.connection.set_trace_callback(
            lambda statement: (
                asked.append(statement) if statement.startswith(SELECT_READY[:30]) else None
            )
        )

        for n, waiter in enumerate(waiters[:3]):
            running.app("POST", "/v2/queues/jobs", JSON, jobs(str(n)))
            assert ids(waiter) == [str(n)]

        assert len(asked) == 3
        assert not any(waiter.is_answered() for waiter in waiters[3:])


def test_a_job_is_claimed_with_the_commit_that_stores_it(
    running: LocalServer, waiter: Raw, other: Raw
) -> None:
    hold(waiter, running)
    statements: list[str] = []
    running.app.store.connection.set_trace_callback(statements.append)

    other.send("POST", "/v2/queues/jobs", jobs("a"))
    assert ids(waiter) == ["a"]

    stored = next(n for n, text in enumerate(statements) if "INSERT INTO jobs" in text)
    given = next(n for n, text in enumerate(statements) if "UPDATE jobs SET run_id" in text)
    assert "COMMIT" not in statements[stored:given]


def test_a_job_whose_commit_fails_is_not_claimed(
    running: LocalServer, waiter: Raw, other: Raw
) -> None:
    hold(waiter, running)
    running.app.store.connection.executescript("""
        PRAGMA foreign_keys = ON;
        CREATE TABLE parents (id INTEGER PRIMARY KEY);
        CREATE TABLE children (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER spoil AFTER INSERT ON jobs WHEN new.id = 'spoilt'
        BEGIN INSERT INTO children VALUES (1); END;
    """)

    assert other.ask("POST", "/v2/queues/jobs", jobs("spoilt")).status == 422
    settle(running)
    assert not waiter.is_answered()

    assert other.ask("POST", "/v2/queues/jobs", jobs("good")).status == 202
    assert ids(waiter) == ["good"]


def test_only_as_many_long_polls_wake_as_there_are_jobs_for(running: LocalServer) -> None:
    with ExitStack() as stack:
        waiters = [stack.enter_context(Raw(running.url)) for _ in range(4)]
        for waiter in waiters:
            hold(waiter, running, f"{NEXT}?num_jobs=2")

        running.app("POST", "/v2/queues/jobs", JSON, jobs("a", "b", "c", "d", "e"))

        assert [ids(waiter) for waiter in waiters[:3]] == [["a", "b"], ["c", "d"], ["e"]]
        settle(running)
        assert not waiters[3].is_answered()


def test_jobs_of_another_queue_wake_no_long_poll(
    running: LocalServer, waiter: Raw, other: Raw
) -> None:
    hold(waiter, running)

    other.ask("POST", "/v2/queues/jobs", jobs("a", queue="another"))

    settle(running)
    assert not waiter.is_answered()


def test_a_disconnected_long_poll_claims_nothing(running: LocalServer, other: Raw) -> None:
    with Raw(running.url) as leaver:
        hold(leaver, running)
    settle(running)  # that it has left is seen by now

    other.ask("POST", "/v2/queues/jobs", jobs("a"))

    settle(running)
    assert json.loads(other.ask("GET", NEXT).body)[0]["id"] == "a"


def test_the_job_of_a_disconnected_long_poll_goes_to_the_next(
    running: LocalServer, waiter: Raw
) -> None:
    app = running.app
    with Raw(running.url) as leaver:
        hold(leaver, running)
        hold(waiter, running)
        with app._lock:
            now = dates.from_datetime(datetime.now(UTC))
            app.store.enqueue([NewJob("q", "a", 30, None, "1", None, now)], "unique", now)
            assert app.on_arrivals
            app.on_arrivals(JobArrivals(now, Counter(q=1)))
            health(running)  # the first is woken by now
            leaver.close()
            health(running)  # that it has left is seen by now

        assert ids(waiter) == ["a"]


def test_a_job_that_arrives_before_the_request_waits_is_claimed(
    running: LocalServer, waiter: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = App.execute_batch
    came: list[int] = []

    def turn_and_more(
        app: App, work: Sequence[RoutedRequest], waiters: FindLongPolls
    ) -> BatchResult:
        result = turn(app, work, waiters)
        if work and not came:
            came.append(1)
            monkeypatch.setattr(App, "execute_batch", turn)
            assert app("POST", "/v2/queues/jobs", JSON, jobs("a")).status == 202
        return result

    monkeypatch.setattr(App, "execute_batch", turn_and_more)
    waiter.send("GET", NEXT, prefer="wait=30")

    assert ids(waiter) == ["a"]


def test_a_long_poll_does_not_delay_the_stop_and_must_back_off(running: LocalServer) -> None:
    with Raw(running.url) as waiter:
        hold(waiter, running)

        running.stop()

        answer = waiter.read()
        assert answer.status == 204
        assert "preference-applied" not in answer.headers
        assert waiter.is_closed()


@pytest.mark.parametrize("prefer", ["wait", "wait=", "wait=-1", "wait=1.5", "wait=x", "wait=0"])
def test_an_invalid_preference_is_ignored(waiter: Raw, prefer: str) -> None:
    answer = waiter.ask("GET", NEXT, prefer=prefer)

    assert answer.status == 204
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("num_jobs", ["0", "-1", "x"])
def test_a_probe_never_waits(waiter: Raw, num_jobs: str) -> None:
    answer = waiter.ask("GET", f"{NEXT}?num_jobs={num_jobs}", prefer="wait=30")

    assert answer.status == 400
    assert "preference-applied" not in answer.headers


def test_other_requests_do_not_wait(waiter: Raw) -> None:
    assert waiter.ask("GET", f"{NEXT}/a", prefer="wait=30").status == 404
    assert waiter.ask("HEAD", NEXT, prefer="wait=30").status == 405


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=5", 5),
        ("Wait = 5", 5),
        ('wait="5"', 5),
        ("respond-async, wait=5", 5),
        ("wait=5;foo=bar, return=minimal", 5),
        ("wait=5, wait=7", 5),
        ("wait=61", 60),
        ("wait=" + "9" * 10_000, 60),
        ("wait=" + "0" * 10_000 + "7", 7),
        ("wait=\u0665", 0),
        ("waiting=5", 0),
        ("", 0),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_preference_is_parsed_as_in_rfc_7240(prefer: str, seconds: int) -> None:
    assert preferred_wait(Request("GET", NEXT, {"prefer": prefer}, b"")) == seconds


def test_requests_in_process_do_not_wait() -> None:
    with App() as app:
        response = app("GET", NEXT, {"prefer": "wait=30"}, b"")

    assert (response.status, dict(response.headers)) == (204, {})


def test_a_foreign_lock_delays_only_requests_that_need_it(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    with LocalServer(path) as running, Raw(running.url) as client, Raw(running.url) as other:
        foreign = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        foreign.execute("BEGIN IMMEDIATE")
        client.send("POST", "/v2/queues/jobs", jobs("a"))
        assert other.ask("GET", "/health").status == 200
        assert not client.is_answered()

        threading.Timer(0.1, foreign.close).start()

        assert client.read().status == 202
