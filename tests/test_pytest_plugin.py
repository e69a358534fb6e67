"""The fixtures in the pytest run of a user."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LOADED = """
import sys

def pytest_unconfigure():
    loaded = {"relay_sdk_pytest", "relay_sdk", "httpx", "sqlite3", "httptools"} & set(sys.modules)
    print("loaded:", *loaded)
"""

FIXTURES = """
import asyncio
from datetime import UTC, datetime

import pytest

from relay_sdk import Client, Queue
from relay_sdk.testing import Clock

JOB = Queue("numbers").job("1", 1, timeout=30)

@pytest.mark.parametrize("time", ["first", "second"])
def test_each_test_has_an_empty_server(relay, relay_async, time):
    assert not relay.exists("numbers", "1")
    relay.enqueue(JOB)
    assert asyncio.run(relay_async.exists("numbers", "1"))

def test_the_clock_is_that_of_the_clients(relay, relay_async, relay_clock):
    relay.enqueue(JOB)
    assert relay.get("numbers", "1").created_at == relay_clock.now()
    relay.next("numbers")
    assert relay.next("numbers", timeout=0) == []
    relay_clock.advance(31)
    assert len(asyncio.run(relay_async.next("numbers", timeout=0))) == 1

@pytest.mark.anyio
async def test_async_tests_on_each_loop(relay_async, relay_clock):
    await relay_async.enqueue(JOB)
    [helper] = await relay_async.next("numbers")
    await helper.complete()

@pytest.mark.parametrize("time", ["first", "second"])
def test_each_test_has_an_empty_server_on_a_socket(relay_server, monkeypatch, time):
    monkeypatch.setenv("RELAY_URL", relay_server.url)
    with Client() as relay:
        assert not relay.exists("numbers", "1")
        relay.enqueue(JOB)
        assert relay.next("numbers")

class TestOtherClock:
    @pytest.fixture
    def relay_clock(self):
        return Clock(datetime(1999, 12, 31, tzinfo=UTC), skip=False)

    def test_another_clock(self, relay):
        relay.enqueue(JOB)
        assert relay.get("numbers", "1").run_at == datetime(1999, 12, 31, tzinfo=UTC)
"""


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a user with only two plugins: those of relay_sdk and anyio."""
    environ = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environ.pop("PYTEST_ADDOPTS", None)
    plugins = ["-p", "relay_sdk", "-p", "anyio.pytest_plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-W", "error", *options, "."],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_plugin_loads_nothing_until_a_test_needs_it(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(LOADED)
    (tmp_path / "test_user.py").write_text("def test_nothing(): pass")
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "loaded: relay_sdk_pytest\n" in done.stdout


def test_the_fixtures_are_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(FIXTURES)
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "8 passed" in done.stdout  # the async one on asyncio and on trio


def test_the_fixtures_are_described(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--fixtures")
    for name in ("relay", "relay_async", "relay_clock", "relay_server"):
        assert re.search(rf"^{name} -- .*\n    \w+ ", done.stdout, re.MULTILINE)


def test_the_examples_pass(tmp_path: Path) -> None:
    for file in (ROOT / "examples" / "tests").iterdir():
        if file.suffix in (".py", ".ini"):
            shutil.copy(file, tmp_path)
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout
