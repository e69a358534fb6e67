"""The statements that psycopg prepares."""

import json

from relay_sdk.local import App

JOB = "/v1/queues/q/jobs/x"
STALE = "/v2/queues/q/jobs/x/run-id/00000000-0000-4000-8000-000000000000"


def test_a_requeue_that_does_nothing_harms_no_later_request(postgres: str) -> None:
    jobs = [{"queue": "q", "id": id, "timeout": 3, "payload": 1} for id in "ab"]
    body = json.dumps(jobs).encode()
    for _ in range(5):
        with App(postgres) as app:
            assert app("GET", JOB, {}, b"").status == 404
            assert app("PUT", STALE, {"content-type": "application/json"}, body).status == 202
            for _ in range(3):
                assert app("HEAD", JOB, {}, b"").status == 404
                assert app("GET", JOB, {}, b"").status == 404
