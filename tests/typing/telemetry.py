"""What an `on_event` takes, and that a payload that carries its trace keeps its type."""

from typing import Literal, assert_type

from shared import Email, Progress

from relay_sdk import AsyncClient, Client, Codec, Event, JobEvent, Queue, RequestEvent
from relay_sdk.otel import Telemetry, traced

TRACED = Queue("emails", traced(Email))
WITH_STATE = Queue("emails", traced(Email, "meta"), state=Progress)
UNION = Queue("emails", traced(Email | None))


def count(event: Event) -> None:
    if isinstance(event, JobEvent):
        assert_type(
            event.kind,
            Literal[
                "started",
                "completed",
                "rescheduled",
                "requeued",
                "removed",
                "released",
                "retried",
                "interrupted",
                "failed",
                "lost",
            ],
        )
        assert_type((event.queue, event.id, event.attempt), tuple[str, str, int])
        assert_type(event.seconds, float)
    else:
        assert_type(event, RequestEvent)
        assert_type(event.queue, str | None)
    assert_type(event.error, BaseException | None)


def options(telemetry: Telemetry) -> None:
    Client(on_event=count)
    AsyncClient(on_event=count)
    Client(on_event=telemetry)
    AsyncClient(on_event=lambda event: telemetry(event))
    Client(on_event=count_jobs)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(on_event="count")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def count_jobs(event: JobEvent) -> None: ...


def carry(relay: Client) -> None:
    assert_type(traced(Email), Codec[Email])
    assert_type(relay.get(TRACED, "1").payload, Email)
    assert_type(relay.get(WITH_STATE, "1").state, Progress | None)
    assert_type(relay.get(UNION, "1").payload, Email | None)
    relay.enqueue(TRACED.job("1", Email("a")))
    relay.enqueue(TRACED.job("1", "a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
