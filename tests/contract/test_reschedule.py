"""v1 reschedule: the job in flight goes back to its queue, replaced by what was sent."""

from typing import Any

import pytest

from .api import Api
from .wire import DROPPED

PAST = "2022-09-05T04:37:23Z"
FUTURE = "2999-01-01T00:00:00Z"


def test_reschedule_replaces_the_job_and_frees_it(v1: Api) -> None:
    v1.claimed(payload="old", state="old", max_retries=1)
    job = v1.job(payload="new", timeout=60, max_retries=5, run_at=PAST)
    answer = v1.reschedule(job)
    assert (answer.status, answer.body, answer.content_type) == (202, b"", None)
    row = v1.row()
    assert (row["payload"], row["timeout"], row["max_retries"]) == ("new", 60, 5)
    assert (row["run_at"], row["state"]) == (PAST, None)
    assert v1.wire.is_now(row["updated_at"])
    (again,) = v1.taken()
    assert again["payload"] == "new"


def test_reschedule_keeps_a_state_that_is_sent(v1: Api) -> None:
    v1.claimed(state="old")
    assert v1.reschedule(v1.job(state="new", updated_at=PAST)).status == 202
    assert v1.row()["state"] == "new"


def test_reschedule_without_a_moment_means_now(v1: Api) -> None:
    v1.claimed(run_at=PAST)
    assert v1.reschedule(v1.job()).status == 202
    assert v1.wire.is_now(v1.row()["run_at"])


def test_a_job_rescheduled_to_the_future_waits(v1: Api) -> None:
    v1.claimed()
    assert v1.reschedule(v1.job(run_at=FUTURE)).status == 202
    assert v1.next().status == 204
    assert v1.row()["run_at"] == FUTURE


def test_a_rescheduled_job_is_no_longer_in_flight(v1: Api) -> None:
    job = v1.claimed()
    assert v1.reschedule(v1.job(run_at=FUTURE)).status == 202
    # A known fault of relay: the handler of the release panics; that of builds before it does not.
    dropped = {DROPPED.status} if v1.flavor == "relay" else set[int]()
    assert v1.heartbeat(job, state=1).status in {404} | dropped


@pytest.mark.parametrize("flavors", [{"relay-rs": 404, "relay": 202, "local": 404}])
def test_reschedule_of_an_unknown_job_is_404(v1: Api, flavors: dict[str, int]) -> None:
    # A known fault of relay: it says 202 and does nothing.
    answer = v1.reschedule(v1.job())
    assert answer.status == flavors[v1.flavor]
    if answer.status == 404:
        assert answer.text == f"job with id `x` not found in queue `{v1.queue}`."
    assert not v1.exists()


def test_reschedule_of_a_queued_job_is_404(v1: Api) -> None:
    before = v1.stored(payload="old")
    # A known fault of relay: the handler panics, or says 202 and does nothing.
    expected = {DROPPED.status, 202} if v1.flavor == "relay" else {404}
    answer = v1.reschedule(v1.job(payload="new"))
    assert answer.status in expected
    assert v1.row() == before


@pytest.mark.parametrize("body", [[], None, "x", {}])
def test_a_reschedule_of_what_is_no_job_is_422(v1: Api, body: Any) -> None:
    answer = v1.reschedule(body)
    assert answer.status == 422
    prefix = "Failed to deserialize the JSON body into the target type: "
    assert answer.text.startswith(prefix)
    assert "[0]" not in answer.text


def test_a_reschedule_of_an_array_is_read_by_position(v1: Api) -> None:
    answer = v1.reschedule([{"id": "x"}])
    assert answer.status == 422
    prefix = "Failed to deserialize the JSON body into the target type: "
    assert answer.text.startswith(prefix + "[0]: invalid type: map, expected a string")


def test_a_reschedule_without_a_payload_is_422_and_changes_nothing(v1: Api) -> None:
    job = v1.claimed()
    sent = v1.job()
    del sent["payload"]
    answer = v1.reschedule(sent)
    assert answer.status == 422
    assert "missing field `payload`" in answer.text
    assert v1.row() == job


def test_a_reschedule_body_is_read_as_an_enqueue_body_is(v1: Api) -> None:
    def put(body: bytes, content_type: str | None = "application/json") -> int:
        answer = v1.wire.send("PUT", v1.enqueue_path, body=body, content_type=content_type)
        return answer.status

    assert put(b"{}", None) == 415
    assert put(b"{}", "text/plain") == 415
    assert put(b"") == 400
    assert put(b'{"id"') == 400
    assert put(b" " * (2 * 1024 * 1024 + 1)) == 413


def test_a_value_that_the_database_cannot_hold_leaves_the_job_in_flight(v1: Api) -> None:
    v1.claimed(payload="old")
    answer = v1.reschedule(v1.job(payload="\0"))
    assert (answer.status, answer.text[:15]) == (422, "Backend error: ")
    assert v1.row()["payload"] == "old"
    assert v1.reschedule(v1.job(payload="new")).status == 202


def test_reschedule_fits_numbers_as_enqueue_does(v1: Api) -> None:
    v1.claimed()
    assert v1.reschedule(v1.job(timeout=-5, max_retries=-7)).status == 202
    row = v1.row()
    expected = {"relay-rs": (-5, -7), "relay": (0, -1), "local": (0, -1)}
    assert (row["timeout"], row["max_retries"]) == expected[v1.flavor]


def test_retries_start_over_after_a_reschedule(v1: Api) -> None:
    v1.claimed(timeout=0, max_retries=1)
    assert v1.wire.reaped(lambda: bool(v1.taken()))
    assert v1.reschedule(v1.job(timeout=0, max_retries=1)).status == 202
    assert v1.taken_ids() == {"x"}
    assert v1.wire.reaped(lambda: bool(v1.taken()))
    assert v1.wire.reaped(lambda: not v1.exists())


def test_a_rescheduled_job_keeps_its_created_at_but_on_relay(v1: Api) -> None:
    if v1.flavor == "relay-rs":
        pytest.skip("relay-rs shows no created_at")
    v2 = Api("v2", v1.wire, v1.queue)
    v1.claimed()
    before = v2.row()["created_at"]
    v1.wire.wait(0.01)
    assert v1.reschedule(v1.job()).status == 202
    # relay deletes the job and inserts it anew.
    expected = {"relay": False, "local": True}
    assert (v2.row()["created_at"] == before) is expected[v1.flavor]
