import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from relay_sdk import Client, Queue
from relay_sdk._base.flow import Response
from relay_sdk.cli.probe import Report, compare_clocks
from relay_sdk.local import LocalServer

from .conftest import Run

Answer = tuple[int, Mapping[str, str], str]

REFUSED = (400, {}, "Failed to deserialize query string: ...")
HEALTHY = {"/health": (200, {}, ""), "/v2/queues/relay_sdk/jobs?num_jobs=0": REFUSED}


@contextmanager
def answering(
    answers: Mapping[str, Answer], date: datetime | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Serve fixed answers; anything else is 404. Yield the URL and the requests."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            status, headers, body = answers.get(self.path) or answers.get("*") or (404, {}, "")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(date or datetime.now(UTC), usegmt=True)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept connections on a port, and call `talk` with each."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    talk(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            # Closing alone would not end `accept` in the other thread.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_good_server_has_no_problems(run: Run) -> None:
    human, machine = run("doctor"), run("doctor", "--json")

    assert human.exit_code == machine.exit_code == 0
    assert "API: v1, v2\n" in human.stdout
    assert "database: answers\n" in human.stdout
    assert "problem: none\n" in human.stdout
    found = json.loads(machine.stdout)
    assert (found["ok"], found["api"], found["database"]) == (True, ["v1", "v2"], True)
    assert found["problems"] == []
    assert found["latency"] > 0
    assert found["proxy"] is None
    assert abs(found["clock_difference"]) < 2


def test_a_proxy_is_named(offline: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://name:secret@127.0.0.1:1")
    output = offline("doctor", "--url", "http://relay.invalid").stdout
    assert "proxy: 127.0.0.1 port 1\n" in output
    assert "secret" not in output


def test_no_job_is_taken(run: Run, relay: Client) -> None:
    relay.enqueue(Queue("relay_sdk").job("doctor", 1))

    assert run("doctor").exit_code == 0

    assert len(relay.next("relay_sdk", timeout=0)) == 1


def test_relay_rs_has_only_v1(offline: Run) -> None:
    answers = {"/health": (200, {}, ""), "/v1/queues/relay_sdk/jobs?num_jobs=0": (204, {}, "")}
    with answering(answers) as (url, asked):
        found = json.loads(offline("doctor", "--url", url, "--json").stdout)

    assert (found["ok"], found["api"]) == (True, ["v1"])
    assert asked[-1] == "GET /v1/queues/relay_sdk/jobs/doctor"


@pytest.mark.parametrize(("hours", "words"), [(1, "ahead of"), (-1, "behind")])
def test_a_clock_that_differs_is_a_problem(offline: Run, hours: int, words: str) -> None:
    with answering(HEALTHY, datetime.now(UTC) + timedelta(hours=hours)) as (url, _):
        result = offline("doctor", "--url", url)
        found = json.loads(offline("doctor", "--url", url, "--json").stdout)

    assert result.exit_code == 1
    assert re.search(rf"the server's clock is 3\d\d\d\.\d s {words} this machine's", result.stdout)
    assert abs(found["clock_difference"] - hours * 3600) < 60


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.75, 0.999])
@pytest.mark.parametrize("stale", [0, 1])
@pytest.mark.parametrize("ahead", [-3600, 0, 3600])
def test_the_difference_of_the_clocks_is_within_the_margin(
    fraction: float, stale: int, ahead: int
) -> None:
    """A reply has whole seconds, and servers send one text for a second or so."""
    now = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=fraction)
    for took in (0.001, 0.4, 3.0):
        at = now + timedelta(seconds=ahead + took / 2 - stale)
        reply = Response(
            200, {"date": format_datetime(at.replace(microsecond=0), usegmt=True)}, b""
        )
        report = Report("http://server", "httpx")
        compare_clocks(report, reply, now, took)

        assert report.clock_difference is not None
        assert report.clock_margin is not None
        assert abs(report.clock_difference - ahead) <= report.clock_margin


@pytest.mark.parametrize("date", ["", "soon", "Tue, 01 Jan 2030 00:00:00 -0000"])
def test_a_server_without_a_date_header_is_not_a_problem(date: str) -> None:
    report = Report("http://server", "httpx")

    compare_clocks(report, Response(200, {"date": date}, b""), datetime.now(UTC), 0.1)

    assert report.clock_difference is None


