"""Dramatiq in a benchmark: its worker's module, and a producer; Redis is at $REDIS_URL."""

import os

import dramatiq
import loads
from dramatiq.brokers.redis import RedisBroker
from marks import writer

PAYLOAD = {"to": "ada@example.org", "subject": "Hello"}
dramatiq.set_broker(RedisBroker(url=os.environ["REDIS_URL"]))
note = writer()


@dramatiq.actor
def noop(_payload: dict[str, str]) -> None:
    note()


if __name__ == "__main__":
    loads.produce(lambda _: noop.send(PAYLOAD))
