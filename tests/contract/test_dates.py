"""Moments in and out. What comes out is UTC with `Z` and 0, 3 or 6 digits of fraction."""

import json
from typing import Any

import pytest

from .api import Api

SHAPE = "Failed to deserialize the JSON body into the target type: "

EXACT = {
    "2022-09-05T04:37:23Z": "2022-09-05T04:37:23Z",
    "2022-09-05T04:37:23.120Z": "2022-09-05T04:37:23.120Z",
    "2022-09-05T04:37:23.1Z": "2022-09-05T04:37:23.100Z",
    "2022-09-05T04:37:23.1234Z": "2022-09-05T04:37:23.123400Z",
    "2022-09-05T04:37:23.123456789Z": "2022-09-05T04:37:23.123456Z",
    "2022-09-05T04:37:23.000Z": "2022-09-05T04:37:23Z",
    "2022-09-05T04:37:23+02:00": "2022-09-05T02:37:23Z",
    "2022-09-05T04:37:23-05:30": "2022-09-05T10:07:23Z",
    "2022-09-05T04:37:23+0200": "2022-09-05T02:37:23Z",
    "2022-09-05t04:37:23z": "2022-09-05T04:37:23Z",
    "2022-09-05 04:37:23Z": "2022-09-05T04:37:23Z",
    "2022-09-05 04:37:23 UTC": "2022-09-05T04:37:23Z",
    "2022-9-5T4:37:23Z": "2022-09-05T04:37:23Z",
    "2022-09-05T04:37:23Z ": "2022-09-05T04:37:23Z",
    "2016-12-31T23:59:60Z": "2017-01-01T00:00:00Z",
    "1969-07-20T20:17:40Z": "1969-07-20T20:17:40Z",
    # What is beyond microseconds is cut toward the year 2000.
    "1999-12-31T23:59:59.1234567Z": "1999-12-31T23:59:59.123457Z",
    "2999-01-01T00:00:00Z": "2999-01-01T00:00:00Z",
}

V1_ONLY = {
    "2022-09-05 04:37:23": "2022-09-05T04:37:23Z",
    "2022-09-05 04:37": "2022-09-05T04:37:00Z",
    "2022-09-05": "2022-09-05T00:00:00Z",
    # Digits are seconds, milliseconds, microseconds or nanoseconds, by their number.
    "2021": "1970-01-01T00:33:41Z",
    "20210221": "1970-08-22T21:57:01Z",
    "1636331169": "2021-11-08T00:26:09Z",
    "1636331272246": "2021-11-08T00:27:52.246Z",
    "1636331272246123": "2021-11-08T00:27:52.246123Z",
    "1636331272246123456": "2021-11-08T00:27:52.246123Z",
}

MEANS_NOW_TO_V1 = [
    "junk",
    "",
    "-5",
    "+5",
    "-2022-09-05T04:37:23Z",
    1636331169,
    1.5,
    True,
    "2022-09-05T04:37:23",
    "2022-09-05T04:37Z",
    "2022-09-05T04:37:23+02",
    "2022-09-05T04:37:23,5Z",
    " 2022-09-05T04:37:23Z",
    "2022-09-05T24:00:00Z",
    "2022-02-30T00:00:00Z",
]

REFUSED_BY_V2 = [
    "junk",
    "",
    1636331169,
    "1636331169",
    "1636331272246",
    True,
    [],
    {},
    "2022-09-05",
    "2022-09-05 04:37:23",
    "2022-09-05T04:37:23",
    "2022-09-05T04:37Z",
    "2022-09-05T04:37:23+02",
    "2022-09-05T04:37:23,5Z",
    "2022-09-05T24:00:00Z",
    "2022-02-30T00:00:00Z",
    "2022-13-01T00:00:00Z",
    "2022-09-05T04:37:23Zjunk",
    "Mon, 05 Sep 2022 04:37:23 GMT",
]


@pytest.mark.parametrize(("sent", "read"), EXACT.items())
def test_an_exact_moment_is_understood(api: Api, sent: str, read: str) -> None:
    assert api.stored(run_at=sent)["run_at"] == read


@pytest.mark.parametrize(("sent", "read"), V1_ONLY.items())
def test_v1_understands_looser_moments(v1: Api, sent: str, read: str) -> None:
    assert v1.stored(run_at=sent)["run_at"] == read


def test_v1_milliseconds_overflow_into_the_past(v1: Api) -> None:
    assert v1.stored(run_at="9999999999999")["run_at"].startswith("1702-05-02T")


@pytest.mark.parametrize("fields", [{}, {"run_at": None}], ids=["absent", "null"])
def test_no_run_at_means_now(api: Api, fields: dict[str, Any]) -> None:
    assert api.wire.is_now(api.stored(**fields)["run_at"])


@pytest.mark.parametrize("sent", MEANS_NOW_TO_V1, ids=repr)
def test_v1_takes_what_it_cannot_read_for_now(v1: Api, sent: Any) -> None:
    assert v1.wire.is_now(v1.stored(run_at=sent)["run_at"])


@pytest.mark.parametrize("sent", ["[]", "{}", "[1]", '{"a": 1}'])
def test_v1_stumbles_over_a_run_at_with_brackets(v1: Api, sent: str) -> None:
    body = json.dumps([v1.job(run_at=0)]).replace('"run_at": 0', f'"run_at": {sent}')
    answer = v1.post(body.encode())
    assert answer.status == 400
    assert answer.text.startswith("Failed to parse the request body as JSON: ")


@pytest.mark.parametrize("sent", REFUSED_BY_V2, ids=repr)
def test_v2_refuses_a_moment_it_cannot_read(v2: Api, sent: Any) -> None:
    answer = v2.enqueue(v2.job(run_at=sent))
    assert answer.status == 422
    assert answer.text.startswith(f"{SHAPE}[0].run_at: ")


def test_v2_allows_white_space_around_a_moment(v2: Api) -> None:
    assert v2.stored(run_at=" 2022-09-05T04:37:23Z ")["run_at"] == "2022-09-05T04:37:23Z"


def test_a_year_before_every_calendar_is_refused_by_the_database(v2: Api) -> None:
    answer = v2.enqueue(v2.job(run_at="-5000-01-01T00:00:00Z"))
    assert (answer.status, answer.text[:15]) == (422, "Backend error: ")


def test_a_year_of_five_digits_has_a_sign_but_is_beyond_the_local_server(v2: Api) -> None:
    moment = "+10000-01-01T00:00:00Z"
    answer = v2.enqueue(v2.job(run_at=moment))
    assert answer.status == {"relay": 202, "local": 422}[v2.flavor]
    if answer.status == 202:
        assert v2.row()["run_at"] == moment
    else:
        assert answer.text.startswith("Backend error: ")


@pytest.mark.parametrize("sent", ["junk", "", "2022-09-05", 5, True, []], ids=repr)
def test_v1_checks_an_updated_at(v1: Api, sent: Any) -> None:
    answer = v1.enqueue(v1.job(updated_at=sent))
    assert answer.status == 422
    assert answer.text.startswith(f"{SHAPE}[0].updated_at: ")


@pytest.mark.parametrize("sent", ["2022-09-05T04:37:23Z", None])
def test_v1_does_not_keep_an_updated_at(v1: Api, sent: str | None) -> None:
    assert v1.wire.is_now(v1.stored(updated_at=sent)["updated_at"])
