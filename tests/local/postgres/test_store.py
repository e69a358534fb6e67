import json
import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from relay_sdk.local import App, run_ids
from relay_sdk.local.exceptions import BackendError, JobExistsError
from relay_sdk.local.operations import (
    Claim,
    Claimed,
    Enqueue,
    Exists,
    Get,
    Heartbeat,
    NewJob,
    Remove,
    Requeue,
)
from relay_sdk.local.postgres import open_store, sql
from relay_sdk.local.postgres.listener import NotificationListener
from relay_sdk.local.postgres.store import PostgresStore

NOW = 1_900_000_000_000_000

# As `relay` v0.2.0 leaves it, in its order of columns.
OF_RELAY = """
CREATE TABLE _relay_rs_migrations (name varchar PRIMARY KEY, applied_at timestamp NOT NULL);
INSERT INTO _relay_rs_migrations VALUES
    ('1678464484380_initialize.sql', now()), ('1697429987001_v2.sql', now());
CREATE TABLE internal_state (id varchar PRIMARY KEY, last_run timestamp NOT NULL);
INSERT INTO internal_state VALUES ('reap', now());
CREATE TABLE jobs (
    id varchar(1024) NOT NULL, queue varchar(1024) NOT NULL, timeout interval NOT NULL,
    max_retries smallint, retries_remaining smallint, data jsonb NOT NULL, state jsonb,
    in_flight boolean DEFAULT false, expires_at timestamp, updated_at timestamp NOT NULL,
    created_at timestamp NOT NULL, run_at timestamp NOT NULL, run_id uuid,
    PRIMARY KEY (queue, id));
CREATE INDEX idx_queue_in_flight_created_at ON jobs (queue, in_flight, run_at);
CREATE INDEX idx_queue_expires_remain ON jobs (in_flight, expires_at, retries_remaining);
"""


@pytest.fixture
def schema(postgres_url: str) -> Iterator[str]:
    """The URL of an empty schema."""
    name = f"s{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE SCHEMA {}").format(Identifier(name)))
        yield f"{postgres_url}{'&' if '?' in postgres_url else '?'}options=-csearch_path%3D{name}"
        admin.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(name)))


@pytest.fixture
def store(postgres: str) -> Iterator[PostgresStore]:
    with opened(postgres) as store:
        yield store


@contextmanager
def opened(url: str) -> Iterator[PostgresStore]:
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def job(id: str, *, queue: str = "q", run_at: int = NOW, payload: str = "1") -> NewJob:
    return NewJob(queue, id, 30, None, payload, None, run_at)


def shape(url: str) -> list[tuple[object, ...]]:
    """Return the contents of a schema, without the order of columns."""
    with psycopg.connect(url) as reader:
        columns = reader.execute(
            "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, "
            "column_default FROM information_schema.columns WHERE table_schema = current_schema() "
            "ORDER BY 1, 2"
        ).fetchall()
        indices = reader.execute(
            "SELECT indexname, replace(indexdef, current_schema(), '') FROM pg_indexes "
            "WHERE schemaname = current_schema() ORDER BY 1"
        ).fetchall()
        rows = reader.execute("SELECT name FROM _relay_rs_migrations ORDER BY 1").fetchall()
        return [*columns, *indices, *rows, *reader.execute("SELECT id FROM internal_state")]


def run(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements.encode())


def test_an_empty_database_gets_the_tables_of_relay(schema: str, postgres_url: str) -> None:
    with opened(schema):
        created = shape(schema)
    run(schema, "DROP TABLE jobs, internal_state, _relay_rs_migrations")
    run(schema, OF_RELAY)

    assert created == shape(schema)


