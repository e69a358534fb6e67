"""HTTP connections: limits, timeouts and errors."""

import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from relay_sdk.local import App, LocalServer, connections, server
from relay_sdk.local.http import MAX_HEAD_BYTES, MAX_PIPELINED_REQUESTS, MAX_READ_AHEAD_BYTES

from .raw_client import Raw, jobs

NEXT = "/v2/queues/q/jobs"


@pytest.fixture
def running() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture
def client(running: LocalServer) -> Iterator[Raw]:
    with Raw(running.url) as client:
        yield client


def test_requests_that_come_during_a_commit_share_the_next(running: LocalServer) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(Raw(running.url)) for _ in range(10)]
        statements: list[str] = []
        with running.app._lock:
            running.app.store.connection.set_trace_callback(statements.append)
            for n, each in enumerate(clients):
                each.send("POST", "/v2/queues/jobs", jobs(str(n % 9)))
            with Raw(running.url) as other:
                assert other.ask("GET", "/health").status == 200  # what came before is read too

        statuses = [each.read().status for each in clients]

    assert sorted(statuses) == [202] * 9 + [409]
    assert statements.count("COMMIT") <= 2


def test_no_answer_is_sent_before_the_commit(running: LocalServer, client: Raw) -> None:
    early: list[bool] = []
    running.app.store.connection.set_trace_callback(
        lambda statement: early.append(client.is_answered()) if statement == "COMMIT" else None
    )

    assert client.ask("POST", "/v2/queues/jobs", jobs("a")).status == 202

    assert early == [False]


def test_a_request_without_an_operation_does_not_wait_for_the_database(
    running: LocalServer, client: Raw
) -> None:
    with running.app._lock, Raw(running.url) as other:
        client.send("POST", "/v2/queues/jobs", jobs("a"))
        assert other.ask("GET", "/health").status == 200
        assert other.ask("GET", "/nowhere").status == 404

    assert client.read().status == 202


def test_no_jobs_are_claimed_for_a_client_that_disconnected(running: LocalServer) -> None:
    running.app("POST", "/v2/queues/jobs", {"content-type": "application/json"}, jobs("a"))
    with Raw(running.url) as other:
        with running.app._lock:
            other.send("GET", "/v2/queues/other/jobs")
            with Raw(running.url) as leaver:
                leaver.send("GET", NEXT)
                with Raw(running.url) as third:
                    third.ask("GET", "/health")
            with Raw(running.url) as third:
                third.ask("GET", "/health")  # that it has left is seen by now
        assert other.read().status == 204

        assert other.ask("GET", NEXT).status == 200


