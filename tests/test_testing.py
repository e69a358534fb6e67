"""The test tools of users: a manual clock, waits that take no time, and drained workers."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import anyio
import httpx
import pytest

from relay_sdk import (
    AsyncJobHelper,
    AsyncWorker,
    Backoff,
    Client,
    Event,
    JobEvent,
    JobHelper,
    JobLostError,
    Queue,
    ServerBusyError,
    Worker,
)
from relay_sdk._engine.config import ApiChoice
from relay_sdk.local import Response
from relay_sdk.testing import Clock, Idle, InProcessServer, adrain, drain, transport

START = datetime(2030, 1, 1, tzinfo=UTC)
NUMBERS = Queue("numbers", payload=int, state=int)
WEEK = timedelta(days=7)
PATIENCE = 10  # seconds after which a thread counts as hanging

both_loops = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
each_api = pytest.mark.parametrize("api", ["v1", "v2"])


class Server(InProcessServer):
    """Refuses the next `busy` requests."""

    busy = 0

    def __call__(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        if self.busy:
            self.busy -= 1
            return Response(503, {"content-type": "text/plain"}, b"busy")
        return super().__call__(method, target, headers, body)

    @property
    def passed(self) -> timedelta:
        return self.clock.now() - START


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Clock(START, skip=False)) as server:
        yield server


def test_a_clock_moves_by_seconds_or_a_timedelta_and_never_back() -> None:
    clock = Clock(START)
    clock.advance(1.5)
    clock.advance(WEEK)
    assert clock.now() == START + WEEK + timedelta(seconds=1.5)
    assert clock.monotonic() == WEEK.total_seconds() + 1.5
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_the_shortest_wait_moves_a_skipping_clock() -> None:
    clock = Clock(START)
    clock.sleep(1e-9)
    assert clock.now() > START


def test_a_wait_in_a_thread_ends_when_the_clock_was_moved_far_enough() -> None:
    clock = Clock(START, skip=False)
    thread = threading.Thread(target=clock.sleep, args=[3600], daemon=True)
    thread.start()
    while thread.is_alive():
        clock.advance(600)
        thread.join(0.001)


@both_loops
async def test_a_wait_in_a_task_ends_when_the_clock_was_moved_far_enough(
    anyio_backend: str,
) -> None:
    clock = Clock(START, skip=False)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(clock.asleep, 3600)
            await anyio.wait_all_tasks_blocked()
            clock.advance(3600)


@both_loops
async def test_a_wait_for_a_clock_that_is_not_moved_ends_in_real_time(anyio_backend: str) -> None:
    clock = Clock(START, skip=False)
    clock.sleep(0.01)
    await clock.asleep(0.01)
    assert clock.now() == START


def test_the_clock_of_a_server_starts_at_the_present() -> None:
    with InProcessServer() as server:
        assert abs(server.clock.now() - datetime.now(UTC)) < timedelta(minutes=10)


@each_api
def test_next_goes_straight_to_a_scheduled_job(server: Server, api: ApiChoice) -> None:
    relay = server.client(api=api)
    relay.enqueue(NUMBERS.job("1", 1, run_at=START + WEEK))
    [helper] = relay.next(NUMBERS)
    assert helper.job.payload == 1
    assert server.passed == WEEK


@each_api
def test_next_goes_straight_to_the_end_of_a_timeout(server: Server, api: ApiChoice) -> None:
    relay = server.client(api=api)
    relay.enqueue(NUMBERS.job("1", 1, timeout=1))
    [first] = relay.next(NUMBERS)
    first.heartbeat(7)
    [again] = relay.next(NUMBERS)
    assert again.job.state == 7
    assert server.passed == timedelta(seconds=1, microseconds=1)


def test_next_stops_at_its_own_timeout(server: Server) -> None:
    relay = server.client()
    relay.enqueue(NUMBERS.job("1", 1, run_at=START + WEEK))
    assert relay.next(NUMBERS, timeout=5) == []
    assert server.passed == timedelta(seconds=5)
    assert relay.next("empty", timeout=2.5) == []
    assert server.passed == timedelta(seconds=7.5)


def test_what_is_due_moves_nothing(server: Server) -> None:
    relay = server.client()
    relay.enqueue(NUMBERS.job("1", 1))
    assert relay.next(NUMBERS, timeout=0)
    assert relay.next(NUMBERS, timeout=0) == []
    assert server.passed == timedelta()


def test_next_says_that_it_would_wait_forever_and_lists_the_jobs(server: Server) -> None:
    relay = server.client()
    relay.enqueue(Queue("number").job("1", 1))
    with pytest.raises(Idle, match="1 in queue 'number'"):
        relay.next(NUMBERS)
    with pytest.raises(Idle, match="none"), InProcessServer() as empty:
        empty.client().next(NUMBERS)


def test_a_loop_that_catches_errors_ends_when_idle(server: Server) -> None:
    relay = server.client()
    relay.enqueue_batch([NUMBERS.job("1", 1), NUMBERS.job("2", 2, run_at=START + WEEK)])
    seen = []

    def consume() -> None:
        while True:
            try:
                for helper in relay.iter(NUMBERS):
                    seen.append(helper.job.payload)
                    helper.complete()
                    raise ConnectionError
            except Exception:  # noqa: BLE001
                continue

    with pytest.raises(Idle):
        consume()
    assert seen == [1, 2]


def test_a_loop_ends_when_it_is_told_to(server: Server) -> None:
    relay = server.client()
    relay.enqueue_batch([NUMBERS.job("1", 1), NUMBERS.job("2", 2, run_at=START + WEEK)])
    stop = threading.Event()
    for helper in relay.iter(NUMBERS, stop=stop):
        helper.complete()
        if helper.job.payload == 2:
            stop.set()
    assert server.passed == WEEK


def test_retries_cost_no_time(server: Server) -> None:
    relay = server.client(api="v2")
    server.busy = 3
    relay.enqueue(NUMBERS.job("1", 1))
    assert relay.exists(NUMBERS, "1")
    assert server.passed > timedelta()
    server.busy = 100
    with pytest.raises(ServerBusyError):
        relay.remove(NUMBERS, "1")


@both_loops
async def test_async_waits_are_alike(server: Server, anyio_backend: str) -> None:
    relay = server.async_client()
    await relay.enqueue(NUMBERS.job("1", 1, timeout=30))
    await relay.next(NUMBERS)
    [again] = await relay.next(NUMBERS)
    await again.complete()
    await relay.enqueue(NUMBERS.job("2", 2, run_at=START + WEEK))
    helper = await anext(relay.iter(NUMBERS))
    assert helper.job.payload == 2
    assert server.passed == WEEK
    await helper.complete()
    with pytest.raises(Idle):
        await relay.next(NUMBERS)


@both_loops
async def test_async_calls_let_other_tasks_run(server: Server, anyio_backend: str) -> None:
    relay = server.async_client()
    await relay.enqueue(NUMBERS.job("1", 1))
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(relay.remove, NUMBERS, "1")
            while await relay.exists(NUMBERS, "1"):
                pass


def test_one_async_client_serves_several_event_loops(server: Server) -> None:
    relay = server.async_client()
    asyncio.run(relay.enqueue(NUMBERS.job("1", 1)))
    assert asyncio.run(relay.exists(NUMBERS, "1"))
    assert server.client().exists(NUMBERS, "1")


def test_automatic_heartbeats_follow_the_clock(server: Server) -> None:
    relay = server.client()
    relay.enqueue(NUMBERS.job("1", 1, timeout=10**6))
    [helper] = relay.next(NUMBERS)
    with helper.heartbeat_auto(interval=60):
        while relay.get(NUMBERS, "1").updated_at == START:
            server.clock.advance(1)
    helper.complete()


def test_a_jump_beyond_the_timeout_loses_the_job(server: Server) -> None:
    relay = server.client()
    relay.enqueue(NUMBERS.job("1", 1, timeout=30))
    [helper] = relay.next(NUMBERS)
    server.clock.advance(31)
    relay.next(NUMBERS, timeout=0)
    with pytest.raises(JobLostError):
        helper.heartbeat()


def test_drain_runs_what_is_due_in_order_and_in_this_thread(server: Server) -> None:
    relay = server.client()
    seen = []

    def handle(helper: JobHelper[int, int]) -> None:
        seen.append((helper.job.payload, threading.current_thread()))

    relay.enqueue_batch(
        [
            NUMBERS.job("1", 1, run_at=START),
            NUMBERS.job("2", 2, run_at=START - WEEK),
            NUMBERS.job("3", 3, run_at=START + WEEK),
        ]
    )
    worker = Worker(relay, NUMBERS, handle)
    assert drain(worker) == 2
    assert drain(worker) == 0
    assert server.passed == timedelta()
    server.clock.advance(WEEK)
    assert drain(worker) == 1
    assert seen == [(number, threading.current_thread()) for number in (2, 1, 3)]
    assert not relay.exists(NUMBERS, "2")


def test_drain_follows_jobs_from_queue_to_queue(server: Server) -> None:
    relay = server.client()
    squares = Queue("squares", payload=int)
    seen = []

    def square(helper: JobHelper[int, int]) -> None:
        helper.requeue([squares.job(helper.job.id, helper.job.payload**2)])

    worker = Worker(relay, squares, lambda helper: seen.append(helper.job.payload))
    relay.enqueue_batch([NUMBERS.job("1", 1), NUMBERS.job("2", 2)])
    assert drain(worker.add(NUMBERS, square)) == 4
    assert sorted(seen) == [1, 4]


def test_drain_raises_the_error_of_the_handler_after_the_worker_has_handled_it(
    server: Server,
) -> None:
    relay = server.client()
    calls: list[tuple[str, str]] = []

    def handle(helper: JobHelper[int, int]) -> None:
        raise ValueError(helper.job.id)

    worker = Worker(
        relay,
        NUMBERS,
        handle,
        retry=Backoff(10, maximum=10, jitter=0, retries=1),
        on_error=lambda helper, error: calls.append(("error", str(error))),
        on_retries_exhausted=lambda helper, error: calls.append(("give up", str(error))),
    )
    relay.enqueue(NUMBERS.job("1", 1))
    with pytest.raises(ValueError, match="1"):
        drain(worker)
    assert relay.get(NUMBERS, "1").run_at == START + timedelta(seconds=10)
    assert drain(worker) == 0
    server.clock.advance(10)
    with pytest.raises(ValueError, match="1"):
        drain(worker)
    assert calls == [("error", "1"), ("error", "1"), ("give up", "1")]
    assert not relay.exists(NUMBERS, "1")


def test_jobs_after_a_failure_are_left_for_the_next_drain(server: Server) -> None:
    relay = server.client()

    def handle(helper: JobHelper[int, int]) -> None:
        assert helper.job.payload != 1

    worker = Worker(relay, NUMBERS, handle)
    relay.enqueue_batch([NUMBERS.job("1", 1, timeout=30), NUMBERS.job("2", 2)])
    with pytest.raises(AssertionError):
        drain(worker)
    assert drain(worker) == 1
    server.clock.advance(31)
    with pytest.raises(AssertionError):
        drain(worker)


def test_drain_raises_the_error_of_the_handler_also_with_on_event(server: Server) -> None:
    def handle(helper: JobHelper[int, int]) -> None:
        raise LookupError

    events: list[Event] = []
    http = httpx.Client(transport=transport(server))
    server.client().enqueue(NUMBERS.job("1", 1))
    with (
        Client(
            "http://relay", http_client=http, clock=server.clock, on_event=events.append
        ) as relay,
        pytest.raises(LookupError),
    ):
        drain(Worker(relay, NUMBERS, handle))
    kinds = [event.kind for event in events if isinstance(event, JobEvent)]
    assert kinds == ["started", "failed"]


def test_drain_lets_a_handler_end_the_test(server: Server) -> None:
    relay = server.client()
    worker = Worker(relay, NUMBERS, lambda helper: pytest.fail("wrong"))
    relay.enqueue(NUMBERS.job("1", 1))
    with pytest.raises(pytest.fail.Exception):
        drain(worker)


def test_drain_gives_up_on_a_handler_that_queues_its_job_for_now(server: Server) -> None:
    relay = server.client()
    worker = Worker(relay, NUMBERS, lambda helper: helper.reschedule())
    relay.enqueue(NUMBERS.job("1", 1))
    with pytest.raises(RuntimeError, match="20 jobs were run"):
        drain(worker, limit=20)


@both_loops
async def test_adrain_is_alike_for_tasks(server: Server, anyio_backend: str) -> None:
    relay = server.async_client()
    seen: list[int] = []

    async def handle(helper: AsyncJobHelper[int, int]) -> None:
        seen.append(helper.job.payload)
        await helper.heartbeat(1)
        if helper.job.state is None:
            raise ValueError(helper.job.id)

    worker = AsyncWorker(relay, NUMBERS, handle)
    await relay.enqueue(NUMBERS.job("1", 1, timeout=30))
    with pytest.raises(ValueError, match="1"):
        await adrain(worker)
    assert await adrain(worker) == 0
    server.clock.advance(31)
    assert await adrain(worker) == 1
    assert seen == [1, 1]


@both_loops
async def test_adrain_lets_a_handler_end_the_test(server: Server, anyio_backend: str) -> None:
    relay = server.async_client()

    async def handle(helper: AsyncJobHelper[int, int]) -> None:
        pytest.fail("wrong")

    await relay.enqueue(NUMBERS.job("1", 1))
    with pytest.raises(pytest.fail.Exception):
        await adrain(AsyncWorker(relay, NUMBERS, handle))


@both_loops
async def test_a_time_limit_around_adrain_ends_a_handler_that_hangs(
    server: Server, anyio_backend: str
) -> None:
    async def handle(helper: AsyncJobHelper[int, int]) -> None:
        await anyio.Event().wait()

    relay = server.async_client()
    await relay.enqueue(NUMBERS.job("a", 1))
    with anyio.move_on_after(0.05) as scope:
        await adrain(AsyncWorker(relay, NUMBERS, handle))
    assert scope.cancelled_caught
    if anyio_backend == "asyncio":
        await relay.enqueue(NUMBERS.job("b", 1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await adrain(AsyncWorker(relay, NUMBERS, handle))


@both_loops
async def test_adrain_gives_up_on_a_handler_that_queues_its_job_for_now(
    server: Server, anyio_backend: str
) -> None:
    relay = server.async_client()

    async def handle(helper: AsyncJobHelper[int, int]) -> None:
        await helper.reschedule()

    await relay.enqueue(NUMBERS.job("1", 1))
    with pytest.raises(RuntimeError, match="20 jobs were run"):
        await adrain(AsyncWorker(relay, NUMBERS, handle), limit=20)


@both_loops
async def test_adrain_runs_plain_functions_too(server: Server, anyio_backend: str) -> None:
    relay = server.async_client()
    seen: list[int] = []

    def handle(helper: AsyncJobHelper[int, int]) -> None:
        seen.append(helper.job.payload)

    await relay.enqueue_batch([NUMBERS.job("1", 1), NUMBERS.job("2", 2)])
    assert await adrain(AsyncWorker(relay, NUMBERS, handle)) == 2
    assert seen == [1, 2]


def test_a_worker_in_threads_works_and_leaves_without_the_clock(server: Server) -> None:
    relay = server.client()
    seen = threading.Event()

    with Worker(relay, NUMBERS, lambda helper: seen.set()):
        relay.enqueue(NUMBERS.job("1", 1))
        assert seen.wait(PATIENCE)
    assert not relay.exists(NUMBERS, "1")
    assert server.passed == timedelta()


def test_a_worker_whose_handler_waits_for_the_end_leaves_without_the_clock(server: Server) -> None:
    relay = server.client()
    begun = threading.Event()

    def handle(helper: JobHelper[int, int]) -> None:
        begun.set()
        while not helper.stopping:
            pass

    relay.enqueue(NUMBERS.job("1", 1))
    with Worker(relay, NUMBERS, handle, graceful_shutdown_timeout=0.01):
        assert begun.wait(PATIENCE)
    assert not relay.exists(NUMBERS, "1")


@both_loops
async def test_a_worker_in_tasks_works_and_leaves_without_the_clock(
    server: Server, anyio_backend: str
) -> None:
    relay = server.async_client()
    seen = anyio.Event()

    async def handle(helper: AsyncJobHelper[int, int]) -> None:
        seen.set()

    with anyio.fail_after(PATIENCE):
        async with AsyncWorker(relay, NUMBERS, handle):
            await relay.enqueue(NUMBERS.job("1", 1))
            await seen.wait()
    assert not await relay.exists(NUMBERS, "1")
    assert server.passed == timedelta()
