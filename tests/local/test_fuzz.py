import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_sdk.local import ROUTES, App, batch_decoder, v1, v2
from relay_sdk.local.json_parser import JsonParser

RUN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with App() as app:
        yield app


text = st.text(max_size=20) | st.sampled_from(["", "q", "a", ".", "..", "\0", "jobs", RUN])
segments = st.binary(max_size=20).map(quote) | text | text.map(lambda t: quote(t, safe=""))
queries = st.one_of(
    st.just(""),
    text.map("?{}".format),
    st.tuples(st.sampled_from(["num_jobs", "mode"]), text).map("?{0[0]}={0[1]}".format),
)
methods = st.sampled_from(sorted({method for method, _ in ROUTES})) | st.text(max_size=8)
templates = st.sampled_from(sorted({template for _, template in ROUTES}))
json_types = st.sampled_from(["application/json", "application/x+json; a=b"])
content_types = json_types | st.text(max_size=30)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "queue": st.just("q") | values,
        "id": text | values,
        "timeout": st.integers(0, 100) | values,
        "max_retries": st.integers(-1, 40_000) | values,
        "payload": values,
        "state": values,
        "run_at": st.sampled_from(["2022-09-05T04:37:23Z", "9/5/2022", "9" * 13]) | values,
        "updated_at": st.just("2022-09-05T04:37:23Z") | values,
        "bogus": values,
    },
)
documents = st.one_of(fields, st.lists(fields | values, max_size=4)).map(json.dumps).map(str.encode)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Nearly valid bodies, in which a piece may be replaced by another."""
    body = draw(documents)
    if draw(st.booleans()):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(body))] * 2)))
        body = body[:start] + draw(st.binary(max_size=4)) + body[end:]
    return body


@settings(max_examples=400)
@given(
    methods,
    templates,
    st.lists(segments, min_size=3, max_size=3),
    queries,
    content_types,
    bodies() | st.binary(max_size=200),
)
def test_no_request_causes_a_server_error(
    app: App,
    method: str,
    template: str,
    names: list[str],
    query: str,
    content_type: str,
    body: bytes,
) -> None:
    target = template.format(queue=names[0], id=names[1], run_id=names[2]) + query

    response = app(method, target, {"content-type": content_type}, body)

    assert response.status < 500
    if response.status >= 400 and response.body:
        assert response.headers["content-type"] == "text/plain; charset=utf-8"


@settings(max_examples=300)
@given(st.sampled_from([1, 2]), json_types, bodies())
def test_a_nearly_valid_body_is_accepted_or_refused(
    app: App, version: int, content_type: str, body: bytes
) -> None:
    headers = {"content-type": content_type}

    response = app("POST", f"/v{version}/queues/jobs", headers, body)

    assert response.status in {202, 400, 409, 422}
    listed = app("GET", f"/v{version}/queues/q/jobs?num_jobs=1000", {}, b"")
    if listed.status == 200:
        json.loads(listed.body)


@settings(max_examples=200)
@given(
    st.text(max_size=10),
    st.text(max_size=40),
    st.dictionaries(text, text, max_size=3),
    st.binary(max_size=100),
)
def test_any_text_is_answered(
    app: App, method: str, target: str, headers: dict[str, str], body: bytes
) -> None:
    assert app(method, target, headers, body).status in {404, 405, 200}


@settings(max_examples=500)
@given(bodies())
def test_both_parsers_return_the_same_jobs(body: bytes) -> None:
    for fast, exact in (
        (batch_decoder.decode_v1, v1.parse_jobs),
        (batch_decoder.decode_v2, v2.parse_jobs),
    ):
        if (found := fast(body, 0)) is None:
            continue
        assert found == exact(JsonParser(body), 0)


ONE = {"queue": '"q"', "id": '"a"', "timeout": "30", "payload": '{"id":[1,{"queue":2}]}'}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"max_retries": "3", "state": '{"state":"\\u00e9"}', "run_at": '"2030-01-01T00:00:00Z"'},
        {"payload": ' {"a" : "\\"id\\"" } '},
        {"payload": '"id"'},
    ],
)
def test_a_plain_job_is_decoded_fast(fields: dict[str, str]) -> None:
    body = ",".join(f'"{name}":{text}' for name, text in (ONE | fields).items())
    raw = f"[{{{body}}} , {{{body}}}]".encode()

    for fast, exact in (
        (batch_decoder.decode_v1, v1.parse_jobs),
        (batch_decoder.decode_v2, v2.parse_jobs),
    ):
        assert fast(raw, 0) == exact(JsonParser(raw), 0)


@pytest.mark.parametrize(
    "job",
    [
        '{"queue":"q","id":"a","timeout":30,"payload":1,"id":"b"}',
        '{"queue":"q","id":"a","timeout":30,"payload":1,"i\\u0064":"b"}',
        '{"queue":"q","id":"a","timeout":30,"payload":1,"payload":{"payload":2}}',
        '{"queue":"q","id":"a","timeout":30,"payload":1,"state":1,"state":2}',
        '{"queue":"q","id":"a","timeout":-0,"payload":1}',
        '{"queue":"q","id":"a","timeout":30,"payload":"\udcff"}',
        '{"queue":"q","id":"a","timeout":30,"payload":1,"bogus":1}',
        '{"queue":"q","id":"a","timeout":30,"payload":' + "[" * 501 + "]" * 501 + "}",
    ],
)
def test_unusual_jobs_are_left_to_the_exact_parser(job: str) -> None:
    # A second job lacks what the first has twice, so that their numbers fit.
    other = '{"queue":"q","id":"c","timeout":30,"payload":1}'
    for body in (f"[{job}]", f"[{job},{other}]"):
        raw = body.encode("utf-8", "surrogateescape")
        assert batch_decoder.decode_v1(raw, 0) is None
        assert batch_decoder.decode_v2(raw, 0) is None
