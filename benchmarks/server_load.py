"""What the local server answers a second, and what a request costs it.

python benchmarks/server_load.py [SCENARIO ...]: each against a server of its own, on a file, with
synced commits. The client is as small as one can be in Python, so that it is not what is measured;
where others use the machine, the CPU time of the server says more than the rate.
"""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from urllib.parse import urlsplit

try:
    import uvloop
except ImportError:
    uvloop = None

TICK = os.sysconf("SC_CLK_TCK")


class Server:
    """A server as a program of its own."""

    def __init__(self, folder: Path) -> None:
        self.db = folder / "relay.db"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "relay_sdk.local", "--db", self.db, "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        place = urlsplit(self.process.stdout.readline().strip())
        self.host, self.port = place.hostname, place.port

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


class Connection(asyncio.Protocol):
    """Sends one request after another, and measures each."""

    def __init__(self) -> None:
        self.buffer = b""
        self.answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer and not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        status, body = int(head[9:12]), self.buffer[end + 4 : end + 4 + length]
        self.buffer = self.buffer[end + 4 + length :]
        if self.answer and not self.answer.done():
            self.answer.set_result((status, body))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer


def request(method: str, target: str, body: bytes = b"") -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nhost: localhost\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


def batch(first: int, count: int, **extra: object) -> bytes:
    jobs = [
        {"queue": "q", "id": f"job-{n}", "timeout": 3600, "max_retries": 3, "payload": PAYLOAD}
        | extra
        for n in range(first, first + count)
    ]
    return request("POST", "/v2/queues/jobs", json.dumps(jobs).encode())


PAYLOAD = {"to": "somebody@example.org", "subject": "Hello", "tries": 3, "flags": [True, None]}


async def connect(server: Server) -> Connection:
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(Connection, server.host, server.port))[1]


async def send_all(
    server: Server, requests: Iterator[bytes], connections: int, rate: float | None = None
) -> tuple[list[float], float, float]:
    """Send requests over connections, at a rate if given; return latencies, seconds, CPU."""
    open_ = [await connect(server) for _ in range(connections)]
    latencies: list[float] = []
    cpu, start = server.cpu(), perf_counter()
    sent = 0

    async def client(connection: Connection) -> None:
        nonlocal sent
        for item in requests:
            due = perf_counter()
            if rate:
                due = start + sent / rate
                sent += 1
                if (wait := due - perf_counter()) > 0:
                    await asyncio.sleep(wait)
            status, body = await connection.ask(item)
            assert status < 300, (status, body)
            latencies.append(perf_counter() - due)

    await asyncio.gather(*map(client, open_))
    seconds, cpu = perf_counter() - start, server.cpu() - cpu
    for connection in open_:
        connection.transport.close()
    return latencies, seconds, cpu


def show(name: str, result: tuple[list[float], float, float], each: int = 1) -> None:
    latencies, seconds, cpu = result
    cuts = quantiles(latencies, n=100)
    count = len(latencies) * each
    print(
        f"{name:28} {count / seconds:9,.0f}/s  {cpu / count * 1e6:7.1f} us  "
        f"p50 {cuts[49] * 1e3:6.2f}  p99 {cuts[98] * 1e3:6.2f}  max {max(latencies) * 1e3:7.2f} ms"
    )


async def fill(server: Server, count: int, **extra: object) -> None:
    await send_all(server, (batch(n, 1000, **extra) for n in range(0, count, 1000)), 2)


async def take(server: Server, count: int) -> list[dict[str, str]]:
    jobs: list[dict[str, str]] = []
    connection = await connect(server)
    while len(jobs) < count:
        _, body = await connection.ask(request("GET", "/v2/queues/q/jobs?num_jobs=1000"))
        jobs += json.loads(body)
    connection.transport.close()
    return jobs


def completes(jobs: list[dict[str, str]]) -> Iterator[bytes]:
    for job in jobs:
        yield request("DELETE", f"/v2/queues/q/jobs/{job['id']}/run-id/{job['run_id']}")


async def complete(server: Server) -> None:
    await fill(server, 60_000)
    jobs = await take(server, 60_000)
    show("complete, 50 at once", await send_all(server, completes(jobs[:30_000]), 50))
    show("complete, 200 at once", await send_all(server, completes(jobs[30_000:]), 200))


async def pace(server: Server) -> None:
    await fill(server, 20_000)
    jobs = await take(server, 20_000)
    show("complete, 6,000 a second", await send_all(server, completes(jobs), 50, rate=6000))


async def enqueue(server: Server) -> None:
    single = (batch(n, 1) for n in range(20_000))
    show("enqueue, 32 at once", await send_all(server, single, 32))
    one = (batch(n, 1) for n in range(50_000, 51_000))
    show("enqueue, one after another", await send_all(server, one, 1))


