import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread

import psycopg
import pytest

from relay_sdk.local import App
from relay_sdk.local.postgres import connection, listener, store
from relay_sdk.local.request import Request

from ...support.postgres import MISSING, Cluster, are_skipped

pytestmark = pytest.mark.skipif(are_skipped(), reason=MISSING)

JSON = {"content-type": "application/json"}
PATIENT = 20.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(fsync="off", deadlock_timeout="200ms")
    try:
        with psycopg.connect(cluster.start().url(), autocommit=True) as admin:
            admin.execute("CREATE ROLE app LOGIN")
            admin.execute("CREATE DATABASE relay OWNER app")
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
def app(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> Iterator[App]:
    with App(cluster.url("relay", "app")) as app:
        caplog.clear()
        caplog.set_level(logging.WARNING, "relay_sdk.local")
        yield app
        sql(cluster, "TRUNCATE jobs")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RECONNECT_INTERVAL", 0.0)


def sql(cluster: Cluster, *statements: str) -> None:
    with psycopg.connect(cluster.url("relay"), autocommit=True) as admin:
        for statement in statements:
            admin.execute(statement.encode())


END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE usename = 'app'"
)


def enqueue(*ids: str) -> Request:
    jobs = [{"queue": "q", "id": id, "timeout": 30, "payload": 1} for id in ids]
    return Request("POST", "/v2/queues/jobs", JSON, json.dumps(jobs).encode())


def until(app: App, request: Request, status: int) -> None:
    end = time.monotonic() + PATIENT
    while (answered := app.answer([request])[0]).status != status:
        assert time.monotonic() < end, answered
        time.sleep(0.01)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "relay_sdk.local"]


def fails_and_recovers(app: App, caplog: pytest.LogCaptureFixture, heal: Callable[[], None]) -> str:
    """Check that requests fail with retryable errors, and work again; return the log."""
    claim = Request("GET", "/v1/queues/q/jobs", {}, b"")
    health = Request("GET", "/health", {}, b"")
    for _ in range(3):
        responses = app.answer([enqueue("a"), claim, health])
        assert [response.status for response in responses] == [503, 429, 200]
        assert responses[0].body.startswith(b"Backend error: db error: ERROR: ")
        assert responses[0].body.endswith(b". Is retryable: true.")
        assert responses[1].body.startswith(b"Backend error: ")
    heal()
    until(app, enqueue("b"), 202)
    failed, works = logged(caplog)
    assert "works again, after " in works
    assert "\n" not in failed
    return failed


def test_a_restart_is_survived(
    app: App, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    assert app.answer([enqueue("kept")])[0].status == 202
    cluster.stop("fast")

    fails_and_recovers(app, caplog, cluster.start)

    assert app("HEAD", "/v2/queues/q/jobs/kept", {}, b"").status == 200


def test_a_connection_that_ended_while_idle_causes_no_error(
    app: App, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    sql(cluster, END_CONNECTIONS)

    assert app.answer([enqueue("a")])[0].status == 202
    assert logged(caplog) == []


def test_no_connection_left(app: App, cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    sql(cluster, "ALTER ROLE app CONNECTION LIMIT 0", END_CONNECTIONS)

    def heal() -> None:
        sql(cluster, "ALTER ROLE app CONNECTION LIMIT -1")

    assert "too many connections" in fails_and_recovers(app, caplog, heal)


def test_a_standby_is_left_for_a_writable_host(
    app: App, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    read_only = "ALTER DATABASE relay SET default_transaction_read_only = "
    sql(cluster, read_only + "on", END_CONNECTIONS)

    def heal() -> None:
        # A superuser's session is read-only, too.
        sql(cluster, "SET default_transaction_read_only = off", read_only + "off")

    assert "read-only" in fails_and_recovers(app, caplog, heal)


def test_a_full_disk(app: App, cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    sql(
        cluster,
        "CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER fill BEFORE INSERT ON jobs EXECUTE FUNCTION disk_is_full()",
    )

    def heal() -> None:
        sql(cluster, "DROP FUNCTION disk_is_full CASCADE")

    assert "No space left on device" in fails_and_recovers(app, caplog, heal)


@pytest.mark.parametrize(
    "ids", [["a"], ["b", "c"], ["a", "b"]], ids=["a statement", "a part", "both"]
)
def test_a_failed_commit_is_an_error(app: App, cluster: Cluster, ids: list[str]) -> None:
    sql(
        cluster,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$",
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    try:
        single, batch = enqueue(ids[0]), enqueue(*ids)
        others = [Request("DELETE", "/v2/queues/q/jobs/x", {}, b"")]
        claim = Request("GET", "/v2/queues/q/jobs", {}, b"")
        for turn in ([single], [batch], [single, claim], [batch, *others], [*others, single]):
            assert {response.status for response in app.answer(turn)} == {503}
    finally:
        sql(cluster, "DROP FUNCTION fail CASCADE")
    for id in ids:
        assert app("HEAD", f"/v2/queues/q/jobs/{id}", {}, b"").status == 404
    assert app.answer([enqueue(*ids)])[0].status == 202


@contextmanager
def holding(cluster: Cluster, statement: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(cluster.url("relay")) as other:
        other.execute(statement.encode())
        yield other
        other.rollback()


@pytest.mark.parametrize("setting", ["lock_timeout", "statement_timeout"])
def test_a_lock_timeout_is_a_retryable_error(
    app: App, cluster: Cluster, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        connection, "_SET", f"{connection._SET}, set_config('{setting}', '200ms', false)"
    )
    sql(cluster, END_CONNECTIONS)

    with holding(cluster, "LOCK TABLE jobs"):
        responses = app.answer([enqueue(str(n)) for n in range(5)])
        assert [response.status for response in responses] == [503] * 5
    with holding(
        cluster,
        "INSERT INTO jobs (id, queue, timeout, data, updated_at, created_at, run_at) "
        "VALUES ('held', 'q', '1 s', '1', now(), now(), now())",
    ):
        responses = app.answer([enqueue("free"), enqueue("held"), enqueue("also free")])
        assert [response.status for response in responses] == [202, 503, 202]

    assert app.answer([enqueue("held")])[0].status == 202


def test_a_reaper_that_waits_for_a_lock_leaves_the_requests_alone(cluster: Cluster) -> None:
    with App(cluster.url("relay", "app"), reap_interval=1e-6) as app:
        with holding(cluster, "UPDATE internal_state SET last_run = '2000-01-01'"):
            assert app.answer([enqueue("a")])[0].status == 202
        assert app.answer([enqueue("b")])[0].status == 202
    sql(cluster, "TRUNCATE jobs")


def test_a_batch_in_a_deadlock_is_retried(
    app: App, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    app.answer([enqueue("a", "b")])
    with holding(cluster, "UPDATE jobs SET updated_at = now() WHERE id = 'b'") as other:
        turn = [Request("DELETE", f"/v2/queues/q/jobs/{id}", {}, b"") for id in "ab"]
        statuses: list[int] = []
        batch = Thread(target=lambda: statuses.extend(r.status for r in app.answer(turn)))
        batch.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND wait_event_type = 'Lock'"
        with psycopg.connect(cluster.url("relay"), autocommit=True) as admin:
            end = time.monotonic() + PATIENT
            while not admin.execute(waits).fetchone():
                assert time.monotonic() < end
        other.execute("SET deadlock_timeout = '10s'")  # so that it is batch that is ended
        other.execute("UPDATE jobs SET updated_at = now() WHERE id = 'a'")
        other.commit()
        batch.join(PATIENT)

    assert statuses == [200, 200]
    assert logged(caplog) == []
    assert app("HEAD", "/v2/queues/q/jobs/a", {}, b"").status == 404


def test_a_connection_that_falls_silent_is_closed(
    app: App, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "EXCHANGE_TIMEOUT", 0.3)
    app.answer([enqueue("warm")])
    [backend] = cluster.backends("app")
    os.kill(backend, signal.SIGSTOP)
    try:
        assert app.answer([enqueue("a")])[0].status == 503
        assert app.answer([enqueue("b")])[0].status == 202
    finally:
        os.kill(backend, signal.SIGCONT)


def test_a_host_that_never_responds_is_not_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(OSError, match="cannot use the PostgreSQL database"):
            App(f"postgresql://127.0.0.1:{port}/relay?connect_timeout=2")


def test_the_second_host_is_used_when_the_first_is_down(cluster: Cluster) -> None:
    hosts = f"/nowhere,{cluster.folder}"
    with App(f"postgresql://app@/relay?host={hosts}&target_session_attrs=read-write") as app:
        assert app.answer([enqueue("a")])[0].status == 202
        cluster.restart()
        until(app, enqueue("b"), 202)
        app.answer([Request("DELETE", f"/v2/queues/q/jobs/{id}", {}, b"") for id in "ab"])


def test_listening_resumes_when_the_database_is_back(
    app: App, cluster: Cluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "RECONNECT_INTERVAL", 0.05)
    heard: SimpleQueue[str | None] = SimpleQueue()
    listening = listener.NotificationListener(
        cluster.url("relay", "app"), lambda queue, _: heard.put(queue)
    )
    try:
        assert heard.get(timeout=PATIENT) is None
        cluster.stop("fast")
        end = time.monotonic() + PATIENT
        while not any("Cannot listen" in line for line in logged(caplog)):
            assert time.monotonic() < end
            time.sleep(0.01)
        cluster.start()
        assert heard.get(timeout=PATIENT) is None
        until(app, enqueue("a"), 202)
        assert heard.get(timeout=PATIENT) == "q"

        cluster.stop("fast")
        time.sleep(0.1)
    finally:
        listening.close()
        cluster.start()
    assert [line for line in logged(caplog) if "Traceback" in line] == []


def test_a_crash_of_the_database_loses_nothing_that_was_acknowledged(
    app: App, cluster: Cluster
) -> None:
    acknowledged: list[str] = []
    for n in range(60):
        if n % 20 == 10:
            [backend] = cluster.backends("app")
            cluster.kill(backend)
        end = time.monotonic() + PATIENT
        while (status := app.answer([enqueue(str(n))])[0].status) not in (202, 409):
            assert status == 503
            assert time.monotonic() < end
            time.sleep(0.01)
        acknowledged.append(str(n))

    for id in acknowledged:
        assert app("HEAD", f"/v2/queues/q/jobs/{id}", {}, b"").status == 200
