from contextlib import closing
from pathlib import Path

import pytest

from relay_sdk.local import App, migration_store
from relay_sdk.local.migration import migrate, open_migration_store
from relay_sdk.local.migration_store import JobConflictError, MigrationStore
from relay_sdk.local.operations import Claim, Enqueue, NewJob
from relay_sdk.local.sqlite.migration import SqliteMigrationStore
from relay_sdk.local.sqlite.store import SqliteStore

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


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'other.db'}"
    url: str = request.getfixturevalue("postgres")
    return url


def moved(source: str, target: str) -> int:
    with (
        closing(open_migration_store(source, is_source=True)) as here,
        closing(open_migration_store(target)) as there,
    ):
        shown: list[int] = []
        assert here.count() == migrate(here, there, shown.append)
        return sum(shown)


def test_all_jobs_arrive_as_they_were_and_come_back(file: str, target: str) -> None:
    before = rows(file)

    assert moved(file, target) == 50
    assert (rows(file), rows(target)) == ([], before)
    assert moved(target, file) == 50
    assert (rows(file), rows(target)) == (before, [])
    assert moved(target, file) == 0


def test_a_batch_of_large_jobs_has_few(
    file: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_store, "MAX_BATCH_CHARACTERS", 20)
    with closing(open_migration_store(file)) as side:
        assert len(side.first()) == 3

    assert moved(file, target) == 50


@pytest.mark.parametrize("step", ["put", "delete"])
def test_an_interrupted_migration_can_be_continued(
    file: str, target: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_store, "MAX_BATCH_JOBS", 7)
    before = rows_of_all(file)
    calls = 0

    class EndedError(Exception):
        pass

    for crash in range(1, 20):
        here, to = open_migration_store(file, is_source=True), open_migration_store(target)
        ends: MigrationStore = here if step == "delete" else to
        method = getattr(ends, step)

        def end(*arguments: object, method: object = method, crash: int = crash) -> object:
            nonlocal calls
            calls += 1
            if calls % 3 == 2:
                raise EndedError
            return method(*arguments)  # type: ignore[operator]

        setattr(ends, step, end)
        try:
            migrate(here, to, lambda _: None)
        except EndedError:
            continue
        else:
            break
        finally:
            here.close()
            to.close()

    assert calls > 8
    assert rows_of_all(target) == before
    assert rows_of_all(file) == []


def rows_of_all(place: str) -> list[object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migration_store, "MAX_BATCH_JOBS", 1000)
        return rows(place)


def test_a_job_in_both_databases_is_kept_in_both(file: str, target: str) -> None:
    before = rows(file)
    moved(file, target)
    store = SqliteStore(file.removeprefix("sqlite:"))
    store.perform([Enqueue([NEW[3]], "unique")], NOW)
    store.close()

    with pytest.raises(JobConflictError, match="job 'job 3' of queue 'q'"):
        moved(file, target)

    assert (len(rows(file)), rows(target)) == (1, before)


def test_a_database_in_use_may_be_the_target_but_not_the_source(file: str, postgres: str) -> None:
    with App(postgres):
        assert moved(file, postgres) == 50
        with pytest.raises(OSError, match="is in use: stop its servers first"):
            moved(postgres, file)


def test_no_server_starts_on_a_file_during_a_migration(file: str) -> None:
    here = SqliteMigrationStore(file.removeprefix("sqlite:"))
    try:
        with pytest.raises(OSError, match="locked"):
            SqliteStore(file.removeprefix("sqlite:"), busy_timeout=0.1)
    finally:
        here.close()