async def batches(server: Server) -> None:
    ready = [batch(n, 1000) for n in range(0, 100_000, 1000)]
    show("batches of 1,000", await send_all(server, iter(ready), 4), 1000)


ROWS = """
WITH RECURSIVE row (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM row WHERE n < ?)
INSERT INTO jobs (queue, id, timeout, payload, run_at, updated_at, created_at)
SELECT 'q', 'row-' || n, 3600, '{"to": "somebody@example.org"}', n, n, n FROM row"""


async def claims(server: Server) -> None:
    ask = request("GET", "/v2/queues/q/jobs")
    await fill(server, 5000)
    show("claim of 1 among 5,000", await send_all(server, iter([ask] * 3000), 16))
    with closing(sqlite3.connect(server.db)) as connection, connection:
        connection.execute(ROWS, (1_000_000,))
    show("claim of 1 among 1,000,000", await send_all(server, iter([ask] * 3000), 16))
    ask = request("GET", "/v2/queues/q/jobs?num_jobs=1000")
    show("claim of 1,000", await send_all(server, iter([ask] * 100), 1), 1000)


async def crowd(server: Server) -> None:
    """1,000 connections at once, and a new one beside 2,000 busy ones."""
    ask = request("GET", "/v2/queues/q/jobs")

    async def one() -> float:
        start = perf_counter()
        connection = await connect(server)
        await connection.ask(ask)
        connection.transport.close()
        return perf_counter() - start

    cpu, start = server.cpu(), perf_counter()
    times = await asyncio.gather(*(one() for _ in range(1000)))
    show("1,000 connections at once", (times, perf_counter() - start, server.cpu() - cpu))

    busy = [await connect(server) for _ in range(2000)]
    stop = False

    async def work(connection: Connection) -> None:
        while not stop:
            await connection.ask(ask)

    tasks = [asyncio.ensure_future(work(connection)) for connection in busy]
    await asyncio.sleep(0.5)
    cpu, start = server.cpu(), perf_counter()
    times = [await one() for _ in range(20)]
    show("new beside 2,000 busy ones", (times, perf_counter() - start, server.cpu() - cpu))
    stop = True
    await asyncio.gather(*tasks)
    for connection in busy:
        connection.transport.close()


async def huge(server: Server) -> None:
    """What others wait while one asks for everything."""
    for n in range(0, 200_000, 5000):
        await send_all(server, iter([batch(n, 5000)]), 1)
    greedy, other = await connect(server), await connect(server)
    asked = asyncio.ensure_future(greedy.ask(request("GET", "/v2/queues/q/jobs?num_jobs=10000000")))
    times: list[float] = []
    cpu, start = server.cpu(), perf_counter()
    while not asked.done() or len(times) < 100:
        began = perf_counter()
        await other.ask(request("GET", "/v2/queues/other/jobs"))
        times.append(perf_counter() - began)
    show("beside a huge claim", (times, perf_counter() - start, server.cpu() - cpu))


async def held(server: Server) -> None:
    """From an enqueue to the answer of a request that waits for it."""
    waiting = request("GET", "/v2/queues/q/jobs").replace(
        b"\r\n\r\n", b"\r\nprefer: wait=30\r\n\r\n"
    )
    waiter, producer = await connect(server), await connect(server)
    times: list[float] = []
    cpu, start = server.cpu(), perf_counter()
    for n in range(500):
        answer = asyncio.ensure_future(waiter.ask(waiting))
        await asyncio.sleep(0.005)
        began = perf_counter()
        await producer.ask(batch(n, 1))
        status, _ = await answer
        assert status == 200, status
        times.append(perf_counter() - began)
    show("enqueue to held answer", (times, perf_counter() - start, server.cpu() - cpu))

    many = [await connect(server) for _ in range(9000)]
    answers = [asyncio.ensure_future(each.ask(waiting)) for each in many]
    await asyncio.sleep(5)
    cpu = server.cpu()
    await asyncio.sleep(10)
    print(f"{len(many):,} held: {(server.cpu() - cpu) / 10 * 100:.1f} % of a CPU")
    for each in many:
        each.transport.close()
    await asyncio.gather(*answers, return_exceptions=True)


SCENARIOS: dict[str, Callable[[Server], Awaitable[None]]] = {
    each.__name__: each for each in (complete, pace, enqueue, batches, claims, crowd, huge, held)
}


@contextmanager
def running() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            yield server
        finally:
            server.process.terminate()
            server.process.wait()


def main() -> None:
    for name in sys.argv[1:] or SCENARIOS:
        with (
            running() as server,
            asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner,
        ):
            runner.run(SCENARIOS[name](server))


if __name__ == "__main__":
    main()
