"""Long polls on one server wake for jobs that another server stores."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Event

import psycopg
import pytest

from relay_sdk.local import App, LocalServer
from relay_sdk.local.postgres.listener import NotificationListener

from ...support.postgres import MISSING, are_skipped
from ..raw_client import Raw, jobs

pytestmark = pytest.mark.skipif(are_skipped(), reason=MISSING)

JSON = {"content-type": "application/json"}
NEXT = "/v2/queues/q/jobs"
NEVER = 3600.0


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Set when a server is notified of a job."""
    event = Event()
    init = NotificationListener.__init__

    def noting(
        self: NotificationListener,
        url: str,
        on_arrival: Callable[[str | None, int], None],
        own: Callable[[], int] = lambda: 0,
    ) -> None:
        def heard(queue: str | None, run_at: int) -> None:
            on_arrival(queue, run_at)
            if queue is None:
                event.set()

        init(self, url, heard, own)

    monkeypatch.setattr(NotificationListener, "__init__", noting)
    return event


@pytest.fixture
def running(
    postgres: str, listening: Event, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalServer]:
    """A server that only notifications can wake."""
    monkeypatch.setattr("relay_sdk.local.batch_executor.POLL_INTERVAL", NEVER)
    with LocalServer(postgres, reap_interval=NEVER) as running:
        assert listening.wait(20)
        yield running


@pytest.fixture
def waiter(running: LocalServer) -> Iterator[Raw]:
    with Raw(running.url) as waiter:
        yield waiter


@pytest.fixture
def another(postgres: str) -> Iterator[App]:
    """Another server on the same database."""
    with App(postgres, reap_interval=NEVER) as app:
        yield app


def hold(client: Raw, running: LocalServer, target: str = NEXT) -> None:
    """Send a long poll, and return when it waits."""
    client.send("GET", target, prefer="wait=30")
    settle(running)
    assert not client.is_answered()


def settle(running: LocalServer) -> None:
    for _ in range(2):  # the second turn begins when the first has ended
        with Raw(running.url) as other:
            assert other.ask("GET", "/v2/queues/nobody/jobs").status == 204


def ids(client: Raw) -> list[str]:
    answer = client.read()
    assert answer.status == 200
    return [job["id"] for job in json.loads(answer.body)]


def enqueue(app: App, *keys: str, **extra: object) -> None:
    assert app("POST", "/v2/queues/jobs", JSON, jobs(*keys, **extra)).status == 202


@pytest.mark.parametrize("version", [1, 2])
def test_a_job_that_another_server_stored_is_claimed_at_once(
    running: LocalServer, waiter: Raw, another: App, version: int
) -> None:
    hold(waiter, running, f"/v{version}/queues/q/jobs")

    enqueue(another, "a")

    assert ids(waiter) == ["a"]


def test_a_job_that_this_server_stored_is_claimed_at_once(
    running: LocalServer, waiter: Raw
) -> None:
    hold(waiter, running)

    enqueue(running.app, "a")

    assert ids(waiter) == ["a"]


def test_jobs_of_another_server_wake_all_long_polls(running: LocalServer, another: App) -> None:
    with Raw(running.url) as first, Raw(running.url) as second, Raw(running.url) as third:
        for client in (first, second, third):
            hold(client, running)

        enqueue(another, "a", "b")

        assert sorted(ids(first) + ids(second)) == ["a", "b"]
        settle(running)
        assert not third.is_answered()


def test_a_job_that_another_server_scheduled_is_claimed_when_due(
    running: LocalServer, waiter: Raw, another: App
) -> None:
    hold(waiter, running)
    soon = datetime.now(UTC) + timedelta(seconds=0.5)

    enqueue(another, "soon", run_at=soon.isoformat())

    assert ids(waiter) == ["soon"]
    assert datetime.now(UTC) >= soon


def test_a_job_that_another_server_requeued_is_claimed(
    running: LocalServer, waiter: Raw, another: App
) -> None:
    enqueue(another, "a")
    run_id = json.loads(another("GET", NEXT, {}, b"").body)[0]["run_id"]
    hold(waiter, running)

    target = f"{NEXT}/a/run-id/{run_id}"
    assert another("PUT", target, JSON, jobs("a")).status == 202

    assert ids(waiter) == ["a"]


def test_an_older_scheduled_job_is_claimed_when_due(waiter: Raw, another: App) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    enqueue(another, "soon", run_at=soon.isoformat())

    waiter.send("GET", NEXT, prefer="wait=30")

    assert ids(waiter) == ["soon"]


def test_one_job_is_claimed_by_one_server(
    running: LocalServer, postgres: str, another: App
) -> None:
    with LocalServer(postgres) as second, Raw(running.url) as one, Raw(second.url) as other:
        hold(one, running)
        hold(other, second)

        enqueue(another, "a")
        enqueue(another, "b")

        assert sorted(ids(one) + ids(other)) == ["a", "b"]


def test_a_job_without_a_notification_is_found_by_polling(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk.local.batch_executor.POLL_INTERVAL", 0.05)
    with LocalServer(postgres, reap_interval=NEVER) as running, Raw(running.url) as waiter:
        hold(waiter, running)

        # As Relay itself does.
        with psycopg.connect(postgres, autocommit=True) as foreign:
            foreign.execute(
                "INSERT INTO jobs (queue, id, timeout, data, updated_at, created_at, run_at) "
                "VALUES ('q', 'a', '30 s', '1', now(), now(), now() - interval '1 day')"
            )

        assert ids(waiter) == ["a"]


def test_a_locked_job_causes_no_busy_polling(
    running: LocalServer, waiter: Raw, another: App, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []
    turn = App.execute_batch

    def noting(app: App, work: object, *rest: object) -> object:
        turns.append(1)
        return turn(app, work, *rest)  # type: ignore[arg-type]

    enqueue(another, "a")
    with psycopg.connect(postgres) as foreign:
        foreign.execute("SELECT FROM jobs FOR UPDATE")
        monkeypatch.setattr(App, "execute_batch", noting)
        hold(waiter, running)

        assert len(turns) <= 3  # that of the waiter, and those that settle


def test_long_polls_are_answered_when_the_server_stops(running: LocalServer, waiter: Raw) -> None:
    hold(waiter, running)

    running.stop()

    assert waiter.read().status == 204
