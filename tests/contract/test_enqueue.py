"""Conflicts: a job with the same queue and id is there, queued or in flight."""

import pytest

from .api import Api
from .wire import Answer, moment


def says_it_exists(answer: Answer, api: Api, id: str = "x") -> bool:
    text = f"job with id `{id}` already exists in queue `{api.queue}`."
    return (answer.status, answer.text) == (409, text)


def test_one_job_twice_is_409_and_changes_nothing(api: Api) -> None:
    before = api.stored(state=1)
    assert says_it_exists(api.enqueue(api.job(payload=2)), api)
    assert api.row() == before


def test_one_job_twice_is_409_while_it_is_in_flight(api: Api) -> None:
    job = api.claimed()
    assert says_it_exists(api.enqueue(api.job(payload=2)), api)
    assert api.row() == job


def test_the_text_of_a_409_has_the_names_as_they_are(api: Api) -> None:
    name = "a`b {ü}\n%2F"
    api.stored(name)
    assert says_it_exists(api.enqueue(api.job(name)), api, name)


def test_the_same_id_in_another_queue_is_another_job(api: Api) -> None:
    api.stored(payload=1)
    assert api.stored(queue=f"{api.queue}-other", payload=2)["payload"] == 2
    assert api.row()["payload"] == 1


def test_names_are_case_sensitive(api: Api) -> None:
    api.stored("a", payload=1)
    assert api.stored("A", payload=2)["payload"] == 2
    assert api.row("a")["payload"] == 1


def test_a_v1_batch_skips_what_exists(v1: Api) -> None:
    before = v1.stored("old", payload=1)
    assert v1.enqueue(v1.job("old", payload=2), v1.job("new")).status == 202
    assert v1.row("old") == before
    assert v1.exists("new")


def test_the_first_of_a_repeated_job_in_a_v1_batch_wins(v1: Api) -> None:
    assert v1.enqueue(v1.job(payload=1), v1.job(payload=2)).status == 202
    assert v1.row()["payload"] == 1


@pytest.mark.parametrize("mode", [None, "unique", "Replace", "IGNORE", "bogus", "", "%FF"])
def test_v2_is_unique_unless_it_is_told_otherwise(v2: Api, mode: str | None) -> None:
    before = v2.stored("old")
    answer = v2.enqueue(v2.job("n1"), v2.job("old", payload=2), v2.job("n2"), mode=mode)
    assert says_it_exists(answer, v2, "old")
    assert not v2.exists("n1")
    assert not v2.exists("n2")
    assert v2.row("old") == before


def test_a_repeat_inside_a_unique_batch_is_409_and_stores_nothing(v2: Api) -> None:
    answer = v2.enqueue(v2.job("first"), v2.job(), v2.job())
    assert says_it_exists(answer, v2)
    assert not v2.exists()
    assert not v2.exists("first")


def test_a_409_names_the_first_conflict_in_the_batch(v2: Api) -> None:
    v2.stored("a")
    v2.stored("b")
    assert says_it_exists(v2.enqueue(v2.job("n"), v2.job("b"), v2.job("a")), v2, "b")


def test_a_mode_given_twice_is_400(v2: Api) -> None:
    answer = v2.enqueue(v2.job(), mode="ignore&mode=ignore")
    assert answer.status == 400
    assert answer.text == "Failed to deserialize query string: duplicate field `mode`"
    assert not v2.exists()


def test_a_mode_may_be_percent_encoded(v2: Api) -> None:
    v2.stored()
    assert v2.enqueue(v2.job(payload=2), mode="%72eplace&other=1").status == 202
    assert v2.row()["payload"] == 2


def test_v1_knows_no_modes(v1: Api) -> None:
    v1.stored()
    assert says_it_exists(v1.enqueue(v1.job(), mode="replace&mode=ignore"), v1)


def test_ignore_keeps_a_queued_job_and_stores_the_others(v2: Api) -> None:
    before = v2.stored("old", payload=1)
    jobs = [v2.job("n1"), v2.job("old", payload=2), v2.job("n2")]
    assert v2.enqueue(*jobs, mode="ignore").status == 202
    assert v2.row("old") == before
    assert v2.exists("n1")
    assert v2.exists("n2")


def test_ignore_keeps_a_job_in_flight_with_its_run(v2: Api) -> None:
    job = v2.claimed()
    assert v2.enqueue(v2.job(payload=2), mode="ignore").status == 202
    assert v2.row() == job
    assert job["run_id"]


def test_the_first_of_a_repeated_job_is_kept_by_ignore(v2: Api) -> None:
    assert v2.enqueue(v2.job(payload=1), v2.job(payload=2), mode="ignore").status == 202
    assert v2.row()["payload"] == 1


def test_the_last_of_a_repeated_job_is_kept_by_replace(v2: Api) -> None:
    assert v2.enqueue(v2.job(payload=1), v2.job(payload=2), mode="replace").status == 202
    assert v2.row()["payload"] == 2


def test_replace_makes_everything_new_but_created_at(v2: Api) -> None:
    old = v2.stored(timeout=30, max_retries=1, state="old", payload="old")
    v2.wire.wait(0.01)
    run_at = "2022-09-05T04:37:23Z"
    job = v2.job(timeout=60, max_retries=5, state="new", payload="new", run_at=run_at)
    assert v2.enqueue(job, mode="replace").status == 202
    new = v2.row()
    assert (new["timeout"], new["max_retries"], new["retries_remaining"]) == (60, 5, 5)
    assert (new["payload"], new["state"], new["run_at"]) == ("new", "new", run_at)
    assert moment(new["updated_at"]) > moment(old["updated_at"])
    assert new["created_at"] == old["created_at"]


def test_replace_without_a_state_erases_it(v2: Api) -> None:
    v2.stored(state="old", run_at="2022-09-05T04:37:23Z")
    assert v2.enqueue(v2.job(), mode="replace").status == 202
    row = v2.row()
    assert row["state"] is None
    assert v2.wire.is_now(row["run_at"])


def test_a_replaced_job_is_lost_to_its_run_and_ready_at_once(v2: Api) -> None:
    old = v2.claimed(payload="old")
    assert v2.enqueue(v2.job(payload="new"), mode="replace").status == 202
    assert v2.row()["run_id"] is None
    assert v2.heartbeat(old, state=1).status == 404
    assert v2.complete(old).status == 200
    assert v2.requeue(old, v2.job("n")).status == 202
    assert not v2.exists("n")
    (new,) = v2.taken()
    assert (new["payload"], new["state"]) == ("new", None)
    assert new["run_id"] != old["run_id"]
