import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay_sdk.local import ROUTES, App
from relay_sdk.local.request import Request

JSON = {"content-type": "application/json"}
RUN = "00000000-0000-4000-8000-000000000000"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(database: str, clock: Clock) -> Iterator[App]:
    with App(database, clock=clock) as app:
        yield app


@pytest.fixture
def on_sqlite(clock: Clock) -> Iterator[App]:
    with App(clock=clock) as app:
        yield app


def jobs(*ids: str, **extra: object) -> bytes:
    return json.dumps(
        [{"queue": "q", "id": key, "timeout": 30, "payload": {"n": 1}} | extra for key in ids]
    ).encode()


def enqueue(*ids: str, **extra: object) -> Request:
    return Request("POST", "/v2/queues/jobs", JSON, jobs(*ids, **extra))


def exists(app: App, id: str) -> bool:
    return app("HEAD", f"/v2/queues/q/jobs/{id}", {}, b"").status == 200


def target(template: str) -> str:
    return template.format(queue="q", id="a", run_id=RUN)


@pytest.mark.parametrize(("method", "template"), ROUTES)
def test_every_listed_route_is_answered(app: App, method: str, template: str) -> None:
    assert app(method, target(template), JSON, b"[]").status not in (405, 500)


@pytest.mark.parametrize("template", sorted({template for _, template in ROUTES}))
def test_allow_names_the_methods_that_are_listed(app: App, template: str) -> None:
    response = app("TRACE", target(template), {}, b"")

    assert (response.status, response.body) == (405, b"")
    assert set(response.headers["allow"].split(",")) == {m for m, t in ROUTES if t == template}


@pytest.mark.parametrize("version", [1, 2])
def test_head_never_claims_a_job(app: App, version: int) -> None:
    app.answer([enqueue("a")])

    response = app("HEAD", f"/v{version}/queues/q/jobs", {}, b"")

    assert (response.status, response.headers["allow"]) == (405, "GET")
    assert app("GET", f"/v{version}/queues/q/jobs", {}, b"").status == 200


def test_requests_answered_together_share_one_commit(on_sqlite: App) -> None:
    statements: list[str] = []
    on_sqlite.store.connection.set_trace_callback(statements.append)

    on_sqlite.answer([enqueue("a"), enqueue("b"), Request("GET", "/v2/queues/q/jobs", {}, b"")])

    assert statements.count("BEGIN IMMEDIATE") == statements.count("COMMIT") == 1


def test_a_batch_that_fails_rolls_back_alone(app: App) -> None:
    responses = app.answer(
        [enqueue("a"), enqueue("lost", "a"), enqueue("bad", payload="\0"), enqueue("b")]
    )

    assert [response.status for response in responses] == [202, 409, 422, 202]
    assert [key for key in ("a", "lost", "bad", "b") if exists(app, key)] == ["a", "b"]


def test_requests_without_an_operation_do_not_touch_the_database(on_sqlite: App) -> None:
    statements: list[str] = []
    on_sqlite.store.connection.set_trace_callback(statements.append)

    on_sqlite("GET", "/health", {}, b"")
    on_sqlite("GET", "/nowhere", {}, b"")
    on_sqlite("GET", f"/v2/queues/q/jobs/a/run-id/{RUN}", {}, b"")

    assert statements == []


def spoil_commits(app: App) -> None:
    """Make COMMIT fail after an insert into the queue `spoilt`."""
    app.store.connection.executescript("""
        PRAGMA foreign_keys = ON;
        CREATE TABLE parents (id INTEGER PRIMARY KEY);
        CREATE TABLE children (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER spoil AFTER INSERT ON jobs WHEN new.queue = 'spoilt'
        BEGIN INSERT INTO children VALUES (1); END;
    """)


