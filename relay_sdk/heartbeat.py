"""Automatic heartbeats: what `Run.keep_alive` decides, repeated by a thread or a task."""

import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio

from relay_sdk._clock import Stopped
from relay_sdk._lease import AsyncLease, Lease


@contextmanager
def beating(lease: Lease, interval: float | None) -> Generator[None]:
    """Keep a run alive from a thread; raise `JobLostError` at the end when it was lost."""
    _check_interval(interval)
    run, clock = lease.run, lease.session.policy.clock
    left = threading.Event()

    def beat() -> None:
        wait: float | None = run.interval(interval)
        while wait is not None:
            try:
                clock.sleep(wait, left)
                wait = lease.beat(interval)
            except Stopped:
                return
            except Exception as error:
                run.lost = f"its heartbeats ended with {error!r}"
                raise

    thread = threading.Thread(target=beat, name="relay_sdk heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()
    run.check_kept()


@asynccontextmanager
async def abeating(lease: AsyncLease, interval: float | None) -> AsyncGenerator[None]:
    """Keep a run alive from a task; cancel the block and raise `JobLostError` when it is lost."""
    _check_interval(interval)
    run, clock = lease.run, lease.session.policy.clock
    failure: BaseException | None = None
    async with anyio.create_task_group() as group:

        async def beat() -> None:
            wait: float | None = run.interval(interval)
            while wait is not None:
                await clock.asleep(wait)
                wait = await lease.beat(interval)
            if run.lost is not None:
                group.cancel_scope.cancel()

        group.start_soon(beat)
        try:
            yield
        except (anyio.get_cancelled_exc_class(), GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 raised in here, the group would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    run.check_kept()


def _check_interval(interval: float | None) -> None:
    if interval is not None and not interval > 0:
        raise ValueError(f"interval must be above 0 seconds, not {interval}")
