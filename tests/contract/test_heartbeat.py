"""A heartbeat prolongs a run and replaces the job's state, also by nothing."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from .api import Api
from .wire import DROPPED, Answer, moment

LIMIT = 2 * 1024 * 1024
JSON = "application/json"


def says_it_is_not_found(answer: Answer, api: Api, run_id: str = "") -> bool:
    with_run = {"v1": "", "v2": f" with {run_id}"}[api.version]
    text = f"job with id `x` not found in queue `{api.queue}`{with_run}."
    return (answer.status, answer.text) == (404, text)


def test_a_heartbeat_saves_the_state_and_moves_updated_at(api: Api) -> None:
    job = api.claimed()
    api.wire.wait(0.01)
    answer = api.heartbeat(job, state={"s": 1})
    assert (answer.status, answer.body, answer.content_type) == (202, b"", None)
    row = api.row()
    assert row["state"] == {"s": 1}
    assert moment(row["updated_at"]) > moment(job["updated_at"])
    unchanged = job.keys() - {"state", "updated_at"}
    assert {field: row[field] for field in unchanged} == {field: job[field] for field in unchanged}


@pytest.mark.parametrize(
    "state", ["abc", 12, 1.5, False, True, [1, 2], {}, [], "", 0, 12345678901234567890123]
)
def test_any_json_value_is_a_state(api: Api, state: Any) -> None:
    job = api.claimed(state="old")
    assert api.heartbeat(job, state=state).status == 202
    row = api.row()
    assert (row["state"], type(row["state"])) == (state, type(state))


@pytest.mark.parametrize(
    ("body", "content_type"), [(None, None), (None, JSON), (b"", None), (b"", JSON)]
)
def test_a_heartbeat_without_a_body_erases_the_state(
    api: Api, body: bytes | None, content_type: str | None
) -> None:
    job = api.claimed(state={"s": 1})
    assert api.heartbeat(job, body=body, content_type=content_type).status == 202
    assert api.row()["state"] is None


def test_a_heartbeat_with_null_sets_the_state_to_null(api: Api) -> None:
    job = api.claimed(state={"s": 1})
    assert api.heartbeat(job, state=None).status == 202
    assert api.row()["state"] is None


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", JSON),
        (b"nope", JSON),
        (b"\xff", JSON),
        (b"NaN", JSON),
        (b"30.", JSON),
        (b"1e", JSON),
        (b"01", JSON),
        (b'"state"', None),
        (b'"state"', "text/plain"),
        (b'"state"', "text/json"),
    ],
)
def test_a_heartbeat_with_a_body_that_cannot_be_used_erases_the_state(
    api: Api, body: bytes, content_type: str | None
) -> None:
    job = api.claimed(state={"s": 1})
    assert api.heartbeat(job, body=body, content_type=content_type).status == 202
    assert api.row()["state"] is None


def test_a_heartbeat_with_a_body_over_the_limit_erases_the_state(api: Api) -> None:
    job = api.claimed(state={"s": 1})
    body = b'"' + b"x" * (LIMIT - 1) + b'"'
    assert api.heartbeat(job, body=body, content_type=JSON).status == 202
    assert api.row()["state"] is None


def test_a_heartbeat_with_a_body_at_the_limit_saves_the_state(api: Api) -> None:
    job = api.claimed()
    body = b'"' + b"x" * (LIMIT - 2) + b'"'
    assert api.heartbeat(job, body=body, content_type="application/x+json").status == 202
    assert len(api.row()["state"]) == LIMIT - 2


def test_bytes_after_the_state_are_ignored(api: Api) -> None:
    job = api.claimed(state={"s": 1})
    assert api.heartbeat(job, body=b"[2] junk", content_type=JSON).status == 202
    assert api.row()["state"] == [2]


@pytest.mark.parametrize("state", ["a\0b", "\ud800"])
def test_a_state_that_the_database_cannot_hold_is_422(api: Api, state: str) -> None:
    job = api.claimed(state={"s": 1})
    answer = api.heartbeat(job, state=state)
    assert (answer.status, answer.text[:15]) == (422, "Backend error: ")
    assert api.row()["state"] == {"s": 1}


def test_a_heartbeat_of_a_queued_job_is_404(api: Api) -> None:
    api.stored(state={"s": 1})
    run_id = str(uuid4())
    answer = api.heartbeat(api.job(run_id=run_id), state=2)
    if (api.flavor, api.version) == ("relay", "v1"):
        # A known fault: the handler of the release panics; that of builds before it says 404.
        assert answer == DROPPED or says_it_is_not_found(answer, api, run_id)
    else:
        assert says_it_is_not_found(answer, api, run_id)
    assert api.row()["state"] == {"s": 1}


def test_a_heartbeat_of_an_unknown_job_is_404(api: Api) -> None:
    run_id = str(uuid4())
    assert says_it_is_not_found(api.heartbeat(api.job(run_id=run_id)), api, run_id)


def test_a_v2_heartbeat_of_another_run_is_404(v2: Api) -> None:
    job = v2.claimed(state={"s": 1})
    run_id = str(uuid4())
    answer = v2.heartbeat(job | {"run_id": run_id}, state=2)
    assert says_it_is_not_found(answer, v2, run_id)
    assert v2.row() == job


def test_a_uuid_may_be_written_in_any_of_its_forms(v2: Api) -> None:
    job = v2.claimed()
    run = UUID(job["run_id"])
    forms = [run.hex, str(run).upper(), run.hex.upper(), run.urn, f"%7B{run}%7D"]
    for number, form in enumerate(forms):
        assert v2.heartbeat(job | {"run_id": form}, state=number).status == 202
        assert v2.row()["state"] == number


UNKNOWN = "0b5cd4d2-9d4f-4f0e-9c1e-0f0f0f0f0f0f"


@pytest.mark.parametrize("run_id", ["abc", "%20", "0" * 31, "0" * 33, "g" * 32, f"{UNKNOWN}x"])
@pytest.mark.parametrize("method", ["PATCH", "DELETE", "PUT"])
def test_a_run_id_that_is_no_uuid_is_400(v2: Api, method: str, run_id: str) -> None:
    answer = v2.wire.send(method, v2.run_path(v2.job(), run_id), json=[])
    assert answer.status == 400
    assert answer.text.startswith("Invalid URL: UUID parsing failed: ")


def test_a_heartbeat_path_that_is_not_utf8_is_400(api: Api) -> None:
    target = api.heartbeat_path(api.job()).replace("/x", "/%ff")
    answer = api.wire.send("PATCH", target, json=1)
    assert (answer.status, answer.text) == (400, "Invalid URL: Invalid UTF-8 in `id`")


def test_heartbeats_after_the_timeout_but_before_the_reaper_save_the_job(api: Api) -> None:
    for attempt in range(9):
        job = api.claimed(f"x{attempt}", timeout=2, max_retries=api.infinite)
        api.wire.wait(1.9)
        # A reaper that is due runs now, and not in the next moment, when the time is up.
        api.get(job["id"])
        api.wire.wait(0.2)
        if api.heartbeat(job).status == 202:
            break
        # It ran in that moment all the same: out of the way of the next attempt.
        api.remove(job["id"])
    # The reaper runs at least once meanwhile, and finds the job prolonged.
    for _ in range(int(2 * api.wire.reap_interval) + 1):
        api.wire.wait(1)
        assert api.heartbeat(job).status == 202


def test_heartbeats_keep_a_job_alive_and_silence_ends_it(api: Api) -> None:
    job = api.claimed(timeout=3, max_retries=0)
    for _ in range(int(api.wire.reap_interval / 1.2) + 2):
        api.wire.wait(1.2)
        assert api.heartbeat(job, state=1).status == 202
    assert api.next().status == 204
    api.wire.wait(3.1)
    assert api.wire.reaped(lambda: not api.exists())
