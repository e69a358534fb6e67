import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from typer.testing import CliRunner, Result

from relay_sdk import Client
from relay_sdk.cli.app import app
from relay_sdk.local import LocalServer

NOWHERE = "http://127.0.0.1:1"


class Run(Protocol):
    def __call__(self, *arguments: str, input: str | None = None) -> Result: ...


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def relay(server: LocalServer) -> Iterator[Client]:
    with Client(server.url) as relay:
        yield relay


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder, with a server in the environment that is not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELAY_URL", NOWHERE)

    def run(*arguments: str, input: str | None = None) -> Result:
        result = CliRunner().invoke(app, arguments, input=input, prog_name="relay-sdk")
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return run


@pytest.fixture
def run(offline: Run, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder, with a server in the environment."""
    monkeypatch.setenv("RELAY_URL", server.url)
    return offline


def lines(*values: Any) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)
