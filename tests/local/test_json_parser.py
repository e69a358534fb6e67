import json
import sys
from collections.abc import Iterator

import pytest

from relay_sdk.local import App
from relay_sdk.local.json_parser import MAX_JSON_DEPTH

JSON = {"content-type": "application/json"}
SYNTAX = "Failed to parse the request body as JSON: "
TYPE = "Failed to deserialize the JSON body into the target type: "


@pytest.fixture
def app() -> Iterator[App]:
    with App() as app:
        yield app


def job(**extra: str) -> bytes:
    """A valid job whose fields are given as JSON text."""
    fields = {"queue": '"q"', "id": '"a"', "timeout": "30", "payload": "1"} | extra
    return ("[{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}]").encode()


def post(app: App, body: bytes, version: int = 2) -> tuple[int, str]:
    response = app("POST", f"/v{version}/queues/jobs", JSON, body)
    return response.status, response.body.decode()


@pytest.mark.parametrize(
    ("body", "status", "start"),
    [
        (b"", 400, SYNTAX + "EOF while parsing a value at line 1 column 0"),
        (b" \n ", 400, SYNTAX + "EOF while parsing a value at line 2 column 1"),
        (b"nul", 400, SYNTAX),
        (b"nuts", 400, SYNTAX + "expected ident"),
        (b"junk", 400, SYNTAX + "expected value"),
        (b"\xef\xbb\xbf[]", 400, SYNTAX + "expected value"),
        (b"\xa0[]", 400, SYNTAX),
        ("\u00a0[]".encode(), 400, SYNTAX + "expected value"),
        (b"-", 400, SYNTAX + "invalid number"),
        (b"null", 422, TYPE + "invalid type: null, expected a sequence"),
        (b"true", 422, TYPE + "invalid type: boolean `true`, expected a sequence"),
        (b"12", 422, TYPE + "invalid type: integer `12`, expected a sequence"),
        (b"1.5", 422, TYPE + "invalid type: floating point `1.5`, expected a sequence"),
        (b'"x"', 422, TYPE + 'invalid type: string "x", expected a sequence'),
        (b'"x', 400, SYNTAX + "EOF while parsing"),
        (b"{}", 422, TYPE + "invalid type: map, expected a sequence"),
        (b"{bad", 422, TYPE + "invalid type: map, expected a sequence"),
        (b"[", 400, SYNTAX + "EOF while parsing a list"),
        (b"[{", 400, SYNTAX + "[0]: EOF while parsing an object"),
        (b"[{]", 400, SYNTAX + "[0]: key must be a string"),
        (b"[null]", 422, TYPE + "[0]: invalid type: null, expected struct New"),
        (b'[["q","a",1,null,1,null,null]]', 422, TYPE + "[0]: invalid type: sequence"),
        (b"[{}]", 422, TYPE + "[0]: missing field `queue`"),
        (b'[{"id":1}', 422, TYPE + "[0].id: invalid type: integer `1`, expected a string"),
        (b'[{"id" 1}]', 400, SYNTAX + "[0]: expected `:`"),
        (b'[{"id":"a" 1}]', 400, SYNTAX + "[0]: expected `,` or `}`"),
        (b'[{"id":"a",}]', 400, SYNTAX + "[0]: trailing comma"),
        (b'[{"id":"a","id":"b"}]', 422, TYPE + "[0]: duplicate field `id`"),
        (b'[{"i\\u0064":"a","id":"b"}]', 422, TYPE + "[0]: duplicate field `id`"),
        (job()[:-1] + b",]", 400, SYNTAX + "trailing comma"),
        (job()[:-1] + b" 1]", 400, SYNTAX + "expected `,` or `]`"),
        (job() + b" junk", 400, SYNTAX + "trailing characters"),
        (job() + b"\xff", 400, SYNTAX),
        (b'[{"id":"\xff"}]', 400, SYNTAX),
        (b'[{"id":"\xed\xa0\x80"}]', 400, SYNTAX),
        (b'[{"id":1,"\xff":2}]', 422, TYPE + "[0].id"),
        (job(id=r'"\ud800"'), 400, SYNTAX + "[0].id: lone leading surrogate"),
        (job(id=r'"\x"'), 400, SYNTAX + "[0].id: invalid \\escape"),
        (job(id='"\t"'), 400, SYNTAX + "[0].id: invalid control character"),
        (job(timeout="30.0"), 422, TYPE + "[0].timeout: invalid type: floating point `30.0`"),
        (job(timeout="3e1"), 422, TYPE + "[0].timeout: invalid type: floating point `3e1`"),
        (job(timeout="-0"), 422, TYPE + "[0].timeout: invalid type: floating point"),
        (job(timeout='"30"'), 422, TYPE + '[0].timeout: invalid type: string "30", expected i32'),
        (job(timeout="null"), 422, TYPE + "[0].timeout: invalid type: null, expected i32"),
        (job(timeout="2147483648"), 422, TYPE + "[0].timeout: invalid value: integer `2147483648`"),
        (job(timeout="9" * 300), 422, TYPE + "[0].timeout: invalid value: integer"),
        (job(timeout="9" * 5000), 400, SYNTAX + "[0].timeout: number out of range"),
        (job(timeout="1e400"), 400, SYNTAX + "[0].timeout: number out of range"),
        (job(timeout="30."), 400, SYNTAX + "[0].timeout: invalid number"),
        (job(id="30."), 400, SYNTAX + "[0].id: invalid number"),
        (job(id="01"), 400, SYNTAX + "[0].id: invalid number"),
        (job(id="1e400"), 400, SYNTAX + "[0].id: number out of range"),
        (job(id="1e"), 400, SYNTAX + "[0].id: invalid number"),
        (job(timeout="-1"), 422, TYPE + "[0].timeout: Integer is too small to store"),
        (job(timeout="030"), 400, SYNTAX + "[0].timeout: invalid number"),
        (job(max_retries="32768"), 422, TYPE + "[0].max_retries: invalid value: integer `32768`"),
        (job(max_retries="-1"), 422, TYPE + "[0].max_retries: Integer is too small to store"),
        (job(max_retries="1.5"), 422, TYPE + "[0].max_retries: invalid type: floating point"),
        (job(max_retries="nul"), 400, SYNTAX + "[0].max_retries: expected ident"),
        (job(run_at='"junk"'), 422, TYPE + "[0].run_at: input contains invalid characters"),
        (job(run_at="[]"), 422, TYPE + "[0].run_at: invalid type: sequence"),
        (job(run_at="1636331169"), 422, TYPE + "[0].run_at: invalid type: integer"),
        (job(run_at='"+10000-01-01T00:00:00Z"'), 422, "Backend error: "),
        (job(payload="NaN"), 400, SYNTAX + "[0].payload: expected value"),
        (job(payload="-Infinity"), 400, SYNTAX + "[0].payload: expected value"),
        (job(payload="[1,]"), 400, SYNTAX + "[0].payload: "),
        (job(payload="1."), 400, SYNTAX),
        (job(payload="+1"), 400, SYNTAX),
        (job(payload="'a'"), 400, SYNTAX),
        (job(bogus="[1,]"), 400, SYNTAX + "[0].bogus: "),
    ],
)
def test_the_first_problem_of_a_body_decides(
    app: App, body: bytes, status: int, start: str
) -> None:
    found, text = post(app, body)

    assert (found, text[: len(start)]) == (status, start)


