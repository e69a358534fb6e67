"""What servers on one PostgreSQL do a second, with synced commits, all on this machine.

python benchmarks/postgres.py [--servers 1 2 4] [--rows 1000 1000000] [--jobs 50000]: it starts a
PostgreSQL of its own, as the tests do, fills the queue with rows, and adds and drains jobs over raw
connections, and drains some with a worker. --parts 10 drains them in ten parts, which shows whether
dead rows slow it. Where others use the machine, the CPU time a job costs says more than the rate.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from time import perf_counter

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.postgres import Cluster

from relay_sdk import AsyncClient, AsyncJobHelper, AsyncWorker
from relay_sdk.local.postgres.listener import NotificationListener

TICK = os.sysconf("SC_CLK_TCK")
PAYLOAD = {"to": "somebody@example.org", "subject": "Hello", "tries": 3, "flags": [True, None]}
SLOTS = 50
BATCH = 1000

FILL = """
INSERT INTO jobs (queue, id, timeout, max_retries, retries_remaining, data, updated_at, created_at,
                  run_at)
SELECT 'q', 'old-' || n, '1 hour', 3, 3, %s::jsonb, now(), now(),
    timestamp '2020-01-01' + n * interval '1 s'
FROM generate_series(1, %s) AS n"""


class Connection:
    """Sends one request after another."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def open(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def ask(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        head = (
            f"{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        )
        self._writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        return int(head[9:12]), await self._reader.readexactly(length)


def cpu(pids: list[int]) -> float:
    seconds = 0.0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            seconds += sum(map(int, fields[11:13])) / TICK
    return seconds


class Rig:
    """A PostgreSQL and servers on it."""

    def __init__(self, cluster: Cluster, servers: int) -> None:
        self.cluster = cluster
        python = [sys.executable, "-m", "relay_sdk.local", "--db", cluster.url(), "--port", "0"]
        self.servers = [
            subprocess.Popen([*python, "--log-level", "error"], stdout=subprocess.PIPE, text=True)
            for _ in range(servers)
        ]
        self.ports = [int(s.stdout.readline().strip().rpartition(":")[2]) for s in self.servers]

    def stop(self) -> None:
        for server in self.servers:
            server.terminate()
            server.wait()

    async def connections(self, count: int) -> list[Connection]:
        ports = cycle(self.ports)
        return [await Connection(next(ports)).open() for _ in range(count)]

    @contextmanager
    def measured(self, name: str, jobs: int) -> Iterator[None]:
        servers, backends = [s.pid for s in self.servers], self.cluster.backends("relay")
        before, start = (cpu(servers), cpu(backends)), perf_counter()
        yield
        seconds = perf_counter() - start
        ours, theirs = cpu(servers) - before[0], cpu(backends) - before[1]
        print(
            f"  {name:32} {jobs / seconds:9,.0f}/s   "
            f"CPU a job: servers {ours / jobs * 1e6:6.1f} us, "
            f"PostgreSQL {theirs / jobs * 1e6:6.1f} us",
            flush=True,
        )


async def add(rig: Rig, jobs: int, name: str = "new") -> None:
    bodies = iter(
        json.dumps(
            [
                {"queue": "q", "id": f"{name}-{n}", "timeout": 3600, "payload": PAYLOAD}
                for n in range(first, first + BATCH)
            ]
        ).encode()
        for first in range(0, jobs, BATCH)
    )
    ready = iter(list(bodies))

    async def send(connection: Connection) -> None:
        for body in ready:
            status, text = await connection.ask("POST", "/v2/queues/jobs", body)
            assert status == 202, text

    connections = await rig.connections(4)
    with rig.measured(f"batches of {BATCH:,}", jobs):
        await asyncio.gather(*map(send, connections))


async def drain(rig: Rig, jobs: int) -> None:
    """Take and complete as a worker with slots does: each job has a request of its own."""
    left = jobs

    async def work(poller: Connection, slots: list[Connection]) -> None:
        nonlocal left
        while left > 0:
            left -= len(slots)
            status, body = await poller.ask("GET", f"/v2/queues/q/jobs?num_jobs={len(slots)}")
            assert status == 200, status
            await asyncio.gather(
                *(
                    slot.ask("DELETE", f"/v2/queues/q/jobs/{job['id']}/run-id/{job['run_id']}")
                    for slot, job in zip(slots, json.loads(body), strict=False)
                )
            )

    groups = 5
    pollers = await rig.connections(groups)
    slots = [await rig.connections(SLOTS // groups) for _ in range(groups)]
    with rig.measured(f"drain, {SLOTS} slots", jobs):
        await asyncio.gather(*(work(*each) for each in zip(pollers, slots, strict=True)))


async def work(rig: Rig, jobs: int) -> None:
    """Take and complete with a worker, at the first server."""
    done = 0

    async def handle(_: AsyncJobHelper) -> None:
        nonlocal done
        done += 1
        if done == jobs:
            worker.stop()

    async with AsyncClient(f"http://127.0.0.1:{rig.ports[0]}") as relay:
        worker = AsyncWorker(relay, "q", handle, concurrency=200)
        with rig.measured("drain, AsyncWorker, 200 at once", jobs):
            await worker.run()


async def idle(rig: Rig) -> None:
    """From sending a job to one server until another process hears of it."""
    heard: SimpleQueue[str | None] = SimpleQueue()
    listener = NotificationListener(rig.cluster.url(), lambda queue, _: heard.put(queue))
    heard.get(timeout=30)
    [connection] = await rig.connections(1)
    times: list[float] = []
    for n in range(100):
        await asyncio.sleep(0.01)
        body = [{"queue": "idle", "id": f"{n}", "timeout": 30, "payload": PAYLOAD}]
        start = perf_counter()
        asked = asyncio.ensure_future(
            connection.ask("POST", "/v2/queues/jobs", json.dumps(body).encode())
        )
        await asyncio.to_thread(heard.get)
        times.append(perf_counter() - start)
        await asked
    listener.close()
    print(f"  {'idle: job to notification':32} {median(times) * 1e3:9.1f} ms (median of 100)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--servers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rows", type=int, nargs="+", default=[1000])
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--parts", type=int, default=1)
    options = parser.parse_args()
    for rows in options.rows:
        for servers in options.servers:
            cluster = Cluster()
            try:
                rig = Rig(cluster.start(), servers)
                with psycopg.connect(cluster.url(), autocommit=True) as admin:
                    admin.execute(FILL, (json.dumps(PAYLOAD), rows))
                print(f"{servers} servers, {rows:,} jobs in the queue", flush=True)
                try:
                    asyncio.run(add(rig, options.jobs))
                    for _ in range(options.parts):
                        asyncio.run(drain(rig, options.jobs // options.parts))
                    asyncio.run(add(rig, options.jobs, "more"))
                    asyncio.run(work(rig, options.jobs))
                    asyncio.run(idle(rig))
                finally:
                    rig.stop()
            finally:
                cluster.remove()


if __name__ == "__main__":
    main()
