"""What payloads, states and names may hold."""

import json
from typing import Any

import pytest

from .api import Api
from .wire import encode


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, -1, 1.5, "", "text", [], {}, [1, [2, [3]]], {"a": {"b": None}},
     "naïve ☃ 𝄞", '"\\/\b\f\n\r\t', {"": 1}, 12345678901234567890123, 1e22, [None]],
    ids=repr,
)  # fmt: skip
def test_any_json_is_a_payload_and_a_state(api: Api, value: Any) -> None:
    row = api.stored(payload=value, state=value)
    assert (row["payload"], row["state"]) == (value, value)
    (job,) = api.taken()
    assert (job["payload"], job["state"]) == (value, value)


def test_the_last_of_repeated_keys_in_a_payload_counts(api: Api) -> None:
    body = json.dumps([api.job()]).replace('{"n": 1}', '{"b":1,"a":1,"a":2}')
    assert api.post(body.encode()).status == 202
    assert api.row()["payload"] == {"a": 2, "b": 1}


def test_a_payload_may_be_deep(api: Api) -> None:
    deep = b"[" * 500 + b"]" * 500
    body = encode([api.job()]).replace(b'{"n": 1}', deep)
    assert api.post(body).status == 202
    assert deep in api.get().body.replace(b" ", b"")


def test_a_pair_of_surrogate_escapes_is_one_character(api: Api) -> None:
    assert b"\\ud834\\udd1e" in encode(api.job(payload="𝄞"))
    assert api.stored(payload="𝄞", state="𝄞")["payload"] == "𝄞"
    assert api.stored("𝄞")["id"] == "𝄞"


@pytest.mark.parametrize("value", ["\0", "a\0b", ["\0"], {"\0": 1}, "\ud800", ["\udc00x"]])
@pytest.mark.parametrize("field", ["payload", "state"])
def test_a_value_the_database_cannot_hold_is_422(api: Api, field: str, value: Any) -> None:
    answer = api.enqueue(api.job(**{field: value}))
    assert answer.status == 422
    assert answer.text.startswith("Backend error: ")
    assert not api.exists()


def test_an_escaped_backslash_is_not_a_nul(api: Api) -> None:
    assert b"\\\\u0000" in encode("\\u0000")
    assert api.stored(payload="\\u0000", state=["\\\\u0000"])["payload"] == "\\u0000"


@pytest.mark.parametrize("field", ["id", "queue"])
def test_a_name_with_nul_is_422(api: Api, field: str) -> None:
    answer = api.enqueue(api.job(**{field: f"{api.queue}\0"}))
    assert answer.status == 422
    assert answer.text.startswith("Backend error: ")


@pytest.mark.parametrize("field", ["id", "queue"])
def test_a_name_of_1024_characters_is_accepted(api: Api, field: str) -> None:
    name = api.queue.ljust(1024, "é")
    job = api.job(**{field: name})
    assert api.enqueue(job).status == 202
    assert api.row(job["id"], job["queue"])[field] == name


@pytest.mark.parametrize("field", ["id", "queue"])
def test_a_name_of_1025_characters_is_422_but_on_relay_rs(api: Api, field: str) -> None:
    answer = api.enqueue(api.job(**{field: api.queue.ljust(1025, "x")}))
    assert answer.status == {"relay-rs": 202, "relay": 422, "local": 422}[api.flavor]
    if answer.status == 422:
        assert answer.text.startswith("Backend error: ")


def test_a_name_in_a_path_that_is_too_long_is_not_found(api: Api) -> None:
    assert api.get("x" * 3000).status == 404
    assert api.remove("x" * 3000).status == 200
