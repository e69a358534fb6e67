import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from relay_sdk.local import LocalServer, server

JSON = {"Content-Type": "application/json"}


def ask(
    url: str, method: str, target: str, body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request(method, target, body, JSON)
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


def job(id: str) -> bytes:
    return json.dumps([{"queue": "q", "id": id, "timeout": 30, "payload": 1}]).encode()


def connect(url: str) -> socket.socket:
    place = urlsplit(url)
    assert place.hostname
    assert place.port
    return socket.create_connection((place.hostname, place.port), timeout=30)


@pytest.fixture
def running() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


def test_it_listens_on_loopback_only(running: LocalServer) -> None:
    assert urlsplit(running.url).hostname == "127.0.0.1"
    assert ask(running.url, "GET", "/health")[0] == 200


def test_answers_carry_a_date_and_do_not_name_the_server(running: LocalServer) -> None:
    ask(running.url, "GET", "/health")

    _, headers, _ = ask(running.url, "GET", "/v2/queues/q/jobs")

    assert set(headers) == {"date"}


def test_app_and_socket_serve_the_same_jobs(running: LocalServer) -> None:
    assert ask(running.url, "POST", "/v2/queues/jobs", job("a"))[0] == 202

    assert running.app("HEAD", "/v2/queues/q/jobs/a", {}, b"").status == 200


def test_the_path_is_not_normalized(running: LocalServer) -> None:
    for raw, expected in [
        (b"//v1/queues/q/jobs", 404),
        (b"/v1/queues//jobs", 204),
        (b"/v1/queues/q/jobs/..", 404),
        (b"/v1/queues/q/../q/jobs", 404),
        (b"/v1/queues/%ff/jobs", 400),
        (b"/v1/queues/%zz/jobs?num_jobs=%2B5", 204),
    ]:
        with connect(running.url) as client:
            client.sendall(b"GET %b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n" % raw)
            status = int(client.makefile("rb").readline().split()[1])
        assert (raw, status) == (raw, expected)


def test_data_that_is_not_http_is_answered_with_400(running: LocalServer) -> None:
    with connect(running.url) as client:
        client.sendall(b"what is this\r\n\r\n")
        assert client.makefile("rb").readline().startswith(b"HTTP/1.1 400 ")

    assert ask(running.url, "GET", "/health")[0] == 200


def test_a_client_that_still_sends_can_read_its_413(running: LocalServer) -> None:
    status, _, body = ask(running.url, "POST", "/v2/queues/jobs", b"[" * 20_000_000)

    assert (status, body) == (413, b"Failed to buffer the request body: length limit exceeded")


def test_a_restart_on_the_same_file_finds_every_job(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    with LocalServer(path) as first:
        for key in ("a", "b"):
            assert ask(first.url, "POST", "/v2/queues/jobs", job(key))[0] == 202
        _, _, claimed = ask(first.url, "GET", "/v2/queues/q/jobs")
    run_id = json.loads(claimed)[0]["run_id"]

    assert [path.name for path in tmp_path.iterdir()] == ["relay.db"]
    with LocalServer(path) as second:
        _, _, again = ask(second.url, "GET", "/v2/queues/q/jobs/a")
        assert json.loads(again)["run_id"] == run_id
        assert ask(second.url, "HEAD", "/v2/queues/q/jobs/b")[0] == 200


def test_stopping_leaves_no_thread_and_no_socket() -> None:
    before = set(threading.enumerate())
    running = LocalServer().start()
    url = running.url

    with connect(url) as idle:
        idle.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert idle.recv(1024).startswith(b"HTTP/1.1 200 ")
        running.stop()
        assert idle.recv(1024) == b""

    running.stop()
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        connect(url)


def test_a_server_can_be_stopped_at_once_and_started_again() -> None:
    running = LocalServer()
    for _ in range(2):
        running.start()
        running.stop()
    with running:
        assert ask(running.url, "GET", "/health")[0] == 200


def test_a_running_request_is_finished_when_the_server_stops() -> None:
    running = LocalServer().start()
    body = job("a")
    with connect(running.url) as client:
        client.sendall(
            b"POST /v2/queues/jobs HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
            % len(body)
        )
        assert client.recv(1024).startswith(b"HTTP/1.1 100 ")  # it waits for the body now
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        client.sendall(body)
        assert client.recv(1024).startswith(b"HTTP/1.1 202 ")
        stopping.join()


def test_an_endless_request_cannot_block_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACEFUL_SHUTDOWN_TIMEOUT", 1)
    running = LocalServer().start()
    with connect(running.url) as client:
        client.sendall(
            b"PATCH /v1/queues/q/jobs/a HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 100\r\n\r\n"
        )
        assert client.recv(1024).startswith(b"HTTP/1.1 100 ")

        running.stop()

        assert client.recv(1024).startswith(b"HTTP/1.1 429 ")
        assert client.recv(1024) == b""


def test_an_unread_response_cannot_block_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "GRACEFUL_SHUTDOWN_TIMEOUT", 1)
    running = LocalServer().start()
    payload = json.dumps("x" * 2_000_000)
    for key in range(10):
        body = f'[{{"queue":"q","id":"{key}","timeout":30,"payload":{payload}}}]'
        assert ask(running.url, "POST", "/v2/queues/jobs", body.encode())[0] == 202
    with connect(running.url) as client:
        client.sendall(b"GET /v2/queues/q/jobs?num_jobs=10 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert client.recv(1) == b"H"

        running.stop()


def test_a_busy_port_is_an_error_at_once(running: LocalServer) -> None:
    port = urlsplit(running.url).port
    assert port

    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}: "):
        LocalServer(port=port).start()


def test_an_unknown_host_is_an_error_at_once() -> None:
    with pytest.raises(OSError, match=r"cannot listen on nowhere\.invalid port 0: "):
        LocalServer(host="nowhere.invalid").start()


@pytest.mark.parametrize("port", [-1, 65536])
def test_an_impossible_port_is_an_error_at_once(port: int) -> None:
    with pytest.raises(ValueError, match=f"port must be from 0 to 65535, not {port}"):
        LocalServer(port=port)


def test_an_unusable_database_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot open the database"):
        LocalServer(tmp_path / "missing" / "relay.db").start()


def test_a_server_that_does_not_run_has_no_url() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        _ = LocalServer().url


def test_a_server_is_started_once(running: LocalServer) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        running.start()
