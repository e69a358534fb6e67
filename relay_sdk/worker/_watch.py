"""What an `on_event` is told of a run in a worker."""

import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable

from attrs import evolve

from relay_sdk._run import Run
from relay_sdk.events import Event, JobEvent, tell


class Watch:
    """Tells how a run begins and, once it is known, how it has ended; stands for its handler."""

    def __init__(
        self, on_event: Callable[[Event], object], run: Run, handle: Callable[[], object]
    ) -> None:
        self._on_event = on_event
        self._run = run
        self._handle = handle
        self._error: BaseException | None = None
        self._returned = False
        self._seconds = 0.0
        attempt = run.count.failures + 1
        self._started = JobEvent(kind="started", raw=run.raw, attempt=attempt, _types=run.types)
        tell(on_event, self._started)
        self._began = time.monotonic()

    def __call__(self) -> object:
        """Call the handler, and note how it was left."""
        try:
            result = self._handle()
        except BaseException as error:
            self._left(error)
            raise
        if isawaitable(result):
            return self._awaited(result)
        self._left()
        return result

    async def _awaited(self, result: Awaitable[object]) -> None:
        try:
            await result
        except BaseException as error:
            self._left(error)
            raise
        self._left()

    def _left(self, error: BaseException | None = None) -> None:
        self._seconds = time.monotonic() - self._began
        self._returned = error is None
        if isinstance(error, Exception | SystemExit):  # else it was made to leave
            self._error = error

    def over(self) -> None:
        """Tell how the run has ended."""
        run, failed = self._run, self._error is not None
        over = evolve(self._started, seconds=self._seconds, error=self._error)
        if run.lost is not None:
            over = evolve(over, kind="lost")
        elif run.released:
            over = evolve(over, kind="retried" if failed else "released")
        elif failed or (self._returned and not run.ended):
            over = evolve(over, kind="failed")
        else:  # whoever has cancelled it puts it back
            over = evolve(over, kind="ended" if run.ended else "released")
        tell(self._on_event, over)
