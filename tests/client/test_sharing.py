"""Threads or tasks can share a client."""

import threading
from collections import Counter
from collections.abc import Iterator

import anyio
import pytest

from relay_sdk import AsyncClient, Client, Queue
from relay_sdk.local import LocalServer

JOBS = [Queue("numbers", payload=int).job(str(n), n) for n in range(400)]
NUMBERS = Queue("numbers", payload=int)


@pytest.fixture
def url() -> Iterator[str]:
    with LocalServer() as server:
        yield server.url


def test_eight_threads_share_a_client_and_every_job_runs_once(url: str) -> None:
    done: Counter[int] = Counter()
    failures: list[BaseException] = []
    lock = threading.Lock()

    def work(relay: Client) -> None:
        try:
            while helpers := relay.next(NUMBERS, 7, timeout=0):
                for helper in helpers:
                    helper.heartbeat(helper.job.payload)
                    helper.complete()
                    with lock:
                        done[helper.job.payload] += 1
        except BaseException as error:
            failures.append(error)
            raise

    with Client(url) as relay:
        relay.enqueue_batch(JOBS)
        threads = [threading.Thread(target=work, args=[relay]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert relay.next(NUMBERS, timeout=0) == []
    assert failures == []
    assert done == Counter(range(400))


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_fifty_tasks_share_a_client_and_every_job_runs_once(url: str) -> None:
    done: Counter[int] = Counter()

    async def work(relay: AsyncClient) -> None:
        while helpers := await relay.next(NUMBERS, 3, timeout=0):
            for helper in helpers:
                await helper.heartbeat(helper.job.payload)
                await helper.complete()
                done[helper.job.payload] += 1

    async with AsyncClient(url) as relay:
        await relay.enqueue_batch(JOBS)
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(work, relay)
        assert await relay.next(NUMBERS, timeout=0) == []
    assert done == Counter(range(400))


def test_threads_share_a_helper() -> None:
    """Its requests are sent one after another, and the run ends once."""
    with LocalServer() as server, Client(server.url) as relay:
        relay.enqueue(JOBS[0])
        (helper,) = relay.next(NUMBERS)
        threads = [threading.Thread(target=helper.heartbeat, args=[n]) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        state = relay.get(NUMBERS, "0").state
        assert state in range(8)
        helper.heartbeat()
        assert relay.get(NUMBERS, "0").state == state
