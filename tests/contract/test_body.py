"""How a request body is read: content type, then size, then JSON, then the job's shape."""

import json
import re

import pytest

from .api import Api

LIMIT = 2 * 1024 * 1024
SYNTAX = "Failed to parse the request body as JSON: "
SHAPE = "Failed to deserialize the JSON body into the target type: "


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-ndjson",
        "application/jsonp",
        "application/jsonx",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/json, text/plain",
        "json",
        "*/*",
    ],
)
def test_another_content_type_is_415(api: Api, content_type: str | None) -> None:
    answer = api.post(b"[]", content_type)
    assert answer.status == 415
    assert answer.text == "Expected request with `Content-Type: application/json`"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=utf-8",
        "APPLICATION/JSON",
        "Application/Json; Charset=UTF-8",
        "application/vnd.x+json",
        "application/problem+json; q=1",
    ],
)
def test_a_json_content_type_is_accepted(api: Api, content_type: str) -> None:
    assert api.post(b"[]", content_type).status == 202


def test_the_content_type_is_read_before_the_size(api: Api) -> None:
    assert api.post(b" " * (LIMIT + 1), "text/plain").status == 415


def test_a_body_of_two_mebibytes_is_accepted(api: Api) -> None:
    empty = len(json.dumps([api.job(payload="")]))
    body = json.dumps([api.job(payload="x" * (LIMIT - empty))]).encode()
    assert len(body) == LIMIT
    assert api.post(body).status == 202
    assert len(api.row()["payload"]) == LIMIT - empty


def test_one_byte_more_is_413(api: Api) -> None:
    answer = api.post(b"[]" + b" " * (LIMIT - 1))
    assert answer.status == 413
    assert answer.text == "Failed to buffer the request body: length limit exceeded"


@pytest.mark.parametrize("body", [None, b"", b" \n"])
def test_no_body_is_a_syntax_error(api: Api, body: bytes | None) -> None:
    answer = api.wire.send("POST", api.enqueue_path, body=body, content_type="application/json")
    assert answer.status == 400
    assert answer.text.startswith(SYNTAX + "EOF while parsing a value")


@pytest.mark.parametrize(
    "body",
    [
        b"[{",
        b"[",
        b"nul",
        b"\xef\xbb\xbf[]",
        b"\xff",
        b"'x'",
        b"[,]",
        b"NaN",
        b"[{'id': 1}]",
        '["x"]'.encode("utf-16"),
        b'[{"id": "a\nb"}]',
        b'[{"id": "\\x"}]',
        b'[{"id": "\xff"}]',
        b'[{"id": "\\ud800"}]',
        b'[{"id": "\\udc00\\ud800"}]',
        b'[{"queue": "\\ud800x"}]',
        b'[{"bogus": \xff}]',
        b'[{"id"}]',
        b'[{"id": "x",}]',
    ],
)
def test_what_is_not_json_is_400(api: Api, body: bytes) -> None:
    answer = api.post(body)
    assert answer.status == 400
    assert answer.text.startswith(SYNTAX)
    assert re.search(r" at line \d+ column \d+$", answer.text)


@pytest.mark.parametrize(
    "payload",
    [b"NaN", b"Infinity", b"-Infinity", b"01", b"1.", b".5", b"+1", b"0x1", b"tru", b"[1,]",
     b"{1:2}", b'"\xff"', b'"a\tb"', b'"\\u12"', b"'x'", b"[", b'{"a":1,}'],
)  # fmt: skip
def test_a_payload_that_is_not_json_is_400(api: Api, payload: bytes) -> None:
    body = json.dumps([api.job()]).encode().replace(b'{"n": 1}', payload)
    answer = api.post(body)
    assert (answer.status, answer.text[: len(SYNTAX)]) == (400, SYNTAX)
    assert not api.exists()


@pytest.mark.parametrize(
    "body", [b"{}", b"null", b'"x"', b"1", b"true", b"{bad", b"[null]", b"[1]", b'["x"]', b"[[]]"]
)
def test_what_is_no_list_of_jobs_is_422(api: Api, body: bytes) -> None:
    answer = api.post(body)
    assert answer.status == 422
    assert answer.text.startswith(SHAPE)


def test_the_first_problem_in_the_document_decides(api: Api) -> None:
    assert api.post(b'[{"id":1}').status == 422
    assert api.post(b'[{"id":"x"}, {').status == 422
    assert api.post(b'[{"id":"x", "timeout": ], {}]').status == 400


def test_a_shape_error_names_the_place_and_the_field(api: Api) -> None:
    answer = api.post(b"[{}]")
    assert answer.status == 422
    assert answer.text.startswith(SHAPE + "[0]: missing field `")
    answer = api.enqueue(api.job(), api.job("y", timeout="30"))
    assert answer.text.startswith(SHAPE + "[1].timeout: invalid type: string")
    answer = api.post(b"null")
    assert answer.text.startswith(SHAPE + "invalid type: null, expected a sequence")


def test_an_error_tells_line_and_column(api: Api) -> None:
    assert " at line 2 column " in api.post(b"[\n  nope]").text
    assert api.post(b"").text.endswith(" at line 1 column 0")


def test_an_empty_list_stores_nothing(api: Api) -> None:
    answer = api.enqueue()
    assert (answer.status, answer.body, answer.content_type) == (202, b"", None)
    assert api.next().status == 204


@pytest.mark.parametrize("tail", [b" junk", b"[]", b"]", b"\x00", b"\xff"])
def test_bytes_after_the_value_are_ignored_but_by_the_local_server(api: Api, tail: bytes) -> None:
    # The local server is stricter: no client sends them but by mistake.
    accepted = {"relay-rs": 202, "relay": 202, "local": 400}
    answer = api.post(b"[]" + tail)
    assert answer.status == accepted[api.flavor]
    if answer.status == 400:
        assert answer.text.startswith(SYNTAX)


def test_white_space_around_the_value_is_allowed(api: Api) -> None:
    assert api.post(b" \r\n\t[ ]\r\n\t ").status == 202


def test_a_job_as_a_positional_list_is_accepted_but_by_the_local_server(api: Api) -> None:
    v1 = ["x", api.queue, 30, 0, {"n": 1}, None, None, None]
    v2 = [api.queue, "x", 30, None, {"n": 1}, None, None]
    fields = {"v1": v1, "v2": v2}[api.version]
    api.wire.stored.add((api.queue, "x"))
    # The local server is stricter: a list in place of a job hides a mistake.
    accepted = {"relay-rs": 202, "relay": 202, "local": 422}
    assert api.enqueue(fields).status == accepted[api.flavor]
    assert api.enqueue(fields[:-1]).status == 422
    overlong = {"relay-rs": 400, "relay": 400, "local": 422}
    assert api.enqueue([*fields, None]).status == overlong[api.flavor]


def test_a_batch_with_one_bad_job_stores_none(api: Api) -> None:
    assert api.enqueue(api.job("good"), api.job("bad", timeout="30")).status == 422
    assert api.enqueue(api.job("nul", payload="\0"), api.job("good")).status == 422
    assert api.enqueue(api.job("good"), api.job("nul", payload="\0")).status == 422
    assert not api.exists("good")
    assert api.next().status == 204