def test_relays_own_tables_are_taken_as_they_are(schema: str) -> None:
    run(schema, OF_RELAY)
    run(
        schema,
        "INSERT INTO jobs VALUES ('a', 'q', '30 seconds', 3, 2, '{\"n\": 1.50}', NULL, false, "
        "NULL, '2022-09-05', '2022-09-05', '2022-09-05 04:37:23.5', NULL)",
    )
    before = shape(schema)

    with opened(schema) as store:
        [([found], _)] = store.perform([Claim("q", 9)], NOW)
    assert found._replace(run_id=None) == (
        "q", "a", 30, 3, 2, '{"n": 1.50}', None, None, NOW + 30_000_000,
        1_662_352_643_500_000, NOW, 1_662_336_000_000_000,
    )  # fmt: skip
    assert shape(schema) == before


def test_tables_that_are_not_relays_are_refused_untouched(schema: str) -> None:
    run(schema, "CREATE TABLE jobs (name text); CREATE TABLE users (name text)")

    with pytest.raises(ValueError, match=r"database '.*' at '.*' is that of another program") as e:
        open_store(schema)

    assert "\n" not in str(e.value)
    with psycopg.connect(schema) as reader:
        tables = reader.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        )
        assert tables.fetchone() == (2,)


def test_tables_of_an_older_relay_are_refused(schema: str) -> None:
    run(schema, OF_RELAY)
    run(schema, "DELETE FROM _relay_rs_migrations WHERE name LIKE '%v2.sql'")

    with pytest.raises(ValueError, match=r"another Relay than 0\.2"):
        open_store(schema)


def test_servers_that_start_together_create_the_tables_once(schema: str) -> None:
    barrier = threading.Barrier(4)

    def start(_: int) -> None:
        barrier.wait()
        with opened(schema):
            pass

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(start, range(4)))


