"""The fields of a job: what they may hold and what comes back."""

import json
from typing import Any

import pytest

from .api import Api

SHAPE = "Failed to deserialize the JSON body into the target type: "
V1_FIELDS = ["id", "queue", "timeout", "max_retries", "payload", "state", "run_at", "updated_at"]
V2_FIELDS = ["queue", "id", "timeout", "max_retries", "retries_remaining", "payload", "state",
             "run_id", "run_at", "updated_at", "created_at"]  # fmt: skip


def test_a_job_has_all_its_fields_in_order(api: Api) -> None:
    fields = {"v1": V1_FIELDS, "v2": V2_FIELDS}[api.version]
    assert list(api.stored()) == fields
    assert [list(job) for job in api.taken()] == [fields]
    assert list(api.row()) == fields


def test_a_new_job_reads_back(api: Api) -> None:
    row = api.stored(payload=[1, "two"], timeout=7, max_retries=3, state={"x": [1, 2]})
    assert row["payload"] == [1, "two"]
    assert row["state"] == {"x": [1, 2]}
    assert (row["queue"], row["id"], row["timeout"]) == (api.queue, "x", 7)
    assert row["max_retries"] == 3
    assert api.wire.is_now(row["run_at"])
    assert api.wire.is_now(row["updated_at"])


def test_a_new_v2_job_has_all_its_retries_and_no_run(v2: Api) -> None:
    row = v2.stored(max_retries=3)
    assert (row["retries_remaining"], row["run_id"]) == (3, None)
    assert row["created_at"] == row["updated_at"]


def test_the_state_given_at_enqueue_is_handed_out(api: Api) -> None:
    assert api.claimed(state={"x": [1, 2]})["state"] == {"x": [1, 2]}


@pytest.mark.parametrize("fields", [{}, {"state": None}], ids=["absent", "null"])
def test_no_state_reads_as_null(api: Api, fields: dict[str, Any]) -> None:
    assert api.stored(**fields)["state"] is None


def test_an_unknown_field_is_ignored(api: Api) -> None:
    assert "bogus" not in api.stored(bogus={"deep": [1]})


def test_v2_ignores_what_the_server_decides(v2: Api) -> None:
    ours: dict[str, Any] = {
        "retries_remaining": 9,
        "run_id": "junk",
        "updated_at": 1,
        "created_at": "junk",
    }
    row = v2.stored(max_retries=2, **ours)
    assert (row["retries_remaining"], row["run_id"]) == (2, None)
    assert v2.wire.is_now(row["updated_at"])
    assert v2.wire.is_now(row["created_at"])


@pytest.mark.parametrize("field", ["id", "queue", "timeout", "max_retries", "payload", "state"])
def test_a_field_given_twice_is_422(api: Api, field: str) -> None:
    job = json.dumps(api.job(max_retries=1, state=1))
    twice = job[:-1] + f', "{field}": {json.dumps(json.loads(job)[field])}}}'
    answer = api.post(f"[{twice}]".encode())
    assert answer.status == 422
    assert f"duplicate field `{field}`" in answer.text


def test_an_unknown_field_may_be_given_twice(api: Api) -> None:
    job = json.dumps(api.job())[:-1] + ', "bogus": 1, "bogus": 2}'
    assert api.post(f"[{job}]".encode()).status == 202


@pytest.mark.parametrize("field", ["id", "queue", "timeout", "payload"])
def test_a_missing_field_is_422(api: Api, field: str) -> None:
    job = api.job()
    del job[field]
    answer = api.enqueue(job)
    assert answer.status == 422
    assert answer.text.startswith(f"{SHAPE}[0]: missing field `{field}`")


@pytest.mark.parametrize("field", ["id", "queue"])
@pytest.mark.parametrize("value", [1, None, True, ["x"], {}])
def test_a_name_that_is_no_string_is_422(api: Api, field: str, value: Any) -> None:
    answer = api.enqueue(api.job(**{field: value}))
    assert answer.status == 422
    assert answer.text.startswith(f"{SHAPE}[0].{field}: invalid type: ")


# 2 ** 31 is one too many, whatever else is wrong with the others.
@pytest.mark.parametrize(
    "timeout", ['"30"', "30.0", "3e1", "null", "true", "[]", "2147483648", "1" + "0" * 30]
)
def test_a_timeout_that_is_no_32_bit_integer_is_422(api: Api, timeout: str) -> None:
    body = json.dumps([api.job()]).replace('"timeout": 30', f'"timeout": {timeout}')
    answer = api.post(body.encode())
    assert answer.status == 422
    assert answer.text.startswith(f"{SHAPE}[0].timeout: invalid ")


@pytest.mark.parametrize("timeout", [0, 1, 2147483647])
def test_a_timeout_is_echoed(api: Api, timeout: int) -> None:
    assert api.stored(timeout=timeout)["timeout"] == timeout


def test_v1_takes_a_negative_timeout(v1: Api) -> None:
    expected = {"relay-rs": -5, "relay": 0, "local": 0}
    assert v1.stored(timeout=-5)["timeout"] == expected[v1.flavor]


def test_v2_refuses_a_negative_timeout(v2: Api) -> None:
    answer = v2.enqueue(v2.job(timeout=-5))
    assert answer.status == 422
    assert "Integer is too small to store in target integer type" in answer.text


def test_v1_without_max_retries_never_retries(v1: Api) -> None:
    assert v1.stored()["max_retries"] == 0


@pytest.mark.parametrize(
    ("sent", "relay_rs", "shared_table"),
    [(0, 0, 0), (5, 5, 5), (32767, 32767, 32767), (32768, 32768, 32767), (70000, 70000, 32767),
     (2147483647, 2147483647, 32767), (-1, -1, -1), (-5, -5, -1), (-2147483648, -2147483648, -1)],
)  # fmt: skip
def test_v1_fits_max_retries_to_its_table(
    v1: Api, sent: int, relay_rs: int, shared_table: int
) -> None:
    expected = {"relay-rs": relay_rs, "relay": shared_table, "local": shared_table}
    assert v1.stored(max_retries=sent)["max_retries"] == expected[v1.flavor]


@pytest.mark.parametrize("value", [None, 2147483648, -2147483649, 1.5, "1", True, []])
def test_v1_refuses_other_max_retries(v1: Api, value: Any) -> None:
    answer = v1.enqueue(v1.job(max_retries=value))
    assert answer.status == 422
    assert answer.text.startswith(f"{SHAPE}[0].max_retries: invalid ")


@pytest.mark.parametrize("fields", [{}, {"max_retries": None}], ids=["absent", "null"])
def test_v2_without_max_retries_retries_for_ever(v2: Api, fields: dict[str, Any]) -> None:
    row = v2.stored(**fields)
    assert (row["max_retries"], row["retries_remaining"]) == (None, None)


@pytest.mark.parametrize("value", [0, 1, 32767])
def test_v2_echoes_max_retries(v2: Api, value: int) -> None:
    row = v2.stored(max_retries=value)
    assert (row["max_retries"], row["retries_remaining"]) == (value, value)


@pytest.mark.parametrize("value", [32768, -1, 1.5, 1.0, "1", True, []])
def test_v2_refuses_other_max_retries(v2: Api, value: Any) -> None:
    answer = v2.enqueue(v2.job(max_retries=value))
    assert answer.status == 422
    assert answer.text.startswith(f"{SHAPE}[0].max_retries: ")
