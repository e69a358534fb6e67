"""What holds below the operations: framing, connections, headers."""

import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from .wire import Wire

TOO_LARGE = 2 * 1024 * 1024 + 1


@pytest.fixture
def name(socket_wire: Wire) -> Iterator[str]:
    yield f"contract-{uuid4()}"
    socket_wire.clean()


@pytest.fixture
def connection(socket_wire: Wire) -> Iterator[HTTPConnection]:
    with closing(HTTPConnection(address(socket_wire), timeout=20)) as connection:
        connection.connect()
        yield connection


@pytest.fixture
def raw(socket_wire: Wire) -> Iterator[socket.socket]:
    host, _, port = address(socket_wire).rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        yield raw


def address(wire: Wire) -> str:
    assert wire.url
    parts = urlsplit(wire.url)
    if parts.scheme != "http" or parts.path.strip("/"):
        pytest.skip("needs a bare http server")
    return f"{parts.hostname}:{parts.port or 80}"


def read(raw: socket.socket) -> tuple[int, bytes]:
    """Read one answer and nothing beyond it, wherever the packets end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = raw.recv(1)
        assert byte, head
        head += byte
    lines = head.decode().lower().splitlines()
    length = [int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")]
    body = b""
    while length and len(body) < length[0]:
        body += raw.recv(length[0] - len(body))
    return int(lines[0].split()[1]), body


def test_answers_carry_a_date_and_their_length(socket_wire: Wire) -> None:
    for target in ["/health", "/v1/nope", "/v1/queues/q/jobs?num_jobs=x"]:
        answer = socket_wire.send("GET", target)
        assert "date" in answer.headers
        assert int(answer.headers["content-length"]) == len(answer.body)


def test_an_answer_without_content_has_no_length(socket_wire: Wire, name: str) -> None:
    answer = socket_wire.send("GET", f"/v1/queues/{name}/jobs")
    assert answer.status == 204
    assert "content-length" not in answer.headers


def test_the_server_does_not_name_itself(socket_wire: Wire) -> None:
    if not socket_wire.own:
        pytest.skip("something else may stand before a foreign server")
    assert "server" not in socket_wire.send("GET", "/health").headers


def test_head_of_an_error_keeps_the_length_of_its_text(socket_wire: Wire, name: str) -> None:
    path = f"/v1/queues/{name}/jobs/%ff"
    text = socket_wire.send("GET", path).body
    answer = socket_wire.send("HEAD", path)
    assert (answer.status, answer.body) == (400, b"")
    assert int(answer.headers["content-length"]) == len(text) > 0


def test_a_chunked_body_is_read(connection: HTTPConnection) -> None:
    connection.request(
        "POST",
        "/v1/queues/jobs",
        body=iter([b"[", b"]"]),
        headers={"content-type": "application/json"},
        encode_chunked=True,
    )
    assert connection.getresponse().status == 202


def test_a_chunked_body_over_the_limit_is_413(socket_wire: Wire, raw: socket.socket) -> None:
    raw.sendall(
        b"POST /v1/queues/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    )
    raw.sendall(b"transfer-encoding: chunked\r\n\r\n")
    raw.sendall(b"%x\r\n" % TOO_LARGE + b" " * TOO_LARGE + b"\r\n0\r\n\r\n")
    assert read(raw) == (413, b"Failed to buffer the request body: length limit exceeded")


def test_expect_100_continue_is_honoured(raw: socket.socket) -> None:
    raw.sendall(
        b"POST /v1/queues/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    )
    raw.sendall(b"content-length: 2\r\nexpect: 100-continue\r\n\r\n")
    assert read(raw)[0] == 100
    raw.sendall(b"[]")
    assert read(raw) == (202, b"")


def test_a_body_that_never_ends_holds_up_nobody_else(
    socket_wire: Wire, raw: socket.socket, name: str
) -> None:
    raw.sendall(
        b"POST /v1/queues/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    )
    raw.sendall(b'content-length: 100\r\n\r\n[{"id": "cut')
    assert socket_wire.send("GET", "/health").status == 200
    assert socket_wire.send("GET", f"/v1/queues/{name}/jobs").status == 204


def test_a_body_cut_short_stores_nothing(socket_wire: Wire, raw: socket.socket, name: str) -> None:
    whole = b'[{"id":"x","queue":"%s","timeout":1,"payload":1}]' % name.encode()
    raw.sendall(
        b"POST /v1/queues/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    )
    raw.sendall(b"content-length: %d\r\n\r\n" % (len(whole) + 1) + whole)
    raw.shutdown(socket.SHUT_WR)
    assert raw.recv(100).find(b" 202 ") < 0
    assert socket_wire.send("GET", f"/v1/queues/{name}/jobs").status == 204


ERRORS = [
    (b"GET", b"/v1/nope", b"", 404),
    (b"OPTIONS", b"/health", b"", 405),
    (b"GET", b"/v1/queues/q/jobs?num_jobs=x", b"", 400),
    (b"GET", b"/v1/queues/q/jobs/%ff", b"", 400),
    (b"POST", b"/v1/queues/jobs", b"[", 400),
    (b"POST", b"/v1/queues/jobs", b"{}", 422),
    (b"POST", b"/v1/nope", b"[1, 2, 3]", 404),
    (b"DELETE", b"/v1/queues/jobs", b"[1, 2, 3]", 405),
]


def test_a_connection_outlives_an_error(raw: socket.socket) -> None:
    for method, target, body, status in ERRORS:
        # In one piece: real servers do not wait for content that they have no use for.
        raw.sendall(
            b"%b %b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (method, target, len(body), body)
        )
        assert read(raw)[0] == status


def test_pipelined_requests_are_answered_in_order(raw: socket.socket) -> None:
    targets = [b"/health", b"/v1/nope", b"/health"]
    raw.sendall(
        b"".join(b"GET %s HTTP/1.1\r\nhost: localhost\r\n\r\n" % target for target in targets)
    )
    assert [read(raw)[0] for _ in targets] == [200, 404, 200]


def test_a_body_far_over_the_limit_gets_its_413_from_the_local_server(
    socket_wire: Wire, connection: HTTPConnection
) -> None:
    if socket_wire.flavor != "local":
        pytest.skip("the real servers may close before such a body is sent")
    headers = {"content-type": "application/json"}
    connection.request("POST", "/v1/queues/jobs", b" " * (3 * TOO_LARGE), headers)
    response = connection.getresponse()
    assert (response.status, b"length limit exceeded" in response.read()) == (413, True)
