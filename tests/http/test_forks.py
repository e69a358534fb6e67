"""Processes and event loops share no connections."""

import asyncio
import faulthandler
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator

import anyio
import httpx
import pytest
import trio

from relay_sdk import AsyncClient, Client, ClientStateError, Queue
from relay_sdk.local import LocalServer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

JOBS = Queue("numbers", payload=int)
CALLS = 50


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


def in_a_child(do: Callable[[], object]) -> int:
    """Fork, and run the function in the child, whose exit code is 0 on success."""
    pid = os.fork()
    if pid:
        return pid
    sys.settrace(None)  # a tracer may have been forked with its lock held
    faulthandler.dump_traceback_later(30, exit=True)  # of a child that hangs
    try:
        do()
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 pytest's failures are not of Exception
        os.write(2, f"{error!r}\n".encode())
    finally:
        os._exit(1)


def ended_well(*children: int) -> bool:
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    return set(ends) == {0}


def use(relay: Client, id: str) -> None:
    """Enqueue a job, and check that each reply is about it."""
    number = int.from_bytes(id.encode())
    relay.enqueue(JOBS.job(id, number))
    for _ in range(CALLS):
        job = relay.get(JOBS, id)
        assert (job.id, job.payload) == (id, number)


def test_forked_processes_receive_only_their_own_replies(server: LocalServer) -> None:
    with Client(server.url) as relay:
        use(relay, "a")
        children = [in_a_child(lambda name=str(n): use(relay, name)) for n in range(4)]
        use(relay, "b")
        assert ended_well(*children)
        for id in "a", "b", "0", "1", "2", "3":
            assert relay.exists(JOBS, id)


def test_a_fork_during_calls_leaves_nothing_locked(server: LocalServer) -> None:
    over = threading.Event()
    with Client(server.url) as relay:
        use(relay, "busy")

        def keep_calling() -> None:
            while not over.is_set():
                assert relay.get(JOBS, "busy").id == "busy"

        threads = [threading.Thread(target=keep_calling) for _ in range(4)]
        for thread in threads:
            thread.start()
        children = [in_a_child(lambda name=f"m{n}": use(relay, name)) for n in range(8)]
        assert ended_well(*children)
        over.set()
        for thread in threads:
            thread.join()


def test_a_close_in_a_child_closes_no_connection_of_the_parent(server: LocalServer) -> None:
    with Client(server.url) as relay:
        use(relay, "open")

        def close() -> None:
            relay.close()
            with pytest.raises(ClientStateError, match="closed"):
                relay.get(JOBS, "open")

        assert ended_well(in_a_child(close))
        assert relay.get(JOBS, "open").id == "open"


def test_a_forked_process_can_run_a_new_event_loop(server: LocalServer) -> None:
    relay = AsyncClient(server.url)

    async def ask(id: str) -> None:
        for _ in range(CALLS):
            assert (await relay.get(JOBS, id)).id == id

    async def main() -> None:
        for id in "x", "y":
            await relay.enqueue(JOBS.job(id, 1))
        await ask("x")
        children = [in_a_child(lambda: trio.run(ask, "y")) for _ in range(3)]
        await ask("x")
        assert ended_well(*children)
        await relay.aclose()

    asyncio.run(main())


def test_an_own_http_client_is_refused_after_a_fork_if_it_was_used(server: LocalServer) -> None:
    def refused() -> None:
        with pytest.raises(ClientStateError, match=r"'x' in queue 'numbers'.*forked"):
            relay.exists(JOBS, "x")

    with httpx.Client() as own:
        relay = Client(server.url, http_client=own)
        assert ended_well(in_a_child(lambda: relay.exists(JOBS, "x")))
        relay.exists(JOBS, "x")
        assert ended_well(in_a_child(refused))
        relay.exists(JOBS, "x")


def run_on_trio(main: Callable[[], object]) -> object:
    return anyio.run(main, backend="trio")  # type: ignore[arg-type]


def run_on_asyncio(main: Callable[[], object]) -> object:
    return anyio.run(main)  # type: ignore[arg-type]


RUNS = {"asyncio": run_on_asyncio, "trio": run_on_trio}


@pytest.mark.parametrize("first", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("second", RUNS.values(), ids=RUNS)
def test_successive_event_loops_can_use_one_client(
    server: LocalServer, first: Callable[..., object], second: Callable[..., object]
) -> None:
    """No loop leaves a connection open, although the client is not closed."""
    relay = AsyncClient(server.url)

    async def main() -> None:
        for _ in range(3):
            assert not await relay.exists(JOBS, "nothing")

    for run in (first, second, first):
        run(main)


@pytest.mark.parametrize("first", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("second", RUNS.values(), ids=RUNS)
def test_event_loops_in_several_threads_can_use_one_client(
    server: LocalServer, first: Callable[..., object], second: Callable[..., object]
) -> None:
    relay = AsyncClient(server.url)
    both = threading.Barrier(2, timeout=30)
    right = list[bool]()

    async def main() -> None:
        both.wait()
        for _ in range(CALLS):
            right.append(not await relay.exists(JOBS, "nothing"))
        both.wait()

    threads = [threading.Thread(target=run, args=[main]) for run in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 2 * CALLS


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_own_http_client_in_a_second_event_loop_is_refused(server: LocalServer) -> None:
    """httpx leaves a connection open in the first one."""

    def use_twice() -> None:
        relay = AsyncClient(server.url, http_client=httpx.AsyncClient())

        async def main() -> bool:
            return await relay.exists(JOBS, "nothing")

        assert asyncio.run(main()) is False
        with pytest.raises(ClientStateError, match=r"queue 'numbers'.*another event loop"):
            asyncio.run(main())

    use_twice()
    gc.collect()
