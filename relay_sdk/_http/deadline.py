"""The time that a whole exchange may take."""

import threading
from collections.abc import Iterator, Mapping
from time import monotonic

PHASES = ("pool", "connect", "write", "read")
LONGEST = 1_000_000.0
"""Seconds, some days: sockets refuse more than 24 days."""


class Bound(Mapping[str, float]):
    """What is left of an exchange's time, in the form of httpx's timeouts.

    A transport asks for a timeout as its phase begins, so that none begins with more than what is
    left, and so that it is known whether something was sent. `stop`, when it is set, ends a wait
    for the first byte of the reply; a transport that reads one forgets it.
    """

    def __init__(self, seconds: float, stop: threading.Event | None = None) -> None:
        self.seconds: float = min(seconds, LONGEST)
        self.ends: float = monotonic() + self.seconds
        self.stop = stop
        self._begun = False
        self._written = False

    def __getitem__(self, phase: str) -> float:
        if phase not in PHASES:
            raise KeyError(phase)
        self._note(phase)
        return max(0.0, self.ends - monotonic())

    def begin(self, phase: str) -> float:
        """Note that a phase begins, and give the seconds that are left, if there are any."""
        self._note(phase)
        left = self.ends - monotonic()
        if left <= 0:
            raise TimeoutError("the time of the exchange is over")
        return left

    def _note(self, phase: str) -> None:
        self._begun = True
        self._written = self._written or phase in ("write", "read")

    def __iter__(self) -> Iterator[str]:
        return iter(PHASES)

    def __len__(self) -> int:
        return len(PHASES)

    @property
    def over(self) -> bool:
        return monotonic() >= self.ends

    @property
    def sent(self) -> bool:
        """Whether the server may have seen the request; a transport that asks nothing may send."""
        return self._written or not self._begun
