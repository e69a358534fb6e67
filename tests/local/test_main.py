import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@contextmanager
def program(
    folder: Path, *options: str, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run the server as a program in a folder; kill it if it still runs at the end."""
    prefixes = ("RELAY_", "HTTP_", "REAP_", "DATABASE_")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}
    process = subprocess.Popen(
        [sys.executable, "-m", "relay_sdk.local", *options],
        cwd=folder,
        env=clean | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def address(process: subprocess.Popen[str]) -> str:
    """Wait for the URL, which is printed when the server listens."""
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("http://"), line
    return line.strip().removeprefix("http://")


def ask(place: str, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(place, timeout=30)
    try:
        connection.request(method, target, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def job(id: str) -> bytes:
    return json.dumps([{"queue": "q", "id": id, "timeout": 30, "payload": {"n": 1}}]).encode()


def test_a_job_that_was_answered_202_survives_a_kill(tmp_path: Path) -> None:
    with program(tmp_path, "--db", "jobs.db", "--port", "0") as process:
        place = address(process)
        for key in ("a", "b"):
            assert ask(place, "POST", "/v2/queues/jobs", job(key))[0] == 202
        process.kill()

    with program(tmp_path, "--db", "jobs.db", "--port", "0") as process:
        status, body = ask(address(process), "GET", "/v2/queues/q/jobs?num_jobs=10")

    assert status == 200
    assert [job["id"] for job in json.loads(body)] == ["a", "b"]


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_signal_ends_it_gracefully(tmp_path: Path, name: str) -> None:
    with program(tmp_path, "--port", "0") as process:
        assert ask(address(process), "POST", "/v2/queues/jobs", job("a"))[0] == 202
        process.send_signal(getattr(signal, name))
        rest, errors = process.communicate(timeout=60)

    assert (process.returncode, rest, errors) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["relay.db"]


def test_options_come_from_the_environment(tmp_path: Path) -> None:
    env = {
        "HTTP_PORT": "0",
        "REAP_INTERVAL": "0.5",
        "RELAY_DB": "other.db",
        "RELAY_HOST": "127.0.0.1",
        "RELAY_LOG": "DEBUG",
    }
    with program(tmp_path, env=env) as process:
        assert ask(address(process), "GET", "/health?x")[0] == 200
        process.terminate()
        _, errors = process.communicate(timeout=60)

    assert (tmp_path / "other.db").exists()
    assert "DEBUG relay_sdk.local: GET /health?x 200 " in errors


@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_token_is_required(tmp_path: Path, way: str) -> None:
    options, env = (
        (["--token", "secret"], {}) if way == "option" else ([], {"RELAY_TOKEN": "secret"})
    )
    with program(tmp_path, "--port", "0", *options, env=env) as process:
        place = address(process)
        assert ask(place, "GET", "/v2/queues/q/jobs")[0] == 401
        assert ask(place, "GET", "/health")[0] == 200


def test_the_help_does_not_show_the_token(tmp_path: Path) -> None:
    with program(tmp_path, "--help", env={"RELAY_TOKEN": "secret"}) as process:
        out, _ = process.communicate(timeout=60)

    assert "--token" in out
    assert "secret" not in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "many"], "argument --port: invalid int value: 'many'"),
        (["--port", "65536"], "port must be from 0 to 65535, not 65536"),
        (["--reap-interval", "0"], "reap_interval must be more than 0 seconds, not 0.0"),
        (["--log-level", "loud"], "argument --log-level: invalid choice: 'loud'"),
        (["--db", "missing/relay.db"], "cannot open the database missing/relay.db: "),
        (["--db", "notes.txt"], "notes.txt is not an SQLite database"),
        (["--host", "nowhere.invalid", "--port", "0"], "cannot listen on nowhere.invalid"),
        (["--bogus"], "unrecognized arguments: --bogus"),
    ],
)
def test_a_usage_error_is_one_line_and_status_2(
    tmp_path: Path, options: list[str], message: str
) -> None:
    (tmp_path / "notes.txt").write_text("no database, as long as this is " * 100)

    with program(tmp_path, *options) as process:
        out, errors = process.communicate(timeout=60)

    assert (process.returncode, out) == (2, "")
    assert errors.startswith(f"python -m relay_sdk.local: {message}")
    assert errors.count("\n") == 1


def test_an_error_in_the_environment_is_one_line_and_status_2(tmp_path: Path) -> None:
    with program(tmp_path, env={"HTTP_PORT": "many"}) as process:
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert errors == "python -m relay_sdk.local: argument --port: invalid int value: 'many'\n"


def test_a_busy_port_is_one_line_and_status_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with program(tmp_path, "--port", str(port)) as process:
            _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert errors.startswith(f"python -m relay_sdk.local: cannot listen on 127.0.0.1 port {port}: ")
    assert errors.count("\n") == 1


def test_importing_the_package_and_the_app_need_no_extra() -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['uvloop', 'dateutil']));"
        "import relay_sdk.local; print(relay_sdk.local.App()('GET', '/health', {}, b'').status)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("200\n", "")
