"""One server, two versions: both see the same jobs."""

import pytest

from .api import Api


@pytest.fixture
def old(v2: Api) -> Api:
    """The v1 operations on the queue that `v2` works on."""
    return Api("v1", v2.wire, v2.queue)


def test_infinite_retries_are_minus_one_to_v1_and_null_to_v2(v2: Api, old: Api) -> None:
    assert v2.stored("a", max_retries=None)["max_retries"] is None
    assert old.row("a")["max_retries"] == -1
    assert old.stored("b", max_retries=-7)["max_retries"] == -1
    row = v2.row("b")
    assert (row["max_retries"], row["retries_remaining"]) == (None, None)


def test_a_job_claimed_by_v1_has_a_run_that_v2_can_complete(v2: Api, old: Api) -> None:
    old.claimed()
    row = v2.row()
    assert row["run_id"]
    assert v2.heartbeat(row, state=1).status == 202
    assert old.row()["state"] == 1
    assert v2.complete(row).status == 200
    assert not old.exists()


def test_a_job_claimed_by_v2_can_be_finished_by_v1(v2: Api, old: Api) -> None:
    job = v2.claimed(state=1)
    assert old.next().status == 204
    assert old.heartbeat(job, state=2).status == 202
    assert v2.row()["run_id"] == job["run_id"]
    assert v2.row()["state"] == 2
    assert old.reschedule(old.job(payload="again")).status == 202
    assert v2.row()["run_id"] is None
    assert v2.taken()[0]["payload"] == "again"
    assert old.remove().status == 200
    assert not v2.exists()


def test_both_versions_guard_the_same_names(v2: Api, old: Api) -> None:
    v2.stored("a")
    assert old.enqueue(old.job("a")).status == 409
    old.stored("b")
    assert v2.enqueue(v2.job("b")).status == 409
