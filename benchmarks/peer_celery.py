"""Celery in a benchmark: its worker's module, and a producer; Redis is at $REDIS_URL."""

import os

import loads
from celery import Celery
from marks import writer

PAYLOAD = {"to": "ada@example.org", "subject": "Hello"}
app = Celery("peer_celery", broker=os.environ["REDIS_URL"])
app.conf.broker_connection_retry_on_startup = True
note = writer()


@app.task(name="noop", ignore_result=True)
def noop(_payload: dict[str, str]) -> None:
    note()


if __name__ == "__main__":
    loads.produce(lambda _: noop.delay(PAYLOAD))