def test_a_failing_commit_fails_all_requests_that_share_it(on_sqlite: App) -> None:
    spoil_commits(on_sqlite)

    responses = on_sqlite.answer(
        [
            enqueue("a"),
            enqueue("b", queue="spoilt"),
            Request("POST", "/v1/queues/jobs", JSON, jobs("c")),
            Request("GET", "/v2/queues/q/jobs", {}, b""),
            Request("GET", "/health", {}, b""),
        ]
    )

    assert [response.status for response in responses] == [422, 422, 422, 500, 200]
    assert responses[0].body.startswith(b"Backend error: ")
    assert responses[0].body.endswith(b". Is retryable: false.")
    assert not responses[2].body.endswith(b"false.")
    assert not any(exists(on_sqlite, key) for key in "abc")
    assert on_sqlite.answer([enqueue("a")])[0].status == 202


@pytest.mark.parametrize(("version", "status"), [(1, 429), (2, 503)])
def test_a_locked_database_is_a_retryable_error(tmp_path: Path, version: int, status: int) -> None:
    path = tmp_path / "relay.db"
    with App(path) as app:
        app.store.connection.execute("PRAGMA busy_timeout = 0")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        requests = [
            Request(
                method,
                target(template),
                JSON,
                jobs("a")[1:-1] if method == "PUT" and version == 1 else jobs("a"),
            )
            for method, template in ROUTES
            if template.startswith(f"/v{version}/")
        ]
        for request in requests:
            response = app.answer([request])[0]
            if request.method == "HEAD" or (request.method, request.target[-2:]) == ("GET", "/a"):
                assert response.status == 404  # a read needs no lock
                continue
            assert response.status == status
            assert response.body.startswith(b"Backend error: ")
            assert response.body.endswith(b". Is retryable: true.") == (version == 2)
        assert app("GET", "/health", {}, b"").status == 200

        other.execute("ROLLBACK")
        other.close()
        assert app.answer([enqueue("a")])[0].status == 202


@pytest.mark.parametrize(
    ("pragma", "healed"),
    [("max_page_count = 1", "max_page_count = 100000"), ("query_only = 1", "query_only = 0")],
    ids=["a full disk", "read-only"],
)
@pytest.mark.parametrize(("version", "status"), [(1, 429), (2, 503)])
def test_reads_work_while_the_database_is_read_only(
    tmp_path: Path, clock: Clock, version: int, status: int, pragma: str, healed: str
) -> None:
    with App(tmp_path / "relay.db", clock=clock) as app:
        assert app.answer([enqueue("a"), enqueue("b", timeout=0)])[1].status == 202
        assert claim(app) == claim(app) == 200  # one lease is over soon, and is to be reaped
        app.store.connection.execute(f"PRAGMA {pragma}")
        clock.advance(10)

        add = Request("POST", f"/v{version}/queues/jobs", JSON, jobs("c", payload="x" * 100_000))
        answer = app.answer([add])[0]
        assert answer.status == status
        assert answer.body.startswith(b"Backend error: ")
        assert exists(app, "a")
        assert exists(app, "b")
        assert not exists(app, "c")

        app.store.connection.execute(f"PRAGMA {healed}")
        assert app.answer([add])[0].status == 202
        clock.advance(10)
        assert claim(app) == 200
        assert [exists(app, key) for key in "abc"] == [True] * 3


@pytest.mark.parametrize(("version", "status"), [(1, 429), (2, 503)])
@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be deleted")
def test_a_file_that_was_deleted_or_replaced_is_noticed(
    tmp_path: Path, version: int, status: int
) -> None:
    path, aside = tmp_path / "relay.db", tmp_path / "aside.db"
    with App(path) as app:
        assert app.answer([enqueue("a")])[0].status == 202

        def told() -> bool:
            responses = app.answer(
                [
                    Request("POST", f"/v{version}/queues/jobs", JSON, jobs("b")),
                    Request("GET", f"/v{version}/queues/q/jobs/a", {}, b""),
                ]
            )
            text = b"was deleted or replaced while the server ran"
            return all(r.status == status and text in r.body for r in responses)

        path.rename(aside)
        assert told()
        path.write_bytes(aside.read_bytes())
        assert told()
        assert app("GET", "/health", {}, b"").status == 200

        aside.replace(path)
        assert app.answer([enqueue("c")])[0].status == 202


