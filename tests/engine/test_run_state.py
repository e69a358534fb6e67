"""A run has one state, and its transitions hold in every order in which threads may call them."""

import pytest

from relay_sdk._base.flow import Flow, sleep
from relay_sdk._engine.run_state import RunLifecycle, RunState

FINAL = [state for state in RunState if state not in (RunState.RUNNING, RunState.ENDING)]
ENDED = [state for state in FINAL if state not in (RunState.LOST, RunState.ABANDONED)]


def under_way(lifecycle: RunLifecycle) -> Flow[None]:
    """Begin a flow that ends the run."""
    flow = sleep(1)
    lifecycle.begin_end(flow)
    next(flow)
    return flow


def test_a_run_is_running_until_it_ends() -> None:
    lifecycle = RunLifecycle()
    assert (lifecycle.state, lifecycle.is_over) == (RunState.RUNNING, False)
    flow = under_way(lifecycle)
    assert (lifecycle.state, lifecycle.is_over) == (RunState.ENDING, False)
    flow.close()
    lifecycle.finish_end(RunState.COMPLETED)
    assert (lifecycle.state, lifecycle.is_over, lifecycle.is_ended) == (
        RunState.COMPLETED,
        True,
        True,
    )


def test_a_run_whose_end_failed_is_running_again() -> None:
    lifecycle = RunLifecycle()
    under_way(lifecycle).close()
    assert (lifecycle.state, lifecycle.is_ending) == (RunState.RUNNING, False)


def test_a_run_whose_end_was_dropped_anywhere_is_running_again() -> None:
    """The handler of a signal may raise at any statement, and then nothing closes the flow."""
    lifecycle = RunLifecycle()
    lifecycle.begin_end(sleep(1))
    under_way(lifecycle)
    assert (lifecycle.state, lifecycle.is_ending) == (RunState.RUNNING, False)


def test_a_run_is_ending_until_the_last_of_two_ends_has_failed() -> None:
    lifecycle = RunLifecycle()
    first, second = under_way(lifecycle), under_way(lifecycle)
    first.close()
    assert (lifecycle.state, lifecycle.is_ending) == (RunState.ENDING, True)
    second.close()
    assert (lifecycle.state, lifecycle.is_ending) == (RunState.RUNNING, False)


def test_the_first_of_two_ends_that_succeed_is_the_state() -> None:
    lifecycle = RunLifecycle()
    lifecycle.finish_end(RunState.INTERRUPTED)
    lifecycle.finish_end(RunState.COMPLETED)
    assert lifecycle.state is RunState.INTERRUPTED


def test_the_first_reason_of_a_loss_stays() -> None:
    lifecycle = RunLifecycle()
    lifecycle.lose("first")
    lifecycle.lose("second")
    assert (lifecycle.state, lifecycle.lost_reason) == (RunState.LOST, "first")


@pytest.mark.parametrize("state", ENDED)
def test_a_run_that_has_ended_cannot_be_lost_or_abandoned(state: RunState) -> None:
    lifecycle = RunLifecycle()
    lifecycle.finish_end(state)
    lifecycle.lose("late")
    lifecycle.abandon()
    assert (lifecycle.state, lifecycle.lost_reason) == (state, None)


def test_an_abandoned_run_may_turn_out_to_be_lost() -> None:
    lifecycle = RunLifecycle()
    lifecycle.abandon()
    lifecycle.lose("gone")
    assert (lifecycle.state, lifecycle.lost_reason) == (RunState.ABANDONED, "gone")
    assert lifecycle.outcome(failed=True) == "lost"


def test_a_run_that_was_lost_while_it_ended_is_not_called_done() -> None:
    lifecycle = RunLifecycle()
    flow = under_way(lifecycle)
    lifecycle.lose("its timeout has passed")
    flow.close()
    lifecycle.finish_end(RunState.COMPLETED)
    assert lifecycle.is_ended
    assert lifecycle.outcome(failed=False) == "lost"


def test_the_server_has_ended_neither_a_lost_nor_an_abandoned_run() -> None:
    lost, abandoned = RunLifecycle(), RunLifecycle()
    lost.lose("gone")
    abandoned.abandon()
    assert (lost.is_over, lost.is_ended) == (True, False)
    assert (abandoned.is_over, abandoned.is_ended) == (True, False)


@pytest.mark.parametrize("state", ENDED)
@pytest.mark.parametrize("failed", [True, False])
def test_the_outcome_is_the_final_state(state: RunState, failed: bool) -> None:
    lifecycle = RunLifecycle()
    lifecycle.finish_end(state)
    assert lifecycle.outcome(failed=failed) == state.value


def test_a_run_that_did_not_end_has_failed_or_was_interrupted() -> None:
    assert RunLifecycle().outcome(failed=True) == "failed"
    assert RunLifecycle().outcome(failed=False) == "interrupted"
