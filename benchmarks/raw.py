"""Measure the local server with a client that uses little CPU: raw.py URL JOBS.

The sockets and requests are made beforehand. Enqueue batches of 1,000 on 4 connections, then
complete jobs, 50 at once, then at half of that speed. Print JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from statistics import quantiles
from typing import Any, NamedTuple
from urllib.parse import urlsplit

CONNECTIONS, BATCHERS, BATCH = 50, 4, 1000
QUEUE = "raw"


class Answer(NamedTuple):
    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One request at a time."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._got = b""

    def send(self, request: bytes) -> asyncio.Future[Answer]:
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, there, body = self._got.partition(b"\r\n\r\n")
        _, _, after = head.lower().partition(b"content-length:")
        if there and len(body) >= int(after.partition(b"\r")[0] or 0):
            self._got = b""
            self._answer.set_result(Answer(int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(error or ConnectionError("the server hung up"))


def request(method: str, target: str, body: bytes = b"") -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def batch(first: int, size: int) -> bytes:
    job = {"queue": QUEUE, "timeout": 60, "payload": {"to": "ada@example.org", "subject": "Hello"}}
    jobs = [{**job, "id": str(number)} for number in range(first, first + size)]
    return request("POST", "/v2/queues/jobs?mode=ignore", json.dumps(jobs).encode())


async def send_all(
    connections: list[Connection], requests: list[bytes], per_second: float | None = None
) -> tuple[float, list[float]]:
    """Return the requests per second, and the latency of each in ms, from when it was due."""
    taken: list[float] = []
    began = time.perf_counter()
    due = [began + number / per_second if per_second else 0 for number in range(len(requests))]

    async def go(connection: Connection, todo: Iterator[tuple[float, bytes]]) -> None:
        for at, wanted in todo:
            if (early := at - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            sent = at or time.perf_counter()
            answer = await connection.send(wanted)
            taken.append((time.perf_counter() - sent) * 1e3)
            if answer.status not in (200, 202):
                raise RuntimeError(f"{answer.status} to {wanted[:60]!r}")

    todo = iter(zip(due, requests, strict=True))
    await asyncio.gather(*(go(connection, todo) for connection in connections))
    return len(requests) / (time.perf_counter() - began), taken


async def claim(connection: Connection, count: int) -> list[bytes]:
    """Claim jobs; return the requests that complete them."""
    completes: list[bytes] = []
    while len(completes) < count:
        wanted = min(BATCH, count - len(completes))
        answer = await connection.send(request("GET", f"/v2/queues/{QUEUE}/jobs?num_jobs={wanted}"))
        completes += [
            request("DELETE", f"/v2/queues/{QUEUE}/jobs/{job['id']}/run-id/{job['run_id']}")
            for job in json.loads(answer.body)
        ]
    return completes


def p99(taken: list[float]) -> float:
    return quantiles(taken, n=100)[98]


async def main(url: str, jobs: int) -> None:
    where = urlsplit(url)
    size = min(BATCH, jobs)
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(Connection, where.hostname or "", where.port or 80))[1]
        for _ in range(CONNECTIONS)
    ]
    requests = [batch(first, size) for first in range(0, 2 * jobs, size)]
    batches, _ = await send_all(connections[:BATCHERS], requests)
    completes, full = await send_all(connections, await claim(connections[0], jobs))
    half = await claim(connections[0], jobs // 2)
    _, calm = await send_all(connections, half, per_second=completes / 2)
    print(
        json.dumps(
            {
                f"complete, {CONNECTIONS} at once": {"per_second": completes, "p99_ms": p99(full)},
                "complete, at half of that speed": {"p99_ms": p99(calm)},
                f"enqueue in batches of {BATCH:,}, {BATCHERS} at once": {
                    "per_second": batches * size
                },
            }
        )
    )


def run(program: Any) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(program)
    else:
        uvloop.run(program)


if __name__ == "__main__":
    run(main(sys.argv[1], int(sys.argv[2])))
