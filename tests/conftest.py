"""Fixtures and settings of all tests."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from .support.postgres import GIVEN, MISSING, Cluster, are_skipped, empty, programs, with_schema

# The time of an example depends on the machine.
settings.register_profile("relay", deadline=None)
settings.load_profile("relay")

# A shell ignores Ctrl-C in background programs, and their child processes inherit that. The tests
# must be able to interrupt their programs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Run twice as many tests as there are cores, because tests wait for half of their time."""
    return 2 * (os.cpu_count() or 1)


def pytest_report_header() -> str:
    """Report whether the PostgreSQL tests run."""
    if GIVEN:
        return "PostgreSQL: $RELAY_TEST_POSTGRES"
    found = programs()
    return f"PostgreSQL: {found}" if found else MISSING


@pytest.fixture(scope="session")
def postgres_url(worker_id: str) -> Iterator[str]:
    """Return the URL of a database, or of a schema in the given one, for Relay's tables."""
    if GIVEN:
        yield with_schema(GIVEN, f"relay_test_{worker_id}")
        return
    if are_skipped():
        pytest.skip(MISSING)
    cluster = Cluster(fsync="off")
    try:
        yield cluster.start().url()
    finally:
        cluster.remove()


@pytest.fixture
def postgres(postgres_url: str) -> str:
    """Return the URL of a database without jobs."""
    empty(postgres_url)
    return postgres_url


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """Return each kind of database, without jobs."""
    url: str = request.getfixturevalue("postgres") if request.param == "postgres" else ":memory:"
    return url
