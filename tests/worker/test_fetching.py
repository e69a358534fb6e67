"""Which queue a worker asks for jobs, when and for how many, whatever sends the requests."""

from collections.abc import Callable
from math import inf
from random import Random

import pytest

from relay_sdk import Backoff, ServerBusyError
from relay_sdk.testing import Clock
from relay_sdk.worker.fetching import MAX_JOBS_PER_FETCH, Fetch, Slots

IDLE = Backoff(0.1, maximum=1, factor=2, jitter=0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., Slots]:
    return lambda number, *queues: Slots(number, list(queues or "q"), IDLE, clock)


def ask(slots: Slots) -> Fetch:
    asked = slots.reserve()
    assert asked
    return asked


def answer(slots: Slots, asked: Fetch, jobs: int) -> None:
    slots.free_unused(asked, jobs)
    slots.succeeded(asked, jobs)


def test_all_free_slots_are_asked_for_at_once(make: Callable[..., Slots]) -> None:
    slots = make(8)
    first = ask(slots)
    assert (first.jobs, first.long_poll) == (8, False)
    assert slots.reserve() is None


def test_one_request_asks_for_so_many_jobs_at_most(make: Callable[..., Slots]) -> None:
    slots = make(10 * MAX_JOBS_PER_FETCH)
    assert ask(slots).jobs == MAX_JOBS_PER_FETCH


def test_a_slot_is_free_when_its_handler_has_returned(make: Callable[..., Slots]) -> None:
    slots = make(2)
    answer(slots, ask(slots), 2)
    assert slots.free_early()
    assert ask(slots).jobs == 1


def test_no_more_jobs_wait_for_their_completion_than_there_are_slots(
    make: Callable[..., Slots],
) -> None:
    slots = make(2)
    answer(slots, ask(slots), 2)
    assert slots.free_early()
    assert slots.free_early()
    answer(slots, ask(slots), 2)
    assert not slots.free_early()
    slots.free(freed_early=True)
    assert slots.reserve() is None
    assert slots.free_early()
    assert ask(slots).jobs == 1


def test_a_second_request_goes_while_there_are_more_jobs_and_half_of_the_slots_are_free(
    make: Callable[..., Slots],
) -> None:
    slots = make(8)
    answer(slots, ask(slots), 8)
    slots.free()
    assert ask(slots).jobs == 1
    for _ in range(3):
        slots.free()
        assert slots.reserve() is None
    slots.free()
    assert ask(slots).jobs == 4
    for _ in range(3):
        slots.free()
    assert slots.reserve() is None


def test_a_queue_that_had_fewer_jobs_has_one_request_which_the_server_may_hold(
    make: Callable[..., Slots],
) -> None:
    slots = make(8)
    answer(slots, ask(slots), 3)
    held = ask(slots)
    assert (held.jobs, held.long_poll) == (5, True)
    for _ in range(3):
        slots.free()
    assert slots.reserve() is None
    answer(slots, held, 1)
    assert (ask(slots).jobs, slots.reserve()) == (7, None)


def test_an_empty_queue_is_left_alone_for_a_growing_wait_from_when_it_was_asked(
    make: Callable[..., Slots], clock: Clock
) -> None:
    slots = make(8)
    for wait in (0.1, 0.2, 0.4, 0.8, 1, 1):
        asked = ask(slots)
        clock.advance(0.05)
        answer(slots, asked, 0)
        assert slots.reserve() is None
        assert slots.until_due() == pytest.approx(wait - 0.05)
        clock.advance(slots.until_due() + 0.001)
    answer(slots, ask(slots), 1)
    answer(slots, ask(slots), 0)
    assert slots.until_due() == pytest.approx(0.1)


def test_a_request_that_was_held_is_followed_by_the_next_at_once(
    make: Callable[..., Slots], clock: Clock
) -> None:
    slots = make(8)
    answer(slots, ask(slots), 0)
    clock.advance(0.1)
    held = ask(slots)
    clock.advance(12)
    answer(slots, held, 0)
    assert ask(slots).long_poll