@pytest.mark.parametrize("field", ["queue", "id", "timeout", "payload"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_missing_field_is_named(app: App, field: str, version: int) -> None:
    fields = json.loads(job())[0]
    del fields[field]

    status, text = post(app, json.dumps([fields]).encode(), version)

    assert status == 422
    assert text.startswith(TYPE + f"[0]: missing field `{field}` at line 1 column ")


@pytest.mark.parametrize(
    ("extra", "status", "start"),
    [
        ({"max_retries": "null"}, 422, TYPE + "[0].max_retries: invalid type: null, expected i32"),
        ({"max_retries": "2147483648"}, 422, TYPE + "[0].max_retries: invalid value"),
        ({"timeout": "-2147483649"}, 422, TYPE + "[0].timeout: invalid value"),
        ({"run_at": "[]"}, 400, SYNTAX + "[0].run_at: expected `,` or `}`"),
        ({"run_at": "{}"}, 400, SYNTAX + "[0].run_at: expected `,` or `}`"),
        ({"run_at": "tru"}, 400, SYNTAX),
        ({"run_at": r'"\ud800"'}, 202, ""),
        ({"run_at": '"2030-01-01'}, 400, SYNTAX),
        ({"updated_at": '"junk"'}, 422, TYPE + "[0].updated_at: "),
        ({"updated_at": "12"}, 422, TYPE + "[0].updated_at: invalid type: integer `12`"),
        ({"updated_at": "null"}, 202, ""),
        ({"updated_at": '"+10000-01-01T00:00:00Z"'}, 202, ""),
        ({"run_at": "12"}, 202, ""),
        ({"run_at": "true"}, 202, ""),
    ],
)
def test_version_1_reads_its_own_fields(
    app: App, extra: dict[str, str], status: int, start: str
) -> None:
    found, text = post(app, job(**extra), version=1)

    assert (found, text[: len(start)]) == (status, start)


@pytest.mark.parametrize(
    "payload",
    [
        "null",
        '{"b":1,  "a":[ ],"a":2}',
        "12345678901234567890123",
        "1E400",
        "1.50",
        "9" * 5000,
        r'"\u00e9\ud83d\ude00\\u0000\"\/"',
        '"é😀\x7f"',
        r'"\\\\ud800"',
        "1e131071",
        "0e200000",
        '"1e200000"',
        "[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH,
        '{"[":' * MAX_JSON_DEPTH + r'"[{\"[{"' + "}" * MAX_JSON_DEPTH,
    ],
    ids=lambda payload: payload[:20],
)
@pytest.mark.parametrize("version", [1, 2])
def test_payload_and_state_are_kept_unchanged(app: App, payload: str, version: int) -> None:
    status, text = post(app, job(payload=payload, state=payload), version)
    assert (status, text) == (202, "")

    body = app("GET", f"/v{version}/queues/q/jobs/a", {}, b"").body.decode()

    assert f'"payload":{payload},"state":{payload},' in body


@pytest.mark.parametrize(
    "value",
    [
        r'"\u0000"',
        r'{"\u0000":1}',
        r'"\\\u0000"',
        r'"\ud800"',
        r'"\udc00"',
        r'"\ud800\ud800\udc00"',
        r'"\ud83d\\ude00"',
        "1e200000",
        "-1e200000",
        "1e-20000",
        "1e" + "9" * 30,
        "9" * 131073,
        "0." + "0" * 16383 + "1",
        "[" * (MAX_JSON_DEPTH + 1) + "]" * (MAX_JSON_DEPTH + 1),
        '[{"a":' * 100_000 + "1" + "}]" * 100_000,
    ],
    ids=lambda value: value[:20],
)
@pytest.mark.parametrize("field", ["payload", "state"])
def test_values_that_postgresql_refuses_are_refused(app: App, value: str, field: str) -> None:
    status, text = post(app, job(**{field: value}))

    assert status == 422
    assert text.startswith("Backend error: ")
    assert text.endswith(". Is retryable: false.")
    assert post(app, job(**{field: value}), version=1)[1].startswith("Backend error: ")


def test_an_unknown_field_may_have_an_unstorable_value(app: App) -> None:
    assert post(app, job(bogus=r'["\u0000","\ud800",1e200000]')) == (202, "")


@pytest.mark.parametrize("depth", [MAX_JSON_DEPTH + 1, 5000, 100_000])
@pytest.mark.parametrize("shape", ["{}1{}", "{}", "1,{}"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_value_nested_too_deep_is_refused_anywhere(
    app: App, version: int, shape: str, depth: int
) -> None:
    deep = shape.format('[{"a":' * (depth // 2 + 1), "}]" * (depth // 2 + 1))

    status, text = post(app, job(bogus=f"[{deep}]"), version)

    assert status == 422
    assert f"(JSON may be nested {MAX_JSON_DEPTH} levels deep here)" in text


def test_a_wide_value_is_not_a_deep_one(app: App) -> None:
    assert post(app, job(payload="[" + "[{}]," * 100_000 + "[]]")) == (202, "")


def test_a_long_number_is_not_converted(app: App) -> None:
    digits = "7" * 100_000
    assert len(digits) > sys.get_int_max_str_digits()

    assert post(app, job(payload=digits)) == (202, "")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 202),
        ("APPLICATION/JSON", 202),
        ("application/json; charset=utf-8", 202),
        ('application/json;charset="utf-8"', 202),
        ("application/vnd.x+json", 202),
        ("application/json+xml", 202),
        ("application/json;", 202),
        ("application/json; charset=", 202),
        ("application/json; a=b; c=", 202),
        ('application/json; a="b;c" ; d=e', 202),
        ("application/json ;", 415),
        ("application/json; charset=utf-8 ;", 415),
        ('application/json; a=""', 415),
        ('application/json; a="b', 415),
        ("application/json; a", 415),
        ("application/json; a=é", 415),
        ("application/xml+jsonx", 415),
        ("application/+json", 415),
        ("", 415),
        ("text/plain", 415),
        ("text/json", 415),
        ("application/x-ndjson", 415),
        ("application/json, text/plain", 415),
        ("application/jsonx", 415),
        ("application/json" + " " * 300_000 + "x", 415),
    ],
    ids=lambda value: str(value)[:40],
)
def test_only_a_json_content_type_is_accepted(app: App, content_type: str, status: int) -> None:
    response = app("POST", "/v2/queues/jobs", {"content-type": content_type}, b"[]")

    assert response.status == status
