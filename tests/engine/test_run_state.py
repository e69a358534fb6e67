"""A run has one state, and its transitions hold in every order in which threads may call them."""

import pytest

from relay_sdk._engine.run_state import RunLifecycle, RunState

FINAL = [state for state in RunState if state not in (RunState.RUNNING, RunState.ENDING)]


def test_a_run_is_running_until_it_ends() -> None:
    lifecycle = RunLifecycle()
    assert (lifecycle.state, lifecycle.is_over, lifecycle.is_ended) == (
        RunState.RUNNING,
        False,
        False,
    )
    lifecycle.begin_end()
    assert (lifecycle.state, lifecycle.is_over) == (RunState.ENDING, False)
    lifecycle.finish_end(RunState.COMPLETED)
    assert (lifecycle.state, lifecycle.is_over, lifecycle.is_ended) == (
        RunState.COMPLETED,
        True,
        True,
    )


def test_a_run_whose_end_failed_is_running_again() -> None:
    lifecycle = RunLifecycle()
    lifecycle.begin_end()
    lifecycle.finish_end(None)
    assert lifecycle.state is RunState.RUNNING
    assert not lifecycle.is_ending


def test_a_run_is_ending_until_the_last_of_two_ends_has_failed() -> None:
    lifecycle = RunLifecycle()
    lifecycle.begin_end()
    lifecycle.begin_end()
    lifecycle.finish_end(None)
    assert (lifecycle.state, lifecycle.is_ending) == (RunState.ENDING, True)
    lifecycle.finish_end(None)
    assert (lifecycle.state, lifecycle.is_ending) == (RunState.RUNNING, False)


def test_a_failed_end_does_not_undo_one_that_succeeded() -> None:
    lifecycle = RunLifecycle()
    lifecycle.begin_end()
    lifecycle.begin_end()
    lifecycle.finish_end(RunState.RELEASED)
    lifecycle.finish_end(None)
    assert lifecycle.state is RunState.RELEASED


def test_the_first_reason_of_a_loss_stays() -> None:
    lifecycle = RunLifecycle()
    lifecycle.lose("first")
    lifecycle.lose("second")
    assert (lifecycle.state, lifecycle.lost_reason) == (RunState.LOST, "first")


@pytest.mark.parametrize("state", [RunState.COMPLETED, RunState.RETRIED, RunState.FAILED])
def test_a_run_that_has_ended_cannot_be_lost_or_abandoned(state: RunState) -> None:
    lifecycle = RunLifecycle()
    lifecycle.begin_end()
    lifecycle.finish_end(state)
    lifecycle.lose("late")
    lifecycle.abandon()
    assert (lifecycle.state, lifecycle.lost_reason) == (state, None)


def test_a_run_that_was_lost_while_it_ended_is_not_called_done() -> None:
    lifecycle = RunLifecycle()
    lifecycle.begin_end()
    lifecycle.lose("its timeout has passed")
    lifecycle.finish_end(RunState.COMPLETED)
    assert lifecycle.is_ended
    assert lifecycle.outcome(failed=False) == "lost"


def test_the_server_has_ended_neither_a_lost_nor_an_abandoned_run() -> None:
    lost, abandoned = RunLifecycle(), RunLifecycle()
    lost.lose("gone")
    abandoned.abandon()
    assert (lost.is_over, lost.is_ended) == (True, False)
    assert (abandoned.is_over, abandoned.is_ended) == (True, False)


@pytest.mark.parametrize("state", FINAL)
def test_the_outcome_is_the_final_state(state: RunState) -> None:
    lifecycle = RunLifecycle()
    if state is RunState.ABANDONED:
        lifecycle.abandon()
        assert lifecycle.outcome(failed=True) == "failed"
        return
    lifecycle.begin_end()
    lifecycle.finish_end(state)
    for failed in (True, False):
        assert lifecycle.outcome(failed=failed) == state.value


def test_a_run_that_did_not_end_has_failed_or_was_interrupted() -> None:
    assert RunLifecycle().outcome(failed=True) == "failed"
    assert RunLifecycle().outcome(failed=False) == "interrupted"
