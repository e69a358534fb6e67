"""The bodies of requests equal those that the generated models write."""

import json
import re
from datetime import MAXYEAR, UTC, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_api.models.new_job_v1 import NewJobV1
from relay_api.models.new_job_v2 import NewJobV2

from relay_sdk import Job
from relay_sdk._base.validation import check_key
from relay_sdk._protocol import v1, v2
from relay_sdk._protocol.request import ApiRequest
from relay_sdk.job import to_raw

from ..support.flow_player import received
from .test_replies import texts, values

keys = texts.filter(lambda text: text and "\0" not in text)
moments = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))])
).filter(lambda moment: moment.year < MAXYEAR)
jobs = st.builds(
    Job,
    queue=keys,
    id=keys,
    payload=values,
    state=values,
    timeout=st.integers(0, 2**31 - 1),
    max_retries=st.none() | st.integers(0, 2**15 - 1),
    run_at=st.none() | moments,
)


def sent(request: ApiRequest[None]) -> Any:
    assert request.request.headers["Content-Type"] == "application/json"
    body = json.loads(request.request.content or b"")
    for job in body:
        # The generated code writes UTC as an offset.
        job["run_at"] = job["run_at"] and re.sub("Z$", "+00:00", job["run_at"])
    return body


def fields(job: Job, **changed: Any) -> dict[str, Any]:
    names = ("queue", "id", "timeout", "max_retries", "payload", "state")
    run_at = job.run_at and job.run_at.astimezone(UTC)
    return {name: getattr(job, name) for name in names} | {"run_at": run_at} | changed


@given(st.lists(jobs, min_size=1, max_size=3))
def test_v2_bodies_equal_those_of_the_generated_models(jobs: list[Job]) -> None:
    raws = [to_raw(job) for job in jobs]
    expected = [NewJobV2(**fields(job)).to_dict() for job in jobs]
    assert sent(v2.enqueue(raws, "replace")) == expected
    assert sent(v2.requeue(received(), raws, "replace")) == expected


@given(st.lists(jobs, min_size=1, max_size=3))
def test_v1_bodies_equal_those_of_the_generated_models(jobs: list[Job]) -> None:
    expected = [
        NewJobV1(
            **fields(job, max_retries=-1 if job.max_retries is None else job.max_retries)
        ).to_dict()
        for job in jobs
    ]
    assert sent(v1.enqueue([to_raw(job) for job in jobs], "ignore")) == expected


@pytest.mark.parametrize("surrogates", [range(0xD800, 0xDC00), range(0xDC00, 0xE000)])
def test_keys_with_half_a_surrogate_pair_or_nul_are_refused(surrogates: range) -> None:
    for code in (0, *surrogates):
        for key in (chr(code), f"a{chr(code)}", f"{chr(code)}🦆"):
            for queue, id in ((key, "x"), ("emails", key)):
                with pytest.raises(ValueError, match="NUL or half a surrogate pair"):
                    check_key(queue, id)


@given(st.text(min_size=1, max_size=8))
def test_every_other_text_is_a_valid_key(text: str) -> None:
    if not re.search("[\0\ud800-\udfff]", text):
        check_key(text, text)
