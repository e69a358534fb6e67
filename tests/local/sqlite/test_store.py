import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from functools import reduce
from operator import and_, or_
from pathlib import Path
from uuid import RFC_4122, UUID

import pytest

from relay_sdk.local import run_ids
from relay_sdk.local.database import open_database
from relay_sdk.local.exceptions import JobExistsError
from relay_sdk.local.operations import Claim, Claimed, Enqueue, NewJob
from relay_sdk.local.sqlite.sql import DROP_EXPIRED, REQUEUE_EXPIRED, SELECT_READY
from relay_sdk.local.sqlite.store import SqliteStore


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def job(key: str, *, queue: str = "q", run_at: int = 0) -> NewJob:
    return NewJob(queue, key, 30, None, "1", None, run_at)


def keys(store: SqliteStore) -> list[str]:
    return [key for (key,) in store.connection.execute("SELECT id FROM jobs ORDER BY rowid")]


def plan(store: SqliteStore, statement: str, *parameters: object) -> str:
    rows = store.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    return "; ".join(row[3] for row in rows)


def test_finding_ready_jobs_reads_one_range_of_their_index(store: SqliteStore) -> None:
    assert plan(store, SELECT_READY, "q", 0, 1) == (
        "SEARCH jobs USING INDEX jobs_ready (queue=? AND run_at<?)"
    )


@pytest.mark.parametrize("statement", [DROP_EXPIRED, REQUEUE_EXPIRED])
def test_reaping_reads_only_leases_that_are_over(store: SqliteStore, statement: str) -> None:
    assert "jobs_leased (expires_at<?)" in plan(store, statement, 0, 1)


def test_an_empty_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA application_id = 7")
    with pytest.raises(ValueError, match="database of another program"):
        SqliteStore(path)


def test_a_claim_reports_when_the_first_remaining_job_is_due(store: SqliteStore) -> None:
    store.enqueue([job("a", run_at=1), job("b", run_at=2), job("c", run_at=9)], "unique", 0)
    for limit, left in ((1, 2), (1, 9), (1, 9)):
        (claimed,) = store.perform([Claim("q", limit, find_left=True)], 5)
        assert isinstance(claimed, Claimed)
        assert claimed.left == left
    (claimed,) = store.perform([Claim("empty", 1, find_left=True)], 5)
    assert claimed == Claimed([], None)


def test_an_idle_poll_costs_the_same_with_many_scheduled_jobs_and_leases(
    store: SqliteStore,
) -> None:
    def steps(store: SqliteStore) -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        store.connection.set_progress_handler(step, 1)
        assert store.claim("q", 10, now=10) == []
        assert store.reap(now=10) == ([], [], True)
        store.connection.set_progress_handler(None, 0)
        return count

    alone = steps(store)
    with store.transaction():
        store.enqueue((job(f"ready-{n}") for n in range(1000)), "unique", 0)
        store.claim("q", 1000, now=0)
        store.enqueue((job(f"later-{n}", run_at=100) for n in range(10_000)), "unique", 0)
        store.enqueue((job(f"other-{n}", queue="r") for n in range(1000)), "unique", 0)

    assert steps(store) - alone < 20


def test_equal_run_at_is_served_in_the_order_of_arrival(store: SqliteStore) -> None:
    store.enqueue([job("b"), job("a"), job("c", run_at=-1)], "unique", 0)

    assert [job.id for job in store.claim("q", 10, now=0)] == ["c", "b", "a"]


def test_a_replaced_job_comes_after_older_jobs(store: SqliteStore) -> None:
    store.enqueue([job("d", run_at=-5), job("e")], "unique", 0)

    store.enqueue([job("c"), job("d")], "replace", 0)

    assert [job.id for job in store.claim("q", 10, now=0)] == ["e", "c", "d"]


