"""`Backoff` returns how long to wait before each retry."""

from itertools import islice, pairwise
from math import inf, nan
from typing import Any

import pytest

from relay_sdk import Backoff


def test_waits_grow_to_the_maximum() -> None:
    assert list(islice(Backoff(1, maximum=5, factor=2, jitter=0), 5)) == [1, 2, 4, 5, 5]


def test_each_iteration_starts_again() -> None:
    backoff = Backoff(1, maximum=9, factor=2, jitter=0)
    for _ in range(2):
        assert list(islice(backoff, 2)) == [1, 2]


def test_waits_grow_from_a_tenth_to_a_second_by_default() -> None:
    assert list(islice(Backoff(jitter=0), 6)) == pytest.approx(
        [0.1, 0.175, 0.30625, 0.5359375, 0.937890625, 1]
    )


def test_jitter_shortens_waits_by_at_most_its_fraction() -> None:
    waits = list(islice(Backoff(2, maximum=2, jitter=0.25), 1000))
    assert all(1.5 <= wait <= 2 for wait in waits)
    assert len(set(waits)) > 900


def test_the_number_of_retries_is_kept() -> None:
    assert len(list(Backoff(retries=4))) == 4
    assert list(Backoff(retries=0)) == []


def test_without_a_number_of_retries_it_never_ends_or_overflows() -> None:
    waits = list(islice(Backoff(0.1, maximum=3, factor=1e300, jitter=0), 10_000))
    assert waits[0] == 0.1
    assert set(waits[1:]) == {3}


def test_the_default_grows() -> None:
    waits = list(islice(Backoff(jitter=0), 10))
    assert all(before <= after for before, after in pairwise(waits))
    assert (waits[0], waits[-1]) == (0.1, 1.0)


@pytest.mark.parametrize("initial", [0.1, 1, 5, 1e6])
def test_without_a_maximum_it_is_never_below_the_initial_wait(initial: float) -> None:
    backoff = Backoff(initial)
    assert backoff.maximum == max(1, initial)
    assert list(islice(Backoff(initial, jitter=0), 20))[-1] == max(1, initial)
    assert Backoff(5) == Backoff(5, maximum=5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial": 0}, {"initial": -1}, {"initial": nan}, {"initial": 2, "maximum": 1},
        {"maximum": nan}, {"factor": 0.5}, {"factor": nan}, {"jitter": -0.1}, {"jitter": 1.1},
        {"jitter": nan}, {"retries": -1}, {"initial": inf},
        {"initial": inf, "maximum": inf},
    ],
    ids=str,
)  # fmt: skip
def test_invalid_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Backoff"):
        Backoff(**wrong)


def test_a_backoff_is_a_value() -> None:
    assert Backoff(1) == Backoff(1)
    assert hash(Backoff(1)) == hash(Backoff(1))
