"""The time that a whole exchange may take."""

from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Self

PHASES = ("pool", "connect", "write", "read")
LONGEST = 1_000_000.0
"""Seconds, some days: sockets refuse more than 24 days."""


class Left(float):
    """Seconds that were left when a phase began; `ends` is when they are over."""

    ends: float

    def __new__(cls, ends: float) -> Self:
        left = super().__new__(cls, max(0.0, ends - monotonic()))
        left.ends = ends
        return left


class Bound(Mapping[str, Left]):
    """What is left of an exchange's time, in the form of httpx's timeouts.

    httpcore asks for a timeout as its phase begins, so that none begins with more than what is
    left, and so that it is known whether something was sent.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds: float = min(seconds, LONGEST)
        self._ends = monotonic() + self.seconds
        self._phases = set[str]()

    def __getitem__(self, phase: str) -> Left:
        if phase not in PHASES:
            raise KeyError(phase)
        self._phases.add(phase)
        return Left(self._ends)

    def __iter__(self) -> Iterator[str]:
        return iter(PHASES)

    def __len__(self) -> int:
        return len(PHASES)

    @property
    def over(self) -> bool:
        return monotonic() >= self._ends

    @property
    def sent(self) -> bool:
        """Whether the server may have seen the request; a transport that asks nothing may send."""
        return not self._phases or not self._phases.isdisjoint(("write", "read"))
