"""The states of a run, and the transitions between them."""

import threading
from collections.abc import Callable
from enum import Enum
from inspect import GEN_CLOSED, getgeneratorstate
from typing import Literal, TypeAlias
from weakref import ref

from relay_sdk._base.flow import Flow

End: TypeAlias = Callable[[], Flow[None]]
"""A way to end a run, such as `run.complete`."""

RunOutcome: TypeAlias = Literal[
    "completed", "rescheduled", "requeued", "removed", "released", "retried", "interrupted",
    "failed", "lost",
]  # fmt: skip


class RunState(Enum):
    """The state of a run. The states after ENDING are final."""

    RUNNING = "running"
    ENDING = "ending"
    """A request that ends the run is under way; if it fails, the run is RUNNING again."""
    COMPLETED = "completed"
    RESCHEDULED = "rescheduled"
    REQUEUED = "requeued"
    REMOVED = "removed"
    RELEASED = "released"
    """The handler has put the job back into its queue."""
    RETRIED = "retried"
    """The worker has put the job back into its queue, because its handler failed."""
    INTERRUPTED = "interrupted"
    """The worker has put the job back into its queue, because it stops."""
    FAILED = "failed"
    """The job has used up its retries and was removed."""
    LOST = "lost"
    """Another run may hold the job."""
    ABANDONED = "abandoned"
    """The worker has stopped handling the run; the job waits for its timeout."""


_OUTCOMES: dict[RunState, RunOutcome] = {
    RunState.COMPLETED: "completed",
    RunState.RESCHEDULED: "rescheduled",
    RunState.REQUEUED: "requeued",
    RunState.REMOVED: "removed",
    RunState.RELEASED: "released",
    RunState.RETRIED: "retried",
    RunState.INTERRUPTED: "interrupted",
    RunState.FAILED: "failed",
}


class RunLifecycle:
    """The state of one run. Its transitions are methods; safe to share between threads."""

    def __init__(self) -> None:
        self._state = RunState.RUNNING
        # Kept beside the state, because they are read often and enums are slow to compare.
        self._over = self._ended = False
        # Weak references: an exception of a signal handler may interrupt any statement, and a flow
        # that is dropped, wherever it was, is no longer under way.
        self._ends: list[ref[Flow[None]]] = []
        self._lock = threading.Lock()
        self._lost_reason: str | None = None
        self._pending_end: End | None = None
        self._stop_requested = False

    @property
    def state(self) -> RunState:
        if self._state is RunState.RUNNING and self.is_ending:
            return RunState.ENDING
        return self._state

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, was lost, or was abandoned."""
        return self._over

    @property
    def is_ended(self) -> bool:
        """Whether the server has ended the run, as this process requested."""
        return self._ended

    @property
    def is_ending(self) -> bool:
        """Whether a request that ends the run is under way."""
        flows = (reference() for reference in self._ends)
        return any(flow is not None and getgeneratorstate(flow) != GEN_CLOSED for flow in flows)

    @property
    def lost_reason(self) -> str | None:
        """Why the job is lost, or `None`. It stays set if an end succeeds after the loss."""
        return self._lost_reason

    @property
    def pending_end(self) -> End | None:
        """The end that the worker has planned, now that the handler has finished."""
        return self._pending_end

    @property
    def stop_requested(self) -> bool:
        """Whether the worker asks the handler to stop."""
        return self._stop_requested

    def begin_end(self, flow: Flow[None]) -> None:
        """Record that a flow is about to end the run."""
        self._ends.append(ref(flow))  # atomic: two threads may end a run at once

    def finish_end(self, state: RunState) -> None:
        """Record the final state of the run. The first one stays."""
        with self._lock:
            if not self._ended:
                self._state = state
                self._ended = self._over = True

    def lose(self, reason: str) -> None:
        """Count the job as lost, unless the server has ended its run."""
        with self._lock:
            if self._lost_reason is None and not self._ended:
                self._lost_reason = reason
                self._over = True
                if self._state is RunState.RUNNING:
                    self._state = RunState.LOST

    def abandon(self) -> None:
        """Leave a run that is not over to the job's timeout."""
        with self._lock:
            if self._state is RunState.RUNNING:
                self._state = RunState.ABANDONED
                self._over = True

    def plan_end(self, end: End) -> None:
        """Set how the worker ends the run, now that its handler has finished."""
        self._pending_end = end

    def request_stop(self) -> None:
        """Ask the handler to stop."""
        self._stop_requested = True

    def outcome(self, *, failed: bool) -> RunOutcome:
        """Return the outcome of the run; `failed` means that its handler did not succeed.

        A run whose handler was cancelled is not over yet: the worker puts its job back.
        """
        if self._lost_reason is not None:
            return "lost"
        return _OUTCOMES.get(self._state) or ("failed" if failed else "interrupted")
