"""`next` claims the jobs of one queue that are due, the longest due first."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import pytest

from .api import Api
from .wire import moment

QUERY_ERROR = "Failed to deserialize query string: "
INVALID = "invalid digit found in string"
TOO_SMALL = "Integer is too small to store in target integer type"
TOO_LARGE = "number too large to fit in target type"


def test_an_empty_queue_is_204(api: Api) -> None:
    answer = api.next()
    assert (answer.status, answer.body, answer.content_type) == (204, b"", None)


def test_one_job_is_claimed_unless_more_are_asked_for(api: Api) -> None:
    api.enqueue(*map(api.job, "abc"))
    assert len(api.next().json) == 1
    assert len(api.next("2&other=1").json) == 2


@pytest.mark.parametrize("query", ["foo=bar", "NUM_JOBS=x", "", "&&", "num%5fjobs=1", "=2"])
def test_other_parameters_are_ignored(api: Api, query: str) -> None:
    api.enqueue(api.job("a"), api.job("b"))
    assert len(api.wire.send("GET", f"{api.next_path()}?{query}").json) == 1


@pytest.mark.parametrize(("value", "number"), [("2", 2), ("%2B2", 2), ("02", 2), ("1000000", 3)])
def test_num_jobs_limits_how_many_are_claimed(api: Api, value: str, number: int) -> None:
    api.enqueue(*map(api.job, "abc"))
    assert len(api.next(value).json) == number


def test_no_jobs_is_a_wish_of_relay_rs_alone(api: Api) -> None:
    api.stored()
    answer = api.next(0)
    expected = {
        "relay-rs": (204, ""),
        "relay": (400, QUERY_ERROR + TOO_SMALL),
        "local": (400, QUERY_ERROR + TOO_SMALL),
    }
    assert (answer.status, answer.text) == expected[api.flavor]
    assert api.next().status == 200


@pytest.mark.parametrize("value", ["abc", "1.5", "+5", "%201", "1%20", "0x1", "--1", "1_000"])
def test_a_num_jobs_that_is_no_number_is_400(api: Api, value: str) -> None:
    api.stored()
    answer = api.next(value)
    assert (answer.status, answer.text) == (400, QUERY_ERROR + INVALID)
    assert api.next().status == 200


def test_a_negative_num_jobs_is_400(api: Api) -> None:
    answer = api.next(-1)
    detail = {"relay-rs": INVALID, "relay": TOO_SMALL, "local": TOO_SMALL}[api.flavor]
    assert (answer.status, answer.text) == (400, QUERY_ERROR + detail)


@pytest.mark.parametrize("query", ["num_jobs=", "num_jobs"])
def test_an_empty_num_jobs_is_400(api: Api, query: str) -> None:
    answer = api.wire.send("GET", f"{api.next_path()}?{query}")
    assert answer.status == 400
    assert answer.text == QUERY_ERROR + "cannot parse integer from empty string"


def test_a_num_jobs_given_twice_is_400(api: Api) -> None:
    answer = api.next("1&num_jobs=1")
    assert (answer.status, answer.text) == (400, QUERY_ERROR + "duplicate field `num_jobs`")


def test_num_jobs_may_be_as_large_as_its_type(api: Api) -> None:
    largest = {"relay-rs": 2**32 - 1, "relay": 2**63 - 1, "local": 2**63 - 1}[api.flavor]
    assert api.next(largest).status == 204
    answer = api.next(largest + 1)
    assert (answer.status, answer.text) == (400, QUERY_ERROR + TOO_LARGE)


def test_the_longest_due_job_comes_first_and_a_future_one_not_at_all(api: Api) -> None:
    days = {"c": "2020-01-03", "a": "2020-01-01", "b": "2020-01-02", "later": "2999-01-01"}
    api.enqueue(*(api.job(key, run_at=f"{day}T00:00:00Z") for key, day in days.items()))
    assert api.taken_ids(2) == {"a", "b"}
    assert api.taken_ids(10) == {"c"}
    assert api.next().status == 204
    assert api.exists("later")


def test_a_job_comes_when_it_is_due(api: Api) -> None:
    due = api.wire.now() + timedelta(seconds=2)
    api.stored(run_at=f"{due:%Y-%m-%dT%H:%M:%S.%fZ}")
    assert api.next().status == 204
    api.wire.wait(2.5)
    assert api.taken_ids() == {"x"}


def test_a_claim_changes_the_update_and_the_run_and_nothing_else(api: Api) -> None:
    fields: dict[str, Any] = {"state": {"s": 1}, "max_retries": 3}
    before = api.stored(run_at="2022-09-05T04:37:23Z", **fields)
    api.wire.wait(0.01)
    (job,) = api.taken()
    assert moment(job["updated_at"]) > moment(before["updated_at"])
    changed = {"updated_at"} if api.version == "v1" else {"updated_at", "run_id"}
    assert {field for field in job if job[field] != before[field]} == changed
    assert api.row() == job


def test_each_v2_claim_has_a_run_id_of_its_own(v2: Api) -> None:
    v2.enqueue(v2.job("a"), v2.job("b"))
    assert v2.row("a")["run_id"] is None
    a, b = v2.taken(2)
    assert a["run_id"] != b["run_id"]
    assert str(UUID(a["run_id"])) == a["run_id"]


def test_a_claimed_job_is_not_handed_out_again(api: Api) -> None:
    api.claimed()
    assert api.next(100).status == 204


def test_a_job_without_time_is_handed_out_all_the_same(api: Api) -> None:
    assert api.claimed(timeout=0)["timeout"] == 0


def test_a_claim_takes_from_its_own_queue_alone(api: Api) -> None:
    other = f"{api.queue}-other"
    api.stored("x", queue=other)
    assert api.next(100).status == 204
    assert api.next(100, queue=api.queue[:-1]).status == 204
    assert [job["id"] for job in api.next(100, queue=other).json] == ["x"]


@pytest.mark.parametrize("name", ["a/b", "a b", "a+b", "%2F", "ü☃", "a?b", "a#b", "..", "run-id"])
def test_any_name_is_a_queue(api: Api, name: str) -> None:
    queue = f"{api.queue}-{name}"
    api.stored(queue=queue)
    assert [job["queue"] for job in api.next(queue=queue).json] == [queue]


def test_eight_callers_get_each_job_once(api: Api) -> None:
    keys = {str(number) for number in range(200)}
    assert api.enqueue(*map(api.job, keys)).status == 202

    def take_all(_: int) -> list[str]:
        taken = []
        while jobs := api.taken(7):
            taken += [job["id"] for job in jobs]
        return taken

    with ThreadPoolExecutor(8) as callers:
        taken = Counter(chain.from_iterable(callers.map(take_all, range(8))))
    assert taken == Counter(keys)