def test_of_several_queues_each_that_is_empty_has_one_slot_held(
    make: Callable[..., Slots], clock: Clock
) -> None:
    slots = make(8, "a", "b")
    for _ in "ab":
        answer(slots, ask(slots), 0)
    clock.advance(1)
    held = {asked.queue.name: asked for asked in (ask(slots), ask(slots))}
    assert {name: (asked.jobs, asked.long_poll) for name, asked in held.items()} == {
        "a": (1, True),
        "b": (1, True),
    }
    assert slots.reserve() is None
    # Jobs have come to one: it fills all slots but the other's.
    answer(slots, held["a"], 1)
    more = ask(slots)
    assert (more.queue.name, more.jobs, more.long_poll) == ("a", 6, False)


def test_nothing_is_held_while_another_queue_has_more_jobs(
    make: Callable[..., Slots], clock: Clock
) -> None:
    slots = make(8, "full", "empty")
    answer(slots, ask(slots), 8)
    slots.free()
    answer(slots, ask(slots), 0)
    clock.advance(1)
    for _ in range(3):
        asked = ask(slots)
        assert not asked.long_poll
        answer(slots, asked, asked.jobs if asked.queue.name == "full" else 0)
        slots.free()


@pytest.mark.parametrize(("number", "held"), [(1, False), (3, False), (4, True)])
def test_nothing_is_held_for_several_queues_when_slots_are_short(
    make: Callable[..., Slots], clock: Clock, number: int, held: bool
) -> None:
    slots = make(number, "a", "b")
    for _ in "ab":
        answer(slots, ask(slots), 0)
    clock.advance(1)
    assert ask(slots).long_poll is held


def test_a_server_is_left_alone_for_as_long_as_it_wants(
    make: Callable[..., Slots], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    slots = make(8, "busy", "other")
    busy = ask(slots)
    slots.free_unused(busy)
    slots.failed(busy, ServerBusyError("next", 429, "", 30))
    for _ in range(29):
        answer(slots, other := ask(slots), 0)
        assert other.queue.name == "other"
        clock.advance(1)
    clock.advance(1)
    assert ask(slots).queue.name == "busy"


def test_one_is_called_at_a_time_and_only_for_what_may_be_asked(
    make: Callable[..., Slots],
) -> None:
    slots = make(8)
    assert slots.call_fetcher()
    assert not slots.call_fetcher()
    answer(slots, ask(slots), 0)
    assert not slots.call_fetcher()
    assert slots.reserve() is None


@pytest.mark.parametrize("seed", range(20))
def test_slots_are_never_promised_twice_and_none_is_forgotten(
    make: Callable[..., Slots], clock: Clock, seed: int
) -> None:
    random = Random(seed)
    number, queues = random.randint(1, 20), "abcd"[: random.randint(1, 4)]
    slots, running = make(number, *queues), 0
    for _ in range(2000):
        do = random.choice(["ask", "answer", "fail", "end", "wait"])
        asks = sorted(slots.fetches, key=lambda asked: asked.queue.name)
        if do == "ask":
            slots.reserve()
        elif do == "answer" and asks:
            asked = random.choice(asks)
            jobs = random.choice([0, random.randint(0, asked.jobs), asked.jobs])
            answer(slots, asked, jobs)
            running += jobs
        elif do == "fail" and asks:
            asked = random.choice(asks)
            slots.free_unused(asked)
            slots.failed(asked, ServerBusyError("next", 503, "", 0))
        elif do == "end" and running:
            slots.free()
            running -= 1
        elif do == "wait":
            clock.advance(random.choice([0.01, 1, 20]))
        assert running + sum(asked.jobs for asked in slots.fetches) <= number
    for asked in list(slots.fetches):
        slots.free_unused(asked)
    for _ in range(running):
        slots.free()
    clock.advance(100)
    answer(slots, asked := ask(slots), asked.jobs)
    for _ in range(asked.jobs):
        slots.free()
    assert ask(slots).jobs == number


def test_who_calls_looks_again_at_once_when_something_may_be_asked(
    make: Callable[..., Slots], clock: Clock
) -> None:
    slots = make(8)
    answer(slots, ask(slots), 0)
    clock.advance(1)
    assert slots.until_due() == 0
    assert slots.call_fetcher()
    assert slots.until_due() == inf


def test_time_that_was_waited_has_passed_though_the_clock_stands_still(
    make: Callable[..., Slots],
) -> None:
    slots = make(2)
    answer(slots, ask(slots), 0)
    assert not slots.call_fetcher()

    slots.waited(slots.until_due())

    assert slots.call_fetcher()
