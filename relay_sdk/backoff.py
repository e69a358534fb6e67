"""How long to wait between attempts."""

import random
from collections.abc import Iterator
from math import inf

from attrs import Factory, field, frozen


def _maximum(backoff: "Backoff") -> float:
    return max(1.0, backoff.initial)


@frozen
class Backoff:
    """Iterable over the seconds to wait before each retry; each iteration starts again.

    The waits grow from `initial` by `factor` up to `maximum` (default: 1, or `initial` if that is
    more). Each is then shortened at random by up to the fraction `jitter`, so that clients that
    failed together do not retry together. There are `retries` waits; `None` means without limit.
    """

    initial: float = 0.1
    maximum: float = field(default=Factory(_maximum, takes_self=True), kw_only=True)
    factor: float = field(default=1.75, kw_only=True)
    jitter: float = field(default=0.25, kw_only=True)
    retries: int | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not 0 < self.initial <= self.maximum < inf:
            raise ValueError(f"need 0 < initial <= maximum < inf: {self}")
        if not (1 <= self.factor < inf and 0 <= self.jitter <= 1):
            raise ValueError(f"need 1 <= factor < inf and 0 <= jitter <= 1: {self}")
        if self.retries is not None and self.retries < 0:
            raise ValueError(f"need retries >= 0 or retries=None: {self}")

    def __iter__(self) -> Iterator[float]:
        wait = self.initial
        count = 0
        while self.retries is None or count < self.retries:
            yield wait * (1 - self.jitter * random.random())
            # Multiplying the capped wait cannot overflow; a power of the factor could.
            wait = min(wait * self.factor, self.maximum)
            count += 1