def test_a_claim_ends_when_it_is_large(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay_sdk.local.sqlite.store.MAX_CLAIM_CHARACTERS", 1000)
    store.enqueue([job(str(n))._replace(payload=f'"{"x" * 400}"') for n in range(9)], "unique", 0)

    assert [len(store.claim("q", 100, now=0)) for _ in range(4)] == [3, 3, 3, 0]


def test_reaping_ends_at_a_limit(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay_sdk.local.sqlite.store.REAP_LIMIT", 2)
    store.enqueue([job(f"a{n}")._replace(max_retries=0) for n in range(3)], "unique", 0)
    store.enqueue([job(f"b{n}") for n in range(3)], "unique", 0)
    store.claim("q", 10, now=0)

    looks = [store.reap(10**9) for _ in range(4)]

    assert [(len(look.dropped), len(look.requeued)) for look in looks] == [
        (2, 0),
        (1, 2),
        (0, 1),
        (0, 0),
    ]
    assert [look.complete for look in looks] == [False, False, True, True]


@pytest.mark.parametrize("now", [0, 1_900_000_000_123_999])
def test_run_ids_begin_with_the_time_and_are_random_otherwise(database: str, now: int) -> None:
    with closing(open_database(database)) as store:
        store.perform([Enqueue([job(str(n)) for n in range(100)], "unique")], now)
        (claimed,) = store.perform([Claim("q", 100)], now)
    assert isinstance(claimed, Claimed)
    texts = {job.run_id for job in claimed.jobs}
    ids = [UUID(text) for text in texts if text]

    assert len(ids) == 100
    assert {str(id) for id in ids} == texts
    assert {(id.version, id.variant) for id in ids} == {(7, RFC_4122)}
    assert {id.int >> 80 for id in ids} == {now // 1000}
    assert {run_ids.start_time(str(id)) for id in ids} == {now // 1000 * 1000}
    # Each of the other bits is set in some and not in others.
    others = 0xFFF << 64 | (1 << 62) - 1
    assert reduce(or_, (id.int for id in ids)) & others == others
    assert reduce(and_, (id.int for id in ids)) & others == 0


def test_a_run_that_began_before_1970_has_an_id_too() -> None:
    assert run_ids.new_run_id(-1).startswith("00000000-0000-7")


@pytest.mark.skipif(os.name != "posix", reason="needs modes of files")
def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "relay.db")
    store.enqueue([job("a")], "unique", 0)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    store.close()

    assert modes == dict.fromkeys(("relay.db", "relay.db-wal", "relay.db-shm"), 0o600)


def test_an_inner_transaction_fails_alone(store: SqliteStore) -> None:
    store.enqueue([job("there")], "unique", 0)

    with store.transaction():
        store.enqueue([job("before")], "unique", 0)
        with pytest.raises(JobExistsError), store.transaction():
            store.enqueue([job("lost"), job("there")], "unique", 0)
        store.enqueue([job("after")], "unique", 0)

    assert keys(store) == ["there", "before", "after"]


def test_an_outer_transaction_takes_its_inner_ones_along(store: SqliteStore) -> None:
    def fail_after_an_inner_one() -> None:
        with store.transaction():
            with store.transaction():
                store.enqueue([job("lost")], "unique", 0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_an_inner_one()

    assert keys(store) == []


def test_a_full_disk_inside_loses_the_transaction_and_not_the_store(store: SqliteStore) -> None:
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    with pytest.raises(sqlite3.Error, match="full"), store.transaction(), store.transaction():
        store.enqueue([job("big")._replace(payload=f'"{"x" * 100_000}"')], "unique", 0)

    store.enqueue([job("small")], "unique", 0)
    assert keys(store) == ["small"]


def test_an_enqueue_is_synced_before_it_is_done(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "relay.db")

    assert store.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    store.close()


def test_closing_leaves_one_file_that_holds_the_jobs(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "relay.db")
    store.enqueue([job("a")], "unique", 0)
    store.close()

    assert [path.name for path in tmp_path.iterdir()] == ["relay.db"]
    store = SqliteStore(tmp_path / "relay.db")
    assert keys(store) == ["a"]
    store.close()


def test_a_database_in_a_missing_folder_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot open the database .*relay\.db"):
        SqliteStore(tmp_path / "missing" / "relay.db")


def test_a_nameless_database_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a file name"):
        SqliteStore("")


def test_a_file_of_another_kind_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be looked at" * 100)
    before = path.read_bytes()

    with pytest.raises(ValueError, match=r"notes\.txt is not an SQLite database"):
        SqliteStore(path)

    assert path.read_bytes() == before


def test_the_database_of_another_program_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE jobs (name TEXT)")
    other.close()
    before = path.read_bytes()

    with pytest.raises(ValueError, match=r"other\.db is the database of another program"):
        SqliteStore(path)

    assert path.read_bytes() == before


def test_a_database_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    store = SqliteStore(path)
    store.connection.execute("PRAGMA user_version = 99")
    store.close()

    with pytest.raises(ValueError, match="has format 99"):
        SqliteStore(path)
