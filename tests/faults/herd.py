"""Retries of 1,000 clients, as a histogram for docs/reliability.md: `python herd.py`."""

import random
from collections import Counter
from collections.abc import Iterable
from itertools import chain, repeat
from unittest.mock import patch

from relay_sdk import Backoff
from relay_sdk.client import RETRY_BACKOFF
from relay_sdk.worker.execution import OUTAGE_BACKOFF

CLIENTS = 1000
BIN = 0.25
"""Seconds."""


def moments(waits: Iterable[float], until: float) -> list[float]:
    """Return when a client that fails at 0 and at each retry sends its requests."""
    now, found = 0.0, list[float]()
    for wait in waits:
        now += wait
        if now > until:
            break
        found.append(now)
    return found


def attempts(backoff: Backoff, until: float, seed: int = 1) -> list[float]:
    with patch("random.random", random.Random(seed).random):
        return list(chain.from_iterable(moments(backoff, until) for _ in repeat(None, CLIENTS)))


def histogram(found: Iterable[float]) -> list[str]:
    counts = Counter(int(moment / BIN) for moment in found)
    return [
        f"{n * BIN:6.2f} s {counts[n]:5}  {'#' * (counts[n] // 25)}".rstrip()
        for n in range(min(counts), max(counts) + 1)
    ]


def histograms() -> list[str]:
    away = [moment for moment in attempts(OUTAGE_BACKOFF, 63.0) if moment >= 60]
    return [
        "Calls that failed at 0 s, tried again:",
        *histogram(attempts(RETRY_BACKOFF, 60)),
        "",
        "Workers whose server went at 0 s, when it comes back at 60 s:",
        *histogram(away),
    ]


if __name__ == "__main__":
    print("\n".join(histograms()))
