"""What all tests share."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from .postgres import GIVEN, Cluster, programs

# How long an example takes is the machine's affair.
settings.register_profile("relay", deadline=None)
settings.load_profile("relay")

MISSING = "no PostgreSQL on this machine (nor at $RELAY_TEST_POSTGRES): its tests are skipped"


def pytest_report_header() -> str:
    """Say plainly whether the tests of PostgreSQL run."""
    if GIVEN:
        return "PostgreSQL: $RELAY_TEST_POSTGRES"
    found = programs()
    return f"PostgreSQL: {found}" if found else MISSING


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a database for Relay's tables alone."""
    if GIVEN:
        yield GIVEN
        return
    if not programs():
        pytest.skip(MISSING)
    cluster = Cluster(fsync="off")
    try:
        yield cluster.start().url()
    finally:
        cluster.remove()
