"""Automatic heartbeats: what `Run.keep_alive` decides, repeated by a thread or a task."""

import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio

from relay_sdk._clock import Stopped
from relay_sdk._run import Run
from relay_sdk._session import AsyncSession, Session


@contextmanager
def beating(
    session: Session, run: Run, turn: threading.Lock, interval: float | None
) -> Generator[None]:
    """Keep a run alive from a thread; raise `JobLostError` at the end when it was lost."""
    _check_interval(interval)
    left = threading.Event()

    def beat() -> None:
        wait: float | None = run.interval(interval)
        while wait is not None:
            try:
                session.policy.clock.sleep(wait, left)
                with turn:
                    wait = session.run(run.keep_alive(interval))
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
async def abeating(
    session: AsyncSession, run: Run, turn: anyio.Lock, interval: float | None
) -> AsyncGenerator[None]:
    """Keep a run alive from a task; cancel the block and raise `JobLostError` when it is lost."""
    _check_interval(interval)
    failure: Exception | None = None
    async with anyio.create_task_group() as group:

        async def beat() -> None:
            wait: float | None = run.interval(interval)
            while wait is not None:
                await session.policy.clock.asleep(wait)
                async with turn:
                    wait = await session.run(run.keep_alive(interval))
            if run.lost is not None:
                group.cancel_scope.cancel()

        group.start_soon(beat)
        try:
            yield
        except Exception as error:  # noqa: BLE001 raised in here, the group would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    run.check_kept()


def _check_interval(interval: float | None) -> None:
    if interval is not None and not interval > 0:
        raise ValueError(f"interval must be above 0 seconds, not {interval}")
