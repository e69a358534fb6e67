"""v2: only the run that holds a job can finish it, and the others are not told."""

from uuid import uuid4

import pytest

from .api import Api
from .wire import moment

PAST = "2022-09-05T04:37:23Z"


def test_complete_deletes_the_job_and_may_be_repeated(v2: Api) -> None:
    job = v2.claimed()
    for _ in ["once", "again"]:
        answer = v2.complete(job)
        assert (answer.status, answer.body, answer.content_type) == (200, b"", None)
        assert not v2.exists()


def test_complete_with_another_run_id_is_200_and_does_nothing(v2: Api) -> None:
    job = v2.claimed()
    assert v2.complete(job, str(uuid4())).status == 200
    assert v2.row() == job


def test_complete_of_a_queued_job_is_200_and_does_nothing(v2: Api) -> None:
    job = v2.stored()
    assert v2.complete(job, str(uuid4())).status == 200
    assert v2.row() == job


def test_complete_ignores_a_body(v2: Api) -> None:
    job = v2.claimed()
    answer = v2.wire.send("DELETE", v2.run_path(job), body=b"{junk", content_type="text/plain")
    assert answer.status == 200
    assert not v2.exists()


@pytest.mark.parametrize("mode", [None, "ignore", "replace"])
def test_requeue_by_another_run_is_202_and_does_nothing(v2: Api, mode: str | None) -> None:
    job = v2.claimed(payload="old")
    jobs = [v2.job(payload="new"), v2.job("new")]
    answer = v2.requeue(job, *jobs, mode=mode, run_id=str(uuid4()))
    assert (answer.status, answer.body) == (202, b"")
    assert v2.row() == job
    assert not v2.exists("new")


def test_requeue_of_an_unknown_or_queued_job_is_202_and_does_nothing(v2: Api) -> None:
    assert v2.requeue(v2.job(), v2.job("new"), run_id=str(uuid4())).status == 202
    queued = v2.stored()
    assert v2.requeue(queued, v2.job("new"), run_id=str(uuid4())).status == 202
    assert v2.row() == queued
    assert not v2.exists("new")


def test_requeue_by_a_finished_run_is_202_and_does_nothing(v2: Api) -> None:
    job = v2.claimed()
    assert v2.requeue(job, v2.job(payload="first")).status == 202
    assert v2.requeue(job, v2.job(payload="second"), v2.job("new")).status == 202
    assert v2.row()["payload"] == "first"
    assert not v2.exists("new")


@pytest.mark.parametrize("mode", [None, "ignore", "replace"])
def test_a_job_may_be_requeued_under_its_own_id_in_each_mode(v2: Api, mode: str | None) -> None:
    job = v2.claimed(payload="old", state="old", max_retries=1)
    v2.wire.wait(0.01)
    new = v2.job(payload="new", timeout=60, max_retries=5, run_at=PAST)
    answer = v2.requeue(job, new, mode=mode)
    assert (answer.status, answer.body, answer.content_type) == (202, b"", None)
    row = v2.row()
    assert (row["payload"], row["state"], row["run_at"]) == ("new", None, PAST)
    assert (row["timeout"], row["max_retries"], row["retries_remaining"]) == (60, 5, 5)
    assert row["run_id"] is None
    assert moment(row["created_at"]) > moment(job["created_at"])
    assert v2.taken_ids() == {"x"}


def test_a_conflict_in_a_unique_requeue_is_409_and_changes_nothing(v2: Api) -> None:
    v2.stored("existing", run_at="2999-01-01T00:00:00Z")
    job = v2.claimed()
    answer = v2.requeue(job, v2.job("new1"), v2.job("existing"), v2.job("new2"))
    text = f"job with id `existing` already exists in queue `{v2.queue}`."
    assert (answer.status, answer.text) == (409, text)
    assert v2.row() == job
    assert not v2.exists("new1")
    assert not v2.exists("new2")
    assert v2.heartbeat(job).status == 202


def test_a_repeat_in_a_unique_requeue_is_409_and_changes_nothing(v2: Api) -> None:
    job = v2.claimed()
    assert v2.requeue(job, v2.job("new"), v2.job("new")).status == 409
    assert v2.row() == job


def test_a_requeue_that_ignores_keeps_what_exists(v2: Api) -> None:
    existing = v2.claimed("existing", payload="kept")
    job = v2.claimed()
    jobs = [v2.job("new1"), v2.job("existing", payload="lost"), v2.job("new2")]
    assert v2.requeue(job, *jobs, mode="ignore").status == 202
    assert not v2.exists()
    assert v2.row("existing") == existing
    assert v2.taken_ids() == {"new1", "new2"}


def test_a_requeue_that_replaces_takes_what_is_in_flight(v2: Api) -> None:
    existing = v2.claimed("existing", payload="old")
    job = v2.claimed()
    jobs = [v2.job("existing", payload="new"), v2.job("new")]
    assert v2.requeue(job, *jobs, mode="replace").status == 202
    assert not v2.exists()
    row = v2.row("existing")
    assert (row["payload"], row["run_id"]) == ("new", None)
    assert row["created_at"] == existing["created_at"]
    assert v2.heartbeat(existing).status == 404
    assert v2.taken_ids() == {"existing", "new"}


def test_a_requeue_of_nothing_completes_the_job(v2: Api) -> None:
    job = v2.claimed()
    assert v2.requeue(job).status == 202
    assert not v2.exists()


def test_a_requeue_may_go_to_another_queue(v2: Api) -> None:
    other = f"{v2.queue}-other"
    job = v2.claimed()
    assert v2.requeue(job, v2.job(queue=other, state=5)).status == 202
    assert not v2.exists()
    (moved,) = v2.next(queue=other).json
    assert (moved["id"], moved["state"]) == ("x", 5)


def test_a_requeue_with_an_unknown_mode_is_unique(v2: Api) -> None:
    v2.stored("existing", run_at="2999-01-01T00:00:00Z")
    job = v2.claimed()
    assert v2.requeue(job, v2.job("existing"), mode="Replace").status == 409


def test_a_requeue_body_is_read_as_an_enqueue_body_is(v2: Api) -> None:
    job = v2.claimed()

    def put(body: bytes | None, content_type: str | None = "application/json") -> int:
        target = v2.run_path(job)
        return v2.wire.send("PUT", target, body=body, content_type=content_type).status

    assert put(b"[]", None) == 415
    assert put(b"[]", "text/plain") == 415
    assert put(None) == 400
    assert put(b"[{") == 400
    assert put(b"{}") == 422
    assert put(b" " * (2 * 1024 * 1024 + 1)) == 413
    assert v2.row() == job


def test_a_bad_run_id_is_told_before_a_bad_content_type(v2: Api) -> None:
    target = v2.run_path(v2.job(), "abc")
    answer = v2.wire.send("PUT", target, body=b"[]", content_type="text/plain")
    assert (answer.status, answer.text[:12]) == (400, "Invalid URL:")


def test_a_requeue_that_the_database_cannot_hold_changes_nothing(v2: Api) -> None:
    job = v2.claimed()
    answer = v2.requeue(job, v2.job("new"), v2.job("nul", payload="\0"))
    assert (answer.status, answer.text[:15]) == (422, "Backend error: ")
    assert v2.row() == job
    assert not v2.exists("new")


def test_a_mode_given_twice_to_requeue_is_400(v2: Api) -> None:
    job = v2.claimed()
    answer = v2.requeue(job, mode="replace&mode=replace")
    text = "Failed to deserialize query string: duplicate field `mode`"
    assert (answer.status, answer.text) == (400, text)
    assert v2.row() == job