def test_every_request_is_answered_after_any_exception(
    running: LocalServer, client: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unexpected(BaseException):
        pass

    def turn(self: App, work: object) -> None:
        raise Unexpected

    with Raw(running.url) as other:
        with monkeypatch.context() as patch:
            patch.setattr(App, "execute_batch", turn)
            client.send("GET", NEXT)
            other.send("POST", "/v1/queues/jobs", jobs("a"))
            assert [client.read().status, other.read().status] == [500, 500]

        assert client.ask("GET", NEXT).status == 204


def test_a_bug_before_the_batch_is_answered_too(
    client: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("relay_sdk.local.access.AccessControl.refusal", refusal)
        assert client.ask("GET", NEXT).status == 500

    assert client.ask("GET", NEXT).status == 204


def test_each_request_is_one_line_of_log_at_debug_level(
    client: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "relay_sdk.local"):
        client.socket.sendall(
            b"GET /v2/queues/%0A/jobs?num_jobs=2 HTTP/1.1\r\nhost: localhost\r\n\r\n"
        )
        assert client.read().status == 204

    (message,) = caplog.messages
    method, target, status, _, unit = message.split(" ")
    assert (method, target, status, unit) == (
        "GET",
        "/v2/queues/%0A/jobs?num_jobs=2",
        "204",
        "ms",
    )


@pytest.mark.parametrize("target", ["/v1/queues/q/jobs/%ff", NEXT, "/v2/nowhere"])
@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_head_never_has_a_body(client: Raw, target: str, host: str) -> None:
    assert client.ask("HEAD", target, host=host).status >= 400

    assert client.ask("GET", "/health").status == 200


@pytest.mark.parametrize(
    "line",
    [
        b"x: " + b"x" * (20 * MAX_HEAD_BYTES),
        b"x: x\r\n" * (MAX_HEAD_BYTES // 10),
        b"x" * (20 * MAX_HEAD_BYTES),
    ],
    ids=["value", "many", "name"],
)
@pytest.mark.parametrize("piece", [1000, 10**9], ids=["in pieces", "at once"])
def test_a_head_that_is_too_long_is_refused(client: Raw, line: bytes, piece: int) -> None:
    head = b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + line
    try:
        for at in range(0, len(head), piece):
            client.socket.sendall(head[at : at + piece])
    except ConnectionError:
        return  # it had closed already

    assert client.read().status == 431
    assert client.is_closed()


def test_a_target_that_is_too_long_is_refused(client: Raw) -> None:
    client.socket.sendall(b"GET /" + b"x" * 200_000)

    assert client.read().status == 431


def test_the_longest_keys_fit_into_a_head(client: Raw) -> None:
    key = "%F0%9F%98%80" * 1024

    assert client.ask("DELETE", f"/v1/queues/{key}/jobs/{key}").status == 200


def test_an_unfinished_head_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_INTERVAL", 0.02)
    monkeypatch.setattr("relay_sdk.local.http.HEAD_TIMEOUT", 0.05)
    with LocalServer() as running, Raw(running.url) as silent, Raw(running.url) as client:
        client.socket.sendall(b"GET /health HTT")

        assert client.read().status == 408
        assert client.is_closed()
        assert silent.ask("GET", "/health").status == 200  # it has sent nothing, and may wait


def test_a_slow_head_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_INTERVAL", 0.02)
    monkeypatch.setattr("relay_sdk.local.http.HEAD_TIMEOUT", 0.05)
    with LocalServer() as running, Raw(running.url) as client:
        try:
            while not client.is_answered():
                client.socket.sendall(b"G")
                threading.Event().wait(0.005)
        except ConnectionError:
            return
        assert client.read().status in (400, 408)


def test_an_unfinished_body_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_INTERVAL", 0.02)
    monkeypatch.setattr("relay_sdk.local.http.STALL_TIMEOUT", 0.05)
    with LocalServer() as running, Raw(running.url) as client:
        client.send("POST", "/v2/queues/jobs", content_length="100")

        assert client.read().status == 503
        assert client.is_closed()


def test_unfinished_bodies_are_bounded_and_the_idlest_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "MAX_BUFFERED_BYTES", 1_000_000)
    with LocalServer() as running, ExitStack() as stack:
        clients = [stack.enter_context(Raw(running.url)) for _ in range(5)]
        for client in clients:
            client.send(
                "POST",
                "/v2/queues/jobs",
                content_type="application/json",
                content_length="1000000",
            )
            client.socket.sendall(b"[" + b" " * 399_999)
            with Raw(running.url) as other:
                other.ask("GET", "/health")  # it is read by now

        clients[4].socket.sendall(b" " * 599_999 + b"]")
        assert clients[4].read().status == 202
        for client in clients[:4]:
            answer = client.read()
            assert (answer.status, answer.body[:14]) == (503, b"Backend error:")
            assert client.is_closed()


def test_answers_that_are_not_read_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_BUFFERED_BYTES", 20_000_000)
    with LocalServer() as running, ExitStack() as stack:
        for n in range(10):
            body = jobs(str(n), payload="x" * 1_900_000)
            assert running.app(
                "POST", "/v2/queues/jobs", {"content-type": "application/json"}, body
            )
        clients = [stack.enter_context(Raw(running.url)) for _ in range(10)]
        for n, client in enumerate(clients):
            for _ in range(8):
                client.send("GET", f"/v2/queues/q/jobs/{n}")
            client.socket.recv(1, socket.MSG_PEEK)  # it has begun to answer

        lost = [client for client in clients if not _reads_all(client, 8)]

        assert len(lost) < 10
        with Raw(running.url) as other:
            assert other.ask("GET", "/health").status == 200


def _reads_all(client: Raw, count: int) -> bool:
    try:
        for _ in range(count):
            client.read()
    except (AssertionError, ConnectionError):
        return False
    return True


def test_a_pipeline_is_answered_in_order_and_has_an_end(client: Raw) -> None:
    one = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
    client.socket.sendall(b"DELETE /v1/queues/q/jobs/a HTTP/1.1\r\nhost: localhost\r\n\r\n")
    client.socket.sendall(one * 10)

    assert [client.read().status for _ in range(11)] == [200] * 11

    client.socket.sendall(one * (MAX_PIPELINED_REQUESTS + 100))
    answers = [client.read() for _ in range(MAX_PIPELINED_REQUESTS)]
    assert answers[-1].headers["connection"] == "close"
    assert client.is_closed()


def test_a_client_that_sends_too_far_ahead_is_disconnected(
    running: LocalServer, client: Raw
) -> None:
    with running.app._lock:
        client.send("GET", NEXT)
        with Raw(running.url) as other:
            other.ask("GET", "/health")
        client.socket.sendall(b"GET /health HTTP/1.1\r\n" + b"x: x\r\n" * MAX_READ_AHEAD_BYTES)

        assert client.is_closed()


def test_busy_clients_do_not_delay_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACEFUL_SHUTDOWN_TIMEOUT", 1000)
    running = LocalServer().start()
    ready = threading.Barrier(9)

    def work() -> None:
        with Raw(running.url) as client:
            client.ask("GET", NEXT)
            ready.wait()
            with suppress(AssertionError, ConnectionError):
                while True:
                    client.ask("GET", NEXT)

    with ThreadPoolExecutor(8) as threads:
        ended = [threads.submit(work) for _ in range(8)]
        ready.wait()
        running.stop()
        for each in ended:
            each.result()


def test_too_many_connections_close_those_that_are_unused_for_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_max_connections", lambda: 3)
    with LocalServer() as running, ExitStack() as stack:
        first, second, third = (stack.enter_context(Raw(running.url)) for _ in range(3))
        for client in (second, third, first):
            assert client.ask("GET", "/health").status == 200

        with Raw(running.url) as fourth:
            assert fourth.ask("GET", "/health").status == 200
            assert second.is_closed()
            for client in (first, third):
                assert client.ask("GET", "/health").status == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /health HTTP/1.0\r\n\r\n", 200),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", 200),
        (
            b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n"
            b"upgrade: websocket\r\n\r\n",
            200,
        ),
        (b"GET /health HTTP/3.7\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"POST /health HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (
            b"POST /v2/queues/jobs HTTP/1.1\r\ncontent-length: 1\r\n"
            b"transfer-encoding: chunked\r\n\r\n",
            400,
        ),
    ],
)
def test_after_some_answers_the_connection_is_closed(client: Raw, head: bytes, status: int) -> None:
    client.socket.sendall(head)

    answer = client.read()
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert client.is_closed()


def test_a_target_may_be_a_whole_url(client: Raw) -> None:
    assert client.ask("GET", "http://localhost/v2/queues/q/jobs?num_jobs=0").status == 400
    assert client.ask("GET", "http://localhost/v2/queues/q/jobs").status == 204
