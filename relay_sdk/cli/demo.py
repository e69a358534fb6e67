"""The `demo` command: a tour of Relay in a few seconds."""

import inspect
import logging
from typing import Any

from relay_sdk._base.log import logger
from relay_sdk.backoff import Backoff
from relay_sdk.cli import demo_worker
from relay_sdk.cli.output import print_text
from relay_sdk.client import Client
from relay_sdk.exceptions import JobExistsError
from relay_sdk.helper import JobHelper
from relay_sdk.worker import Worker

NEXT = """\
Next steps
1. In one terminal, start a server that stores its jobs in relay.db:
     relay-sdk serve
2. Save the code above as mails.py, and add:
     from relay_sdk import Client, Worker

     def worker() -> Worker:
         return Worker(Client(), EMAILS, send)
3. In a second terminal, run the worker:
     export RELAY_URL=http://127.0.0.1:8080
     relay-sdk work mails:worker
4. In a third terminal, enqueue a job:
     export RELAY_URL=http://127.0.0.1:8080
     echo '{"id": "1", "payload": {"subject": "Hi", "to": ["ada@example.org"]}}' > mails.jsonl
     relay-sdk enqueue emails mails.jsonl
If something does not work: relay-sdk doctor\
"""


def demo() -> None:
    """Show a tour of Relay in a few seconds.

    It runs a server, a producer and a worker that retries a failed job. The server keeps its jobs
    in memory. No file is written, and nothing is left running.
    """
    from relay_sdk.local import LocalServer

    # The demo fails a job on purpose and explains that itself, without a logged traceback.
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with LocalServer() as server:
            _show_tour(server.url)
    finally:
        logger.setLevel(level)


def _show_tour(url: str) -> None:
    _print_heading(
        f"A local server is running at {url}. It has the API of Relay and keeps jobs in memory."
    )
    _print_heading("A queue is declared once, with the types of its jobs:")
    _print_code(inspect.getsource(demo_worker).partition('"""\n\n')[2].partition("def make_job")[0])
    with Client(url) as relay:
        _print_heading(
            "A producer enqueues a job. Editors and type checkers know the type of its payload:"
        )
        job = demo_worker.make_job()
        print_text(f"  relay.enqueue(EMAILS.job({job.id!r}, {job.payload}))")
        relay.enqueue(job)
        try:
            relay.enqueue(job)
        except JobExistsError as error:
            print_text(f"  again: {error}")
        _print_heading("A worker runs this function for each job:")
        _print_code(inspect.getsource(demo_worker.send))
        _print_heading(
            "The worker starts. The first run fails, and the second resumes from the saved state:"
        )
        _work(relay)
        gone = not relay.exists(demo_worker.EMAILS, job.id)
        _print_heading(
            f"The job is {'complete, and deleted from the server' if gone else 'not complete'}."
        )
    print_text("")
    for line in NEXT.splitlines():
        print_text(line)


def _work(relay: Client) -> None:
    def report_failure(helper: JobHelper[Any, Any], error: Exception) -> None:
        state = relay.get(demo_worker.EMAILS, helper.job.id).state
        print_text(f"  failed: {error}. State on the server: {state}")

    def handle(helper: JobHelper[demo_worker.Email, demo_worker.Progress]) -> None:
        demo_worker.send(helper)
        helper.complete()
        worker.stop()

    worker = Worker(
        relay, demo_worker.EMAILS, handle, retry=Backoff(0.5, retries=3), on_error=report_failure
    )
    worker.run()


def _print_heading(text: str) -> None:
    print_text("")
    print_text(text)


def _print_code(text: str) -> None:
    for line in text.strip().splitlines():
        print_text(f"  {line.partition('  # noqa')[0]}".rstrip())
