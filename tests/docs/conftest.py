"""Fixtures for the blocks of the pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_sdk.local import LocalServer

from .shell import make_programs


@pytest.fixture
def database(postgres_url: str, worker_id: str) -> Iterator[tuple[str, str]]:
    """Yield the URL of a database, and a name for what sql blocks create; drop both."""
    import psycopg

    name, made = f"relay_docs_{worker_id}", f"relay_made_{worker_id}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:

        def drop() -> None:
            for each in (f"DATABASE IF EXISTS {name}", f"DATABASE IF EXISTS {made}"):
                connection.execute(f"DROP {each} WITH (FORCE)".encode())
            connection.execute(f"DROP ROLE IF EXISTS {made}".encode())

        drop()
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            # The last `options` in a URL counts: here, it removes the schema of the tests.
            url = f"{postgres_url}{'&' if '?' in postgres_url else '?'}dbname={name}&options="
            with LocalServer(url):
                pass
            yield url, made
        finally:
            drop()


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    make_programs(folder)
    return folder