def test_no_superuser_is_needed(schema: str, caplog: pytest.LogCaptureFixture) -> None:
    role = f"r{uuid4().hex}"
    run(schema, f"CREATE ROLE {role}")
    name = schema.rpartition("%3D")[2]
    run(schema, f"GRANT ALL ON SCHEMA {name} TO {role}")
    as_role = f"{schema}%20-crole%3D{role}"

    # With the extension already there, asking for it needs no right either.
    run(schema, 'DROP EXTENSION IF EXISTS "uuid-ossp"')
    with caplog.at_level(logging.INFO, "relay_sdk.local"), opened(as_role) as store:
        assert store.perform([Enqueue([job("a")], "unique"), Exists("q", "a")], NOW) == [None, True]
    run(schema, f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert "Cannot create the extension uuid-ossp" in caplog.text


def test_times_are_utc_in_any_time_zone_of_the_database(
    schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    abroad = f"{schema}%20-cTimeZone%3DAmerica/New_York"

    with App(abroad) as app:
        body = b'[{"queue": "q", "id": "a", "timeout": 30, "payload": 1}]'
        app("POST", "/v2/queues/jobs", {"content-type": "application/json"}, body)
        with psycopg.connect(schema) as reader:
            row = reader.execute("SELECT run_at FROM jobs").fetchone()
        assert app("GET", "/v2/queues/q/jobs", {}, b"").status == 200

    assert row
    assert abs((row[0].replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()) < 60
    assert "TimeZone America/New_York" in caplog.text


@pytest.mark.parametrize("ahead", [0, 10])
def test_a_slow_clock_response_does_not_set_the_clock_back(
    postgres: str, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    clock = f"{sql.CLOCK} + interval '{ahead} s'"
    monkeypatch.setattr(sql, "CLOCK", clock)
    with opened(postgres) as store:
        monkeypatch.setattr(sql, "CLOCK", f"{clock}, pg_sleep(0.6)")
        store._read_clock(store._connected())
        gone = store.clock() - time.time_ns() // 1000 - ahead * 1_000_000
        assert -200_000 < gone < 200_000  # not half of what it was late


@pytest.mark.parametrize("setting", ["synchronous_commit", "fsync"])
def test_settings_that_can_lose_jobs_are_logged(
    schema: str, setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    if setting == "fsync":
        with psycopg.connect(schema) as reader:
            if reader.execute("SHOW fsync").fetchone() != ("off",):
                pytest.skip("this database has it on")

    with opened(f"{schema}%20-csynchronous_commit%3Doff"):
        pass

    assert f"has {setting} off" in caplog.text


SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://relay:{SECRET}@127.0.0.1:1/relay",
        f"postgresql://relay:{SECRET}@127.0.0.1:1/relay?sslmode=never",
        f"postgresql://relay:{SECRET}@127.0.0.1:1/relay?nonsense=1",
        f"postgresql://relay:{SECRET}%zz@127.0.0.1:1/relay",
        f"postgresql://127.0.0.1:1/relay?user=relay&password={SECRET}",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    with pytest.raises((OSError, ValueError)) as error:
        App(url)

    assert "PostgreSQL" in str(error.value) or "postgresql://" in str(error.value)
    shown = f"{error.value!r} {error.value} {error.value.__cause__!r}"
    assert SECRET not in shown
    assert "\n" not in str(error.value)


def test_help_does_not_show_the_database_of_the_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relay_sdk.local", "--help"],
        env={
            "DATABASE_URL": f"postgresql://u:{SECRET}@h/d",
            "RELAY_DB": f"postgres://u:{SECRET}@h",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert SECRET not in done.stdout + done.stderr


def test_the_database_of_the_environment_is_used(schema: str) -> None:
    for name in ("DATABASE_URL", "RELAY_DB"):
        done = subprocess.run(
            [sys.executable, "-m", "relay_sdk.local", "--port", "70000"],
            env={name: "postgresql://127.0.0.1:1/relay"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    with psycopg.connect(schema):
        pass


def test_without_psycopg_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from relay_sdk.local import App\n"
        "try: App('postgresql://127.0.0.1/relay')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == (
        "a PostgreSQL database needs psycopg: pip install 'relay-job-sdk[postgres]'\n"
    )


def test_psycopg_is_not_imported_for_sqlite() -> None:
    code = "import sys; from relay_sdk.local import App; App().close(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "psycopg" not in done.stdout.split()


def test_each_kind_of_operation_in_a_batch_is_one_statement(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    execute = psycopg.Connection.execute

    def noting(self: psycopg.Connection, query: str, *rest: object, **more: object) -> object:
        sent.append(query.split()[0])
        return execute(self, query, *rest, **more)

    store._plans_end = float("inf")
    monkeypatch.setattr(psycopg.Connection, "execute", noting)

    outcomes = store.perform(
        [Enqueue([job(str(n % 50))], "unique") for n in range(100)]
        + [Enqueue([job(f"b{n}"), job(f"b{n + 1}")], "ignore") for n in range(10)]
        + [Remove("q", str(n), str(uuid4())) for n in range(10)]
        + [Claim("q", 5) for _ in range(10)],
        NOW,
    )

    assert sent == ["BEGIN", "DELETE", "INSERT", "INSERT", "WITH", "SELECT", "COMMIT"]
    assert sum(isinstance(outcome, JobExistsError) for outcome in outcomes) == 50
    claims = [outcome for outcome in outcomes if isinstance(outcome, Claimed)]
    assert [len(claimed.jobs) for claimed in claims] == [5] * 10
    ids = {job.id for claimed in claims for job in claimed.jobs}
    assert len(ids) == 50


def test_a_job_that_cannot_be_stored_fails_alone(store: PostgresStore) -> None:
    # Too large for an index, whatever its compression: only PostgreSQL can tell.
    long = "".join(chr(0x4E00 + n * n * 31 % 20_000) for n in range(1000))
    there, large, new = job("there"), job(long, queue=long[::-1]), job("new")

    outcomes = store.perform(
        [
            Enqueue([there], "unique"),
            Enqueue([large], "unique"),
            Enqueue([job("lost"), large], "unique"),
            Enqueue([new], "unique"),
            Enqueue([job("also lost"), there], "unique"),
        ],
        NOW,
    )

    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [type(None), BackendError, BackendError, type(None), JobExistsError]
    assert store.perform(
        [Exists("q", id) for id in ("there", "lost", "new", "also lost")], NOW
    ) == [True, False, True, False]


def test_an_undone_operation_does_not_affect_later_ones(store: PostgresStore) -> None:
    store.perform([Enqueue([job("a")], "unique")], NOW)
    for n in range(10):
        outcomes = store.perform(
            [
                Enqueue([job(f"{n}-1"), job("a")], "unique"),
                Enqueue([job(f"{n}-2")], "unique"),
                Requeue(Remove("q", "x", str(uuid4())), Enqueue([job("a")], "unique")),
                Exists("q", f"{n}-2"),
            ],
            NOW,
        )
        assert isinstance(outcomes[0], JobExistsError)
        assert outcomes[1:] == [None, False, True]
        assert store.perform([Exists("q", f"{n}-1"), Exists("q", f"{n}-2")], NOW) == [False, True]


def test_two_heartbeats_of_one_job_in_a_batch_both_succeed(store: PostgresStore) -> None:
    store.perform([Enqueue([job("a")], "unique")], NOW)
    [([claimed], _)] = store.perform([Claim("q", 1)], NOW)

    beats = [Heartbeat("q", "a", claimed.run_id, str(n)) for n in range(3)]
    stranger = Heartbeat("q", "a", str(uuid4()), "9")
    assert store.perform([*beats, stranger, Get("q", "a")], NOW)[:4] == [True] * 3 + [False]

    [found] = store.perform([Get("q", "a")], NOW)
    assert isinstance(found, tuple)
    assert found.state == "2"


def test_claims_of_one_queue_share_the_ready_jobs_in_order(store: PostgresStore) -> None:
    store.perform([Enqueue([job(str(n), run_at=NOW - n) for n in range(5)], "unique")], NOW)

    outcomes = store.perform([Claim("q", 2), Claim("other", 1), Claim("q", 2**63 - 1)], NOW)

    assert [[each.id for each in jobs] for jobs, _ in outcomes] == [["4", "3"], [], ["2", "1", "0"]]


@pytest.mark.parametrize(
    "text", ['a"b', "a\\b", "{}", "a,b", "NULL", "null", "", " ", "%s", "ä\t\n'"]
)
def test_any_text_is_stored_unchanged(store: PostgresStore, text: str) -> None:
    store.perform([Enqueue([job(text, queue=text)], "unique")], NOW)

    [found] = store.perform([Get(text, text)], NOW)

    assert isinstance(found, tuple)
    assert found[:2] == (text, text)


@pytest.mark.parametrize("run_at", ["0044-01-01 BC", "10000-01-01", "0001-01-01"])
def test_times_that_only_relay_stores_are_formatted(postgres: str, run_at: str) -> None:
    with App(postgres) as app:
        run(
            postgres,
            "INSERT INTO jobs (queue, id, timeout, data, updated_at, created_at, run_at) "
            f"VALUES ('q', 'a', '30 s', '1', '2022-09-05', '2022-09-05', '{run_at}')",
        )
        body = app("GET", "/v2/queues/q/jobs/a", {}, b"").body.decode()

    expected = {"0044-01-01 BC": "-0043", "10000-01-01": "+10000", "0001-01-01": "0001"}[run_at]
    assert f'"run_at":"{expected}-01-01T00:00:00Z"' in body


@pytest.fixture
def without_statistics(schema: str) -> Iterator[PostgresStore]:
    """A store on new tables that autovacuum leaves alone.

    The tables of the other tests are emptied and used again. Autovacuum collects statistics of them
    at any time, also while they are empty, and the planner then prefers other indexes.
    """
    with opened(schema) as store:
        run(schema, "ALTER TABLE jobs SET (autovacuum_enabled = false)")
        yield store


@pytest.mark.parametrize("jobs", [0, 5000])
@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("CLAIM", "idx_queue_in_flight_created_at"),
        ("DROP_EXPIRED", "idx_queue_expires_remain"),
        ("REQUEUE_EXPIRED", "idx_queue_expires_remain"),
    ],
)
def test_plans_made_for_an_empty_table_are_right_for_a_full_one(
    without_statistics: PostgresStore, name: str, index: str, jobs: int
) -> None:
    fill(without_statistics.url, jobs)

    plan = explain(without_statistics, getattr(sql, name))

    assert plan.count("Index Scan") == plan.count(f"Index Scan using {index}") == 1
    assert "Tid Scan" in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("name", ["REMOVE", "EXISTS", "GET", "HEARTBEAT", "RESCHEDULE"])
def test_a_job_is_found_by_its_key(without_statistics: PostgresStore, name: str) -> None:
    fill(without_statistics.url, 5000)

    plan = explain(without_statistics, getattr(sql, name))

    assert "Index Scan using jobs_pkey" in plan or "Index Only Scan using jobs_pkey" in plan
    assert "idx_queue" not in plan


def test_plans_made_for_an_empty_table_are_forgotten(
    without_statistics: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk.local.postgres.store.PLAN_LIFETIME", 0.0)
    store = without_statistics
    before = read_by_queue(store)

    for _ in range(10):
        store.perform([Remove("q", "1", str(uuid4()))], NOW)
    fill(store.url, 5000)
    store.perform([Remove("q", "1", str(uuid4()))], NOW)

    assert read_by_queue(store) - before < 1000


def read_by_queue(store: PostgresStore) -> int:
    """Return how many entries were read of the index that does not have the ids."""
    assert store._open
    if store._open.info.server_version < 150_000:
        pytest.skip("its statistics come late")
    store._open.execute("SELECT pg_stat_force_next_flush()").fetchall()
    row = store._open.execute(
        "SELECT idx_tup_read FROM pg_stat_user_indexes "
        "WHERE indexrelname = 'idx_queue_in_flight_created_at' "
        "AND schemaname = current_schema()"
    ).fetchone()
    assert row
    return int(row[0])


def fill(url: str, jobs: int) -> None:
    run(
        url,
        "INSERT INTO jobs (queue, id, timeout, data, updated_at, created_at, run_at) SELECT 'q', "
        f"n, '30 s', '1', now(), now(), now() FROM generate_series(1, {jobs}) AS n",
    )


def explain(store: PostgresStore, statement: str) -> str:
    parameters = sql.new_jobs([job("a")], NOW) | sql.keys([("q", "a", None)])
    parameters |= {"limits": "{1}", "most": 1, "size": 1, "beginning": run_ids.time_prefix(NOW)}
    assert store._open
    rows = store._open.execute(f"EXPLAIN {statement}".encode(), parameters).fetchall()
    return "\n".join(line for (line,) in rows)


def test_only_one_server_reaps_in_an_interval(postgres: str) -> None:
    with opened(postgres) as first, opened(postgres) as second:
        once = NewJob("q", "a", 0, 0, "1", None, NOW)
        first.perform([Enqueue([once], "unique"), Claim("q", 1)], NOW)

        assert first.reap(NOW + 5_000_000, 5_000_000).dropped == [("q", "a")]
        first.perform([Enqueue([once], "unique"), Claim("q", 1)], NOW)
        assert second.reap(NOW + 9_999_999, 5_000_000).dropped == []
        assert second.reap(NOW + 10_000_000, 5_000_000).dropped == [("q", "a")]


def test_a_reaper_of_the_future_does_not_stop_the_others(postgres: str) -> None:
    with opened(postgres) as store:
        store.perform(
            [Enqueue([NewJob("q", "a", 0, 0, "1", None, NOW)], "unique"), Claim("q", 1)], NOW
        )
        run(postgres, "UPDATE internal_state SET last_run = '2999-01-01'")

        assert store.reap(NOW + 1, 5_000_000).dropped == [("q", "a")]


def test_more_jobs_than_one_transaction_takes_are_all_reaped(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk.local.postgres.store.REAP_LIMIT", 10)
    monkeypatch.setattr("relay_sdk.local.postgres.store.REAP_TIME_LIMIT", 30)
    with opened(postgres) as store:
        jobs = [NewJob("q", str(n), 0, n % 2, "1", None, NOW) for n in range(50)]
        store.perform([Enqueue(jobs, "unique"), Claim("q", 50)], NOW)

        reaped = store.reap(NOW + 1, 1)
        assert (len(reaped.dropped), len(reaped.requeued)) == (25, 25)
        [(back, _)] = store.perform([Claim("q", 50)], NOW + 1)
        assert len(back) == 25


def test_every_server_is_notified_of_jobs_that_another_stored(postgres: str) -> None:
    heard: list[tuple[str | None, int]] = []
    news = threading.Condition()

    def note(queue: str | None, run_at: int) -> None:
        with news:
            heard.append((queue, run_at))
            news.notify()

    def wait(count: int) -> None:
        with news:
            assert news.wait_for(lambda: len(heard) >= count, timeout=20)

    listener = NotificationListener(postgres, note)
    try:
        wait(1)
        with opened(postgres) as store:
            jobs = [job("a", queue="ä 1", run_at=NOW + 7), job("b", queue="ä 1", run_at=NOW + 5)]
            store.perform([Enqueue(jobs, "unique")], NOW)
            wait(2)
            store.perform([Enqueue([job("c", run_at=0)], "replace")], NOW)
            wait(3)
    finally:
        listener.close()

    assert heard == [(None, 0), ("ä 1", NOW + 5), ("q", NOW)]


def test_a_server_ignores_its_own_notifications(postgres: str) -> None:
    heard: queue.SimpleQueue[tuple[str | None, int]] = queue.SimpleQueue()
    with opened(postgres) as own, opened(postgres) as other:
        listener = own.listen(lambda queue, run_at: heard.put((queue, run_at)))
        try:
            assert heard.get(timeout=20) == (None, 0)
            own.perform([Enqueue([job("a")], "unique")], NOW)
            other.perform([Enqueue([job("b", queue="other")], "unique")], NOW)
            assert heard.get(timeout=20) == ("other", NOW)
        finally:
            listener.close()


def test_a_large_claim_ends_early_and_reports_that_jobs_are_left(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk.local.postgres.statements.MAX_CLAIM_BYTES", 1000)
    large = json.dumps("x" * 600)  # which is compressed where it is stored
    store.perform(
        [Enqueue([NewJob("q", str(n), 30, None, large, None, n) for n in range(5)], "unique")], NOW
    )

    sizes = []
    left = []
    for _ in range(3):
        [claimed] = store.perform([Claim("q", 5, find_left=True)], NOW)
        assert isinstance(claimed, Claimed)
        sizes.append(len(claimed.jobs))
        left.append(claimed.left)

    assert (sizes, left) == ([2, 2, 1], [2, 4, None])


def test_a_claim_reports_when_the_first_remaining_job_is_due(store: PostgresStore) -> None:
    moments = {"now": NOW, "soon": NOW + 5, "later": NOW + 9}
    store.perform([Enqueue([job(id, run_at=at) for id, at in moments.items()], "unique")], NOW)

    claims = [Claim("q", 0, find_left=True), Claim("other", 1, find_left=True)]
    assert store.perform(claims, NOW) == [([], NOW), ([], None)]
    [one, two] = store.perform([Claim("q", 1, find_left=True) for _ in range(2)], NOW)

    assert isinstance(one, Claimed)
    assert ([each.id for each in one.jobs], one.left) == (["now"], NOW + 5)
    assert two == ([], NOW + 5)


def test_a_locked_job_is_not_reported_as_left(store: PostgresStore, postgres: str) -> None:
    store.perform([Enqueue([job("a"), job("b", run_at=NOW + 5)], "unique")], NOW)
    with psycopg.connect(postgres) as other:
        other.execute("SELECT FROM jobs WHERE id = 'a' FOR UPDATE")

        assert store.perform([Claim("q", 1, find_left=True)], NOW) == [([], NOW + 5)]
