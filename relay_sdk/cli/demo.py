"""The command that shows in a few seconds what Relay is."""

import inspect
import logging
from typing import Any

from relay_sdk._base.log import logger
from relay_sdk.backoff import Backoff
from relay_sdk.cli import tour
from relay_sdk.cli.output import show
from relay_sdk.client import Client
from relay_sdk.exceptions import JobExistsError
from relay_sdk.helper import JobHelper
from relay_sdk.worker import Worker

NEXT = """\
Now your own
1. In one terminal, a server that keeps its jobs in relay.db:
     relay-sdk serve
2. The lines above in mails.py, and below them:
     from relay_sdk import Client, Worker

     def worker() -> Worker:
         return Worker(Client(), EMAILS, send)
3. In a second terminal, a worker:
     export RELAY_URL=http://127.0.0.1:8080
     relay-sdk work mails:worker
4. In a third one, a job:
     export RELAY_URL=http://127.0.0.1:8080
     echo '{"id": "1", "payload": {"subject": "Hi", "to": ["ada@example.org"]}}' > mails.jsonl
     relay-sdk enqueue emails mails.jsonl
If something does not work: relay-sdk doctor\
"""


def demo() -> None:
    """Show a typed job on its way, in a few seconds: server, producer, worker, a failure.

    The server keeps its jobs in memory; nothing is written, and nothing is left running.
    """
    from relay_sdk.local import LocalServer

    # A failure is part of it, and told in words.
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with LocalServer() as server:
            _tour(server.url)
    finally:
        logger.setLevel(level)


def _tour(url: str) -> None:
    _say(f"A local server runs at {url}. It speaks as Relay does, and keeps jobs in memory.")
    _say("A queue is declared once, for all who use it, with the types of its jobs:")
    _code(inspect.getsource(tour).partition('"""\n\n')[2].partition("def make_job")[0])
    with Client(url) as relay:
        _say("A program enqueues a job. Editors and type checkers know what its payload is:")
        job = tour.make_job()
        show(f"  relay.enqueue(EMAILS.job({job.id!r}, {job.payload}))")
        relay.enqueue(job)
        try:
            relay.enqueue(job)
        except JobExistsError as error:
            show(f"  again: {error}")
        _say("A worker runs this function for each job:")
        _code(inspect.getsource(tour.send))
        _say("There it goes. The first run fails, and the second goes on from the saved state:")
        _work(relay)
        gone = not relay.exists(tour.EMAILS, job.id)
        _say(f"The job is {'done, and gone from the server' if gone else 'not done'}.")
    show("")
    for line in NEXT.splitlines():
        show(line)


def _work(relay: Client) -> None:
    def told(helper: JobHelper[Any, Any], error: Exception) -> None:
        state = relay.get(tour.EMAILS, helper.job.id).state
        show(f"  failed: {error}. Kept by the server: {state}")

    def handle(helper: JobHelper[tour.Email, tour.Progress]) -> None:
        tour.send(helper)
        helper.complete()
        worker.stop()

    worker = Worker(relay, tour.EMAILS, handle, retry=Backoff(0.5, retries=3), on_error=told)
    worker.run()


def _say(text: str) -> None:
    show("")
    show(text)


def _code(text: str) -> None:
    for line in text.strip().splitlines():
        show(f"  {line.partition('  # noqa')[0]}".rstrip())