def test_a_failing_reaper_does_not_stop_requests(
    on_sqlite: App, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    on_sqlite.answer([enqueue("a", timeout=0)])
    claim(on_sqlite)
    on_sqlite.store.connection.execute(
        "CREATE TRIGGER full BEFORE UPDATE ON jobs BEGIN SELECT raise(ABORT, 'disk is full'); END"
    )
    clock.advance(10)

    assert exists(on_sqlite, "a")
    assert "disk is full" in caplog.text

    on_sqlite.store.connection.execute("DROP TRIGGER full")
    clock.advance(5)
    assert claim(on_sqlite) == 200


def test_the_reaper_does_not_wait_for_locks(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "relay.db"
    with App(path, clock=clock) as app:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        statements: list[str] = []
        app.store.connection.set_trace_callback(statements.append)
        clock.advance(10)
        for _ in range(3):
            assert not exists(app, "a")
        app.store.connection.set_trace_callback(None)
        other.close()

        pause, begin, restore = (
            statements.index(text)
            for text in ("PRAGMA busy_timeout = 0", "BEGIN IMMEDIATE", "PRAGMA busy_timeout = 5000")
        )
        assert pause < begin < restore
        assert statements.count("BEGIN IMMEDIATE") == 1


def test_many_expired_jobs_are_reaped_in_several_batches(
    on_sqlite: App, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk.local.sqlite.store.REAP_LIMIT", 2)
    on_sqlite.answer([enqueue(*"abcde", timeout=0)])
    on_sqlite("GET", "/v2/queues/q/jobs?num_jobs=5", {}, b"")
    clock.advance(10)

    batches = [on_sqlite.execute_batch([]) for _ in range(4)]

    assert [batch.more_to_reap for batch in batches] == [True, True, False, False]
    assert [batch.arrivals.ready["q"] for batch in batches] == [2, 2, 1, 0]


def test_a_slow_batch_leaves_the_rest_to_the_next(
    on_sqlite: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk.local.app.BATCH_TIME_LIMIT", -1.0)
    statements: list[str] = []
    on_sqlite.store.connection.set_trace_callback(statements.append)

    assert [r.status for r in on_sqlite.answer([enqueue("a"), enqueue("a"), enqueue("b")])] == [
        202,
        409,
        202,
    ]

    assert statements.count("COMMIT") == 3


def test_one_request_claims_at_most_a_thousand_jobs(app: App) -> None:
    app.answer([enqueue(*(str(n) for n in range(1001)))])

    given = [
        len(json.loads(app("GET", f"/v2/queues/q/jobs?num_jobs={2**63 - 1}", {}, b"").body))
        for _ in range(2)
    ]

    assert given == [1000, 1]


def test_claimers_in_many_threads_get_each_job_once(database: str) -> None:
    with App(database) as app:
        app.answer([enqueue(*(str(n) for n in range(200)))])

        def claim(_: int) -> list[str]:
            found: list[str] = []
            while (response := app("GET", "/v2/queues/q/jobs?num_jobs=3", {}, b"")).status == 200:
                found += [job["id"] for job in json.loads(response.body)]
            return found

        with ThreadPoolExecutor(8) as threads:
            claimed = [key for keys in threads.map(claim, range(8)) for key in keys]

    assert sorted(claimed, key=int) == [str(n) for n in range(200)]


def claim(app: App) -> int:
    return app("GET", "/v2/queues/q/jobs", {}, b"").status


def test_the_reaper_runs_once_an_interval_from_the_start(database: str, clock: Clock) -> None:
    with App(database, reap_interval=5, clock=clock) as app:
        clock.advance(3)
        app.answer([enqueue("a", timeout=2)])
        assert claim(app) == 200

        clock.advance(2)
        assert claim(app) == 204  # the reaper runs, and the lease ends only now
        clock.advance(4.9)
        assert claim(app) == 204
        clock.advance(0.1)
        assert claim(app) == 200


def test_a_clock_that_is_set_back_does_not_stop_the_reaper(app: App, clock: Clock) -> None:
    clock.advance(-3600)
    app.answer([enqueue("a", timeout=0)])
    assert claim(app) == 200

    clock.advance(5.1)

    assert claim(app) == 200


def test_a_job_that_is_dropped_is_logged(
    app: App, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    app.answer([enqueue("a", timeout=1, max_retries=0)])
    claim(app)
    clock.advance(10)

    with caplog.at_level(logging.WARNING, "relay_sdk.local"):
        assert not exists(app, "a")

    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "Dropped job 'a' of queue 'q': it timed out without retries left")
    ]


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_a_reap_interval_must_be_positive(interval: float) -> None:
    with pytest.raises(ValueError, match="reap_interval must be more than 0 seconds"):
        App(reap_interval=interval)


def test_long_keys_lose_only_trailing_spaces(app: App) -> None:
    long = "k" * 1024

    assert app.answer([enqueue(long + "  ")])[0].status == 202
    assert exists(app, long)
    assert app.answer([enqueue(long + " x")])[0].status == 422
    assert app("DELETE", f"/v2/queues/q/jobs/{long}xx", {}, b"").status == 200
    assert app("HEAD", f"/v2/queues/q/jobs/{long}xx", {}, b"").status == 404


@pytest.mark.parametrize(
    ("run_id", "status"),
    [
        (RUN, 404),
        (RUN.upper(), 404),
        (RUN.replace("-", ""), 404),
        (f"%7B{RUN}%7D", 404),
        (f"urn:uuid:{RUN}", 404),
        (f"URN:UUID:{RUN.upper()}", 404),
        (f"%7B{RUN.upper()}%7D", 404),
        (f"urn:uu%C4%B1d:{RUN}", 400),  # a dotless i
        ("abc", 400),
        ("0" * 31, 400),
        (f"%7B{RUN}", 400),
        (f"urn:uuid:{RUN.replace('-', '')}", 400),
        ("0-" * 32, 400),
    ],
)
def test_a_run_id_is_a_uuid_in_any_of_four_forms(app: App, run_id: str, status: int) -> None:
    assert app("PATCH", f"/v2/queues/q/jobs/a/run-id/{run_id}", {}, b"").status == status


@pytest.mark.parametrize(
    "state", [rb'"\u0000"', b"[" * 100_000 + b"]" * 100_000], ids=["nul", "deep"]
)
def test_a_heartbeat_that_could_not_be_stored_changes_nothing(app: App, state: bytes) -> None:
    app.answer([enqueue("a", state={"kept": 1})])
    run_id = json.loads(app("GET", "/v2/queues/q/jobs", {}, b"").body)[0]["run_id"]

    response = app("PATCH", f"/v2/queues/q/jobs/a/run-id/{run_id}", JSON, state)

    assert (response.status, response.body[:14]) == (422, b"Backend error:")
    assert json.loads(app("GET", "/v2/queues/q/jobs/a", {}, b"").body)["state"] == {"kept": 1}


def test_a_closed_app_answers_as_if_its_database_were_down(database: str) -> None:
    app = App(database)
    app.close()
    app.close()

    assert app("GET", "/v2/queues/q/jobs", {}, b"").status == 500
    assert app("GET", "/health", {}, b"").status == 200


def test_a_bug_is_logged_and_answered_with_500(caplog: pytest.LogCaptureFixture) -> None:
    moments = iter([datetime(2030, 1, 1, tzinfo=UTC)])

    with App(clock=lambda: next(moments)) as app:
        assert app("GET", "/v2/queues/q/jobs", {}, b"").status == 500
        assert app("GET", "/health", {}, b"").status == 200

    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_naive_clock_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="offset-naive"):
        App(clock=lambda: datetime(2030, 1, 1))  # noqa: DTZ001  that is the mistake
