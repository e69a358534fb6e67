"""What an `on_event` is told of a run in a worker."""

import time
from collections.abc import Callable
from typing import Self

from attrs import evolve

from relay_sdk._run import Run
from relay_sdk.events import Event, JobEvent, tell


class Watch:
    """Tells how a run begins and, once it is known, how it has ended."""

    def __init__(self, on_event: Callable[[Event], object], run: Run) -> None:
        self.error: BaseException | None = None
        self.returned = False
        self._on_event = on_event
        self._run = run
        self._seconds = 0.0
        attempt = run.count.failures + 1
        self._started = JobEvent(kind="started", raw=run.raw, attempt=attempt, _types=run.types)
        tell(on_event, self._started)
        self._began = time.monotonic()

    @classmethod
    def begun(cls, run: Run) -> Self | None:
        """Begin to watch a run, if someone wants to be told."""
        on_event = run.on_event
        return None if on_event is None else cls(on_event, run)

    def left(self) -> None:
        """Note that the handler was left."""
        self._seconds = time.monotonic() - self._began

    def over(self) -> None:
        """Tell how the run has ended."""
        run = self._run
        over = evolve(self._started, seconds=self._seconds, error=self.error)
        if run.lost is not None:
            over = evolve(over, kind="lost")
        elif run.released:
            over = evolve(over, kind="released" if self.error is None else "retried")
        elif self.error is not None or (self.returned and not run.ended):
            over = evolve(over, kind="failed")
        else:  # whoever has cancelled it puts it back
            over = evolve(over, kind="ended" if run.ended else "released")
        tell(self._on_event, over)
