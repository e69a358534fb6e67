"""Hostile clients: ambiguous requests are refused, and other clients do not have to wait."""

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from relay_sdk.local import LocalServer

from .raw_client import Raw, jobs

CONNECTIONS = int(os.environ.get("RELAY_FAULT_CONNECTIONS", "300"))
FILES = 2 * CONNECTIONS + 200
"""Both ends are in this process."""

INNER_BODY = jobs("smuggled")
INNER = (
    b"POST /v2/queues/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(INNER_BODY), INNER_BODY)
)
SIZE = len(INNER)
CHUNKED = b"transfer-encoding: chunked\r\n"
ONE_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE, INNER)

AMBIGUOUS = {
    "a length, and chunks": b"content-length: 0\r\n%s\r\n%s" % (CHUNKED, ONE_CHUNK),
    "chunks, and a length": b"%scontent-length: 4\r\n\r\n0\r\n\r\n%s" % (CHUNKED, INNER),
    "two lengths": b"content-length: %d\r\ncontent-length: 0\r\n\r\n%s" % (SIZE, INNER),
    "one length twice": b"content-length: %d\r\ncontent-length: %d\r\n\r\n%s" % (SIZE, SIZE, INNER),
    "lengths in a list": b"content-length: %d, 0\r\n\r\n%s" % (SIZE, INNER),
    "a length with a sign": b"content-length: +%d\r\n\r\n%s" % (SIZE, INNER),
    "a length in hex": b"content-length: 0x%x\r\n\r\n%s" % (SIZE, INNER),
    "a length beyond 64 bits": b"content-length: 18446744073709551616\r\n\r\n%s" % INNER,
    "no length": b"content-length:\r\n\r\n%s" % INNER,
    "a space before the colon": b"content-length : %d\r\n\r\n%s" % (SIZE, INNER),
    "chunks with a space before the colon": b"transfer-encoding : chunked\r\n\r\n%s" % ONE_CHUNK,
    "an unknown coding": b"transfer-encoding: xchunked\r\n\r\n%s" % ONE_CHUNK,
    "chunks that are not last": b"transfer-encoding: chunked, identity\r\n\r\n%s" % ONE_CHUNK,
    "two codings": b"%stransfer-encoding: identity\r\n\r\n%s" % (CHUNKED, ONE_CHUNK),
    "a coding with a control character": b"transfer-encoding: \x0bchunked\r\n\r\n%s" % ONE_CHUNK,
    "a folded coding": b"transfer-encoding:\r\n chunked\r\n\r\n%s" % ONE_CHUNK,
    "a length in a fold": b"x: y\r\n content-length: %d\r\n\r\n%s" % (SIZE, INNER),
    "a bare LF": b"x: y\ncontent-length: %d\r\n\r\n%s" % (SIZE, INNER),
    "a bare CR": b"x: y\rcontent-length: %d\r\n\r\n%s" % (SIZE, INNER),
    "a NUL": b"x: \0\r\ncontent-length: %d\r\n\r\n%s" % (SIZE, INNER),
    "a line without a colon": b"content-length\r\n\r\n%s" % INNER,
    "a chunk with a sign": b"%s\r\n+%s" % (CHUNKED, ONE_CHUNK),
    "a chunk with 0x": b"%s\r\n0x%s" % (CHUNKED, ONE_CHUNK),
    "a chunk beyond 64 bits": b"%s\r\n1%016x\r\n%s" % (CHUNKED, SIZE, INNER),
    "a chunk that is longer than its size": b"%s\r\n1\r\n%s" % (CHUNKED, INNER),
    "a chunk with an LF": b"%s\r\n0\n\n%s" % (CHUNKED, INNER),
    "an extension with an LF": b"%s\r\n0;a\n%s" % (CHUNKED, INNER),
    "a length after the chunks": b"%s\r\n0\r\ncontent-length: %d\r\n\r\n%s"
    % (CHUNKED, SIZE, INNER),
    "two hosts": b"host: evil.example\r\n\r\n%s" % INNER,
}


@pytest.fixture(scope="module")
def running() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_request_that_two_servers_could_read_differently_is_refused(
    running: LocalServer, rest: bytes
) -> None:
    with Raw(running.url) as client:
        client.socket.sendall(b"GET /v2/queues/q/jobs HTTP/1.1\r\nhost: localhost\r\n" + rest)

        answer = client.read()
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert client.is_closed()
    assert running.app("HEAD", "/v2/queues/q/jobs/smuggled", {}, b"").status == 404


@pytest.mark.parametrize("version", [1, 2])
def test_no_depth_of_a_heartbeat_causes_a_server_error(running: LocalServer, version: int) -> None:
    run = "/run-id/00000000-0000-4000-8000-000000000000" if version == 2 else ""
    with Raw(running.url) as client:
        for body in (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 50_000 + b"]" * 50_000):
            target = f"/v{version}/queues/q/jobs/x{run}"
            assert client.ask("PATCH", target, body).status in (404, 422)


@contextmanager
def files(count: int) -> Iterator[None]:
    """Raise the limit of open files, or skip the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"this process may open {hard} files, and {count} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_idle_connections_do_not_block_requests() -> None:
    parts = [
        b"",
        b"GET /hea",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: ",
        b"POST /v2/queues/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n[",
        b"GET /v2/queues/held/jobs HTTP/1.1\r\nhost: localhost\r\nprefer: wait=60\r\n\r\n",
    ]
    with files(FILES), LocalServer() as running, ExitStack() as stack:
        for n in range(CONNECTIONS):
            idle = stack.enter_context(Raw(running.url))
            idle.socket.sendall(parts[n % len(parts)])

        with Raw(running.url) as client:
            assert client.ask("POST", "/v2/queues/jobs", jobs("a")).status == 202
            assert client.ask("GET", "/v2/queues/q/jobs").status == 200
            assert client.ask("DELETE", "/v2/queues/q/jobs/a").status == 200