DOWN = "Backend error: db error: connection refused. Is retryable: false."
PAGE = "<html><head><title>Sign in</title></head></html>"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (
            {**HEALTHY, "/v2/queues/relay_sdk/jobs/doctor": (422, {}, DOWN)},
            "the server runs, but its database does not answer: Backend error: db error",
        ),
        (
            {
                "/health": (200, {}, ""),
                "/v1/queues/relay_sdk/jobs?num_jobs=0": (500, {}, DOWN),
                "/v1/queues/relay_sdk/jobs/doctor": (422, {}, DOWN),
            },
            "its database does not answer",
        ),
        ({"*": (200, {"content-type": "text/html"}, PAGE)}, "with a web page, 'Sign in', so it"),
        ({"*": (404, {"content-type": "text/html"}, PAGE)}, "with a web page, 'Sign in', so it"),
        ({"*": (308, {"location": "https://x/health"}, "")}, "a redirect to https://x/health: use"),
        ({"*": (401, {}, "")}, "a proxy requires a login"),
        ({"*": (502, {}, "")}, "a proxy answers, but not Relay behind it"),
        ({}, "an HTTP server, but not Relay. Are host, port and path right?"),
        ({"/health": (200, {}, "")}, "it answers /health, but has neither API v1 nor v2"),
        ({"/health": (200, {}, ""), "*": (418, {}, "tea")}, "answered 418: tea. Relay does not"),
        ({"/health": (200, {}, "OK")}, "answered 200: OK. Relay does not reply that"),
    ],
)
def test_problems_are_explained(offline: Run, answers: Mapping[str, Answer], words: str) -> None:
    with answering(answers) as (url, _):
        result = offline("doctor", "--url", url)
        machine = json.loads(offline("doctor", "--url", url, "--json").stdout)

    assert result.exit_code == 1
    assert words in result.stdout
    assert not machine["ok"]


def test_a_port_without_a_server(offline: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    result = offline("doctor", "--url", f"http://127.0.0.1:{port}")

    assert result.exit_code == 1
    assert f"nothing listens at 127.0.0.1 port {port}: is the server running" in result.stdout


def test_an_unknown_name(offline: Run) -> None:
    result = offline("doctor", "--url", "http://nowhere.invalid")

    assert "the name in nowhere.invalid port 80 is not known" in result.stdout


def test_a_server_that_does_not_answer(offline: Run) -> None:
    with listening(lambda connection: connection.makefile("rb").read() and None) as port:
        result = offline("doctor", "--url", f"http://127.0.0.1:{port}", "--timeout", "0.1")

    assert "no whole reply within 0.1 s from 127.0.0.1 port" in result.stdout


def test_a_port_that_speaks_something_else(offline: Run) -> None:
    with listening(lambda connection: connection.sendall(b"220 mail\r\n")) as port:
        result = offline("doctor", "--url", f"http://127.0.0.1:{port}")

    assert f"what listens at 127.0.0.1 port {port} does not answer in HTTP" in result.stdout
    assert "should the URL begin with https://?" in result.stdout


def test_tls_without_tls_on_the_server(run: Run, server: LocalServer) -> None:
    result = run("doctor", "--url", server.url.replace("http:", "https:"))

    assert "If the server has no TLS, the URL begins with http://" in result.stdout


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
def test_a_certificate_that_is_not_trusted(offline: Run, tmp_path: Path) -> None:
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "key",
            "-out",
            "cert",
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")

    def shake(connection: socket.socket) -> None:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            return

    with listening(shake) as port:
        result = offline("doctor", "--url", f"https://127.0.0.1:{port}")

    assert f"the certificate of 127.0.0.1 port {port} is not trusted: self-signed" in result.stdout


def test_a_proxy_of_the_environment_is_mentioned(
    offline: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    result = offline("doctor", "--url", "http://relay.invalid")

    assert "Requests go through the proxy that HTTP_PROXY names" in result.stdout


def test_an_invalid_url_is_a_usage_error(offline: Run) -> None:
    result = offline("doctor", "--url", "localhost:8080")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--url: base_url 'localhost:8080' must look like" in result.stderr
