"""Clients that failed together do not retry together."""

import random
from collections import Counter
from pathlib import Path

import pytest

from relay_sdk._engine.retries import MAX_RETRY_AFTER, requested_delay
from relay_sdk.client import RETRY_BACKOFF
from relay_sdk.exceptions import ServerBusyError
from relay_sdk.worker.execution import OUTAGE_BACKOFF

from . import herd

DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"


def peak(found: list[float], bin: float) -> int:
    return max(Counter(int(moment / bin) for moment in found).values())


def test_retries_of_a_thousand_clients_are_spread() -> None:
    found = herd.attempts(RETRY_BACKOFF, 60)
    assert len(found) == 5 * herd.CLIENTS
    assert max(found) < 3.2  # and there they end
    # The first is within 25 ms, the second within 75.
    assert peak([moment for moment in found if moment > 0.5], 0.01) < 0.15 * herd.CLIENTS


def test_workers_that_waited_for_a_minute_come_back_spread_over_seconds() -> None:
    found = [moment for moment in herd.attempts(OUTAGE_BACKOFF, 65) if moment > 60]
    assert peak(found, 0.1) < 0.05 * herd.CLIENTS


def test_clients_with_the_same_retry_after_do_not_retry_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.random", random.Random(1).random)
    busy = ServerBusyError("x", 503, "", retry_after=30)
    found = [requested_delay(busy, RETRY_BACKOFF) for _ in range(herd.CLIENTS)]
    assert 30 <= min(found) <= max(found) <= 30 * 1.25
    assert peak(found, 0.1) < 0.05 * herd.CLIENTS
    busy.retry_after = 1e9
    assert requested_delay(busy, RETRY_BACKOFF) <= MAX_RETRY_AFTER * 1.25


def test_the_histogram_of_the_docs_is_what_the_program_prints() -> None:
    assert "\n".join(herd.histograms()) in DOCS.read_text("utf-8")
