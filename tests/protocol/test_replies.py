"""Parsed jobs equal those that the generated models parse."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_api.models.job_v1 import JobV1
from relay_api.models.job_v2 import JobV2

from relay_sdk._base.flow import Response
from relay_sdk._protocol.replies import claimed_handler, job_handler
from relay_sdk.job import Job, RawJob

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def written(moment: datetime) -> str:
    """Format a date like the server: the fraction has 0, 3 or 6 digits."""
    text = moment.isoformat(timespec="microseconds").removesuffix("+00:00")
    while text.endswith("000"):
        text = text[:-3]
    return text.removesuffix(".") + "Z"


moments = st.datetimes(timezones=st.just(UTC)).map(written)
numbers = st.integers(-(2**31), 2**31 - 1)
counts = st.integers(0, 2**15 - 1)

rows_v1 = st.fixed_dictionaries(
    {
        "id": texts, "queue": st.just("q"), "timeout": numbers, "max_retries": numbers,
        "payload": values, "state": values, "run_at": moments, "updated_at": moments,
    }
)  # fmt: skip
rows_v2 = st.fixed_dictionaries(
    {
        "queue": st.just("q"), "id": texts, "timeout": numbers, "max_retries": st.none() | counts,
        "retries_remaining": st.none() | counts, "payload": values, "state": values,
        "run_id": st.none() | st.uuids().map(str), "run_at": moments, "updated_at": moments,
        "created_at": moments,
    }
)  # fmt: skip


def plain(job: RawJob) -> dict[str, Any]:
    """Return the fields of a job, with payload and state decoded."""
    fields = {name: getattr(job, name) for name in RawJob.__struct_fields__}
    return fields | {name: msgspec.json.decode(fields[name]) for name in ("payload", "state")}


def reply(value: object) -> Response:
    return Response(200, {}, json.dumps(value).encode())


@given(st.lists(rows_v2, max_size=3))
def test_v2_jobs_equal_those_of_the_generated_models(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        job = job_handler("q", row["id"])(reply(row))
        assert plain(job) == vars_of(JobV2.from_dict(row))


@given(st.lists(rows_v1, max_size=3))
def test_v1_jobs_equal_those_of_the_generated_models(rows: list[dict[str, Any]]) -> None:
    jobs = claimed_handler("q", 3, fenced=False)(reply(rows)).jobs
    for job, row in zip(jobs, rows, strict=True):
        expected = vars_of(JobV1.from_dict(row))
        if expected["max_retries"] < 0:
            expected["max_retries"] = None
        job_fields = plain(job)
        assert {name: job_fields.pop(name) for name in expected} == expected
        assert set(job_fields.values()) == {None}


@given(rows_v2)
def test_get_and_next_parse_a_job_to_the_same_value(row: dict[str, Any]) -> None:
    row["run_id"] = row["run_id"] or str(UUID(int=0))
    jobs = claimed_handler("q", 1, fenced=True)(reply([row])).jobs
    assert [job_handler("q", row["id"])(reply(row))] == jobs


@pytest.mark.timeout(20)
def test_a_reply_that_ends_inside_a_string_is_refused_in_linear_time() -> None:
    """Each quote in it could be the start of another string."""
    cut = Response(200, {}, b'[{"payload":"' + rb"\"" * 200_000)
    with pytest.raises(msgspec.DecodeError):
        claimed_handler("q", 1, fenced=True)(cut)


def vars_of(model: JobV1 | JobV2) -> dict[str, Any]:
    fields = {field.name: getattr(model, field.name) for field in attrs.fields(type(model))}
    if isinstance(fields.get("run_id"), str):
        fields["run_id"] = UUID(fields["run_id"])
    return fields


def test_a_raw_job_has_the_fields_of_the_description() -> None:
    described = {field.name for field in attrs.fields(JobV2)}
    assert set(RawJob.__struct_fields__) == described
    assert set(Job.__struct_fields__) == described | {"_types"}
