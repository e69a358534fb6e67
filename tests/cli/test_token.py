"""Every command sends the token to a server that requires one, and none prints it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_sdk import Client, Queue
from relay_sdk.local import LocalServer

from .conftest import Run
from .test_doctor import answering

TOKEN = "s3cret~token"


@pytest.fixture
def guarded(offline: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    with LocalServer(token=TOKEN) as server:
        monkeypatch.setenv("RELAY_URL", server.url)
        yield server


@pytest.mark.parametrize("way", ["--token", "RELAY_TOKEN"])
def test_every_command_sends_it(
    guarded: LocalServer, offline: Run, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    def run(*arguments: str, input: str | None = None) -> str:
        given = ["--token", TOKEN] if way == "--token" else []
        result = offline(*arguments, *given, input=input)
        assert result.exit_code == 0, result.output
        assert TOKEN not in result.output
        return result.output

    if way == "RELAY_TOKEN":
        monkeypatch.setenv("RELAY_TOKEN", TOKEN)
    run("enqueue", "q", "-", input='{"id": "a", "payload": 1}\n')
    run("exists", "q", "a")
    run("get", "q", "a", "--json")
    run("next", "q", "--release")
    run("remove", "q", "a")
    assert json.loads(run("doctor", "--json"))["ok"]


def test_work_passes_it_on_to_the_module(
    guarded: LocalServer, offline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token_worker.py").write_text(
        "from relay_sdk import Client, Worker\n"
        "client = Client()\n"
        "worker = Worker(client, 'q', lambda helper: worker.stop())\n"
    )
    monkeypatch.setenv("RELAY_TOKEN", "")
    with Client(guarded.url, token=TOKEN) as relay:
        relay.enqueue(Queue("q").job("a", 1))
        result = offline("work", "token_worker:worker", "--token", TOKEN)
        sys.modules["token_worker"].client.close()
        assert result.exit_code == 0, result.output
        assert not relay.exists("q", "a")


def test_doctor_reports_a_missing_token_in_one_line(guarded: LocalServer, offline: Run) -> None:
    result = offline("doctor")
    assert result.exit_code == 1
    (problem,) = [line for line in result.output.splitlines() if line.startswith("problem")]
    assert problem == (f"problem: {guarded.url} requires a token: set RELAY_TOKEN, or pass --token")
    result = offline("doctor", "--token", "other")
    assert result.exit_code == 1
    assert f"problem: {guarded.url} refuses this token" in result.output


def test_a_proxy_that_requires_another_login_is_explained(offline: Run) -> None:
    wants = {"www-authenticate": 'Basic realm="x"'}
    answers = {"/health": (200, {}, ""), "*": (401, wants, "")}
    with answering(answers) as (url, _):
        result = offline("doctor", "--url", url)
    assert "a proxy requires a login" in result.output


def test_commands_report_a_missing_token(guarded: LocalServer, offline: Run) -> None:
    result = offline("exists", "q", "a")
    assert result.exit_code == 1
    assert "Is a token needed? Set RELAY_TOKEN to it" in result.output


@pytest.mark.parametrize("command", [["get", "q", "a"], ["doctor"], ["work", "x:y"]])
def test_a_token_that_cannot_be_sent_is_a_usage_error(offline: Run, command: list[str]) -> None:
    result = offline(*command, "--token", "s3cret\n")
    assert result.exit_code == 2
    assert "--token cannot be sent" in result.output
    assert "s3cret" not in result.output


def test_help_does_not_show_it(offline: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_TOKEN", TOKEN)
    assert TOKEN not in offline("get", "--help").output
