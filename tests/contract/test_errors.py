"""Errors are one text each, never JSON."""

import json
from uuid import uuid4

import pytest

from .api import Api
from .wire import Answer


def errors(api: Api) -> dict[str, Answer]:
    """One answer for each way a request can fail that a client can provoke."""
    api.stored("there")
    run = str(uuid4())
    answers = {
        "no content type": api.post(b"[]", None),
        "too large": api.post(b" " * (2 * 1024 * 1024 + 1)),
        "no JSON": api.post(b"[{"),
        "wrong shape": api.post(b"{}"),
        "missing field": api.enqueue({}),
        "exists": api.enqueue(api.job("there")),
        "unholdable": api.enqueue(api.job(payload="\0")),
        "bad query": api.next("x"),
        "bad path": api.wire.send("GET", f"{api.next_path()}/%ff"),
        "nul path": api.wire.send("GET", f"{api.next_path()}/%00"),
        "nul queue": api.next(queue="\0"),
        "lost": api.heartbeat(api.job("gone", run_id=run), state=1),
    }
    if api.version == "v2":
        answers["bad uuid"] = api.complete(api.job(), "abc")
        answers["bad mode"] = api.enqueue(mode="a&mode=b")
    return answers


def test_an_error_is_plain_text_and_no_json(api: Api) -> None:
    for name, answer in errors(api).items():
        assert 400 <= answer.status <= 500, name
        assert answer.content_type == "text/plain; charset=utf-8", name
        assert answer.text.strip(), name
        with pytest.raises(ValueError):
            json.loads(answer.body)


def test_a_backend_error_tells_newer_clients_whether_to_retry(api: Api) -> None:
    texts = [
        api.enqueue(api.job(payload="\0")).text,
        api.get("\0").text,
        api.remove("\0").text,
    ]
    assert all(text.startswith("Backend error: ") for text in texts)
    # On relay the v1 routes speak as the v2 routes do.
    tells = api.version == "v2" or api.flavor == "relay"
    assert [text.endswith(". Is retryable: false.") for text in texts] == [tells] * len(texts)


def test_a_heartbeat_with_a_nul_in_its_path_is_422_but_on_relay(api: Api) -> None:
    answer = api.heartbeat(api.job("\0"), state=1)
    # A known fault of relay: its v1 takes each error of the lookup for a missing job.
    hidden = (api.flavor, api.version) == ("relay", "v1")
    assert answer.status == (404 if hidden else 422)
    if not hidden:
        assert answer.text.startswith("Backend error: ")
