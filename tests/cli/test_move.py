import sqlite3
from pathlib import Path

import psycopg
import pytest

from relay_sdk.local import LocalServer
from relay_sdk.local.migration import open_migration_store
from relay_sdk.local.operations import Claim, Enqueue, NewJob
from relay_sdk.local.sqlite.store import SqliteStore

from .conftest import Run

NOW = 1_900_000_000_000_000
NEW = [
    NewJob("q", f"job {n}", n, n % 3 or None, f'{{"n": {n}}}', "[1]" if n % 2 else None, NOW + n)
    for n in range(50)
]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """An SQLite file with jobs, some of them running."""
    store = SqliteStore(tmp_path / "relay.db")
    store.perform([Enqueue(NEW, "unique"), Claim("q", 10)], NOW + 20)
    store.close()
    return f"sqlite:{tmp_path / 'relay.db'}"


def rows(place: str) -> list[object]:
    side = open_migration_store(place)
    try:
        return list(side.first())
    finally:
        side.close()


def tables(place: str) -> set[str]:
    if place.startswith("sqlite:"):
        with sqlite3.connect(place.removeprefix("sqlite:")) as reader:
            found = {name for (name,) in reader.execute("SELECT name FROM sqlite_schema")}
        reader.close()
        return found
    with psycopg.connect(place) as connection:
        return {name for (name,) in connection.execute("SELECT relname FROM pg_class")}


def test_all_jobs_are_moved_there_and_back_as_they_were(
    offline: Run, file: str, postgres: str
) -> None:
    before = rows(file)

    there = offline("move", file, postgres)
    assert (there.exit_code, there.stdout) == (0, "")
    assert there.stderr.startswith("relay-sdk: moved 50 jobs to the PostgreSQL database ")
    assert rows(file) == []
    assert rows(postgres) == before
    assert offline("move", postgres, file).exit_code == 0

    assert rows(file) == before
    assert rows(postgres) == []
    assert "moved" not in tables(file)
    assert "relay_sdk_moved" not in tables(postgres)


def test_a_job_that_is_on_both_sides_is_named_and_kept(
    offline: Run, file: str, postgres: str
) -> None:
    before = rows(file)
    assert offline("move", file, postgres).exit_code == 0
    store = SqliteStore(file.removeprefix("sqlite:"))
    store.perform([Enqueue([NEW[3]], "unique")], NOW)
    store.close()

    done = offline("move", file, postgres)

    assert (done.exit_code, len(rows(file))) == (1, 1)
    assert "job 'job 3' of queue 'q' is in the PostgreSQL database" in done.stderr
    assert rows(postgres) == before


def test_a_file_that_a_server_has_open_is_refused(offline: Run, file: str, postgres: str) -> None:
    with LocalServer(file.removeprefix("sqlite:")):
        done = offline("move", file, postgres)

    assert done.exit_code == 2
    assert "is in use" in done.stderr
    assert "without stopping, start a server on the other" in " ".join(done.stderr.split())
    assert len(rows(file)) == 50


def test_a_database_that_a_server_has_open_is_refused(
    offline: Run, file: str, postgres: str
) -> None:
    with LocalServer(postgres):
        done = offline("move", postgres, file)

    assert done.exit_code == 2
    assert "is in use: stop its servers first" in done.stderr


@pytest.mark.parametrize("place", ["relay.db", "sqlite:", "mysql://x", "", "sqlite:missing/x.db"])
def test_an_invalid_database_is_refused(offline: Run, place: str, file: str) -> None:
    done = offline("move", place, file)

    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1


def test_a_source_that_is_missing_is_not_made(offline: Run, file: str, tmp_path: Path) -> None:
    assert offline("move", "sqlite:typo.db", file).exit_code == 2
    assert not (tmp_path / "typo.db").exists()


def test_a_database_is_not_moved_to_itself(offline: Run, file: str) -> None:
    assert offline("move", file, file).exit_code == 2
    assert len(rows(file)) == 50
