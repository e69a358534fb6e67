"""Jobs on a bad network: no accepted job is lost, and no refused job runs."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import pytest

from relay_sdk import (
    AsyncClient,
    AsyncJobHelper,
    AsyncWorker,
    Client,
    JobHelper,
    RelayError,
    Worker,
)
from relay_sdk.local import LocalServer

from .ledger import LEASE, QUICK, File, Ledger, resources, wait_until
from .proxy import FAULTS, FaultProxy, by_chance

JOBS = int(os.environ.get("RELAY_FAULT_JOBS", "100"))
SEED = int(os.environ.get("RELAY_FAULT_SEED", "1"))
RATE = 0.1
ENOUGH = 20 + JOBS / 20
"""Seconds."""

Api = Literal["v1", "v2"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def proxied(server: LocalServer) -> FaultProxy:
    address = urlsplit(server.url)
    assert address.hostname is not None
    assert address.port is not None
    return FaultProxy((address.hostname, address.port), by_chance(SEED, RATE))


def threads(ledger: Ledger, url: str, api: Api, file: File) -> None:
    def enqueue(number: int) -> None:
        id = f"job-{number}"
        try:
            client.enqueue(ledger.jobs.job(id, number, timeout=LEASE))
        except RelayError as error:
            ledger.enqueued(id, error)
        else:
            ledger.enqueued(id, None)

    def handle(helper: JobHelper[int, int]) -> None:
        id = helper.raw.id
        state = ledger.begun(id, helper.job.state, file.created_at(id))
        helper.heartbeat(state)
        ledger.kept(id, state)
        ledger.ended(id)

    made = Client(url, api=api, timeout=0.5, retry_backoff=QUICK, next_backoff=QUICK)
    with made as client, Worker(client, ledger.jobs, handle, concurrency=16):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(enqueue, range(JOBS)))
        wait_until(lambda: not file.jobs_left(), ENOUGH)


async def tasks(ledger: Ledger, url: str, api: Api, file: File) -> None:
    async def enqueue(first: int) -> None:
        for number in range(first, JOBS, 8):
            id = f"job-{number}"
            try:
                await client.enqueue(ledger.jobs.job(id, number, timeout=LEASE))
            except RelayError as error:
                ledger.enqueued(id, error)
            else:
                ledger.enqueued(id, None)

    async def handle(helper: AsyncJobHelper[int, int]) -> None:
        id = helper.raw.id
        state = ledger.begun(id, helper.job.state, file.created_at(id))
        await helper.heartbeat(state)
        ledger.kept(id, state)
        ledger.ended(id)

    made = AsyncClient(url, api=api, timeout=0.5, retry_backoff=QUICK, next_backoff=QUICK)
    async with made as client, AsyncWorker(client, ledger.jobs, handle, concurrency=16):
        async with anyio.create_task_group() as group:
            for first in range(8):
                group.start_soon(enqueue, first)
        await anyio.to_thread.run_sync(wait_until, lambda: not file.jobs_left(), ENOUGH)


@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["threads", "asyncio", "trio"])
def test_accepted_jobs_complete_with_faults_on_a_tenth_of_the_exchanges(
    kind: str, api: Api, tmp_path: Path
) -> None:
    before = resources()
    ledger, file = Ledger(), File(tmp_path / "relay.db")
    with LocalServer(file.path, reap_interval=0.2) as server, proxied(server) as proxy:
        if kind == "threads":
            threads(ledger, proxy.url, api, file)
        else:
            anyio.run(tasks, ledger, proxy.url, api, file, backend=kind)
    print(f"seed {SEED}: {len(proxy.spoiled)} faults, {ledger.summary()}")
    ledger.check()
    assert len(ledger.accepted) + len(ledger.unsure) + len(ledger.refused) == JOBS
    assert len(ledger.accepted) > 0.95 * JOBS
    assert set(proxy.spoiled) <= set(FAULTS)
    assert len(proxy.spoiled) > JOBS / 20
    wait_until(lambda: resources() <= before, 10)
