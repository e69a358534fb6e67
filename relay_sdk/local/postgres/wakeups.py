"""News of the jobs that any server of the database stored."""

import logging
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import psycopg

from relay_sdk.local.operations import JobsCame

from . import connection
from .connection import Connection
from .statements import CHANNEL

log: logging.Logger = logging.getLogger("relay_sdk.local")

PAUSE = 1.0
"""Seconds between tries to listen again."""


class Wakeups:
    """Calls back, in a thread of its own, when a queue gains jobs on any server.

    `jobs_came(queue, run_at)` says when the first of them is due; queue is None when news may have
    been missed, and any queue may have gained some. Nothing is said of what the connection does
    whose backend has the pid `own()`. A pooler can keep all news away, and another Relay sends
    none, so whoever waits looks now and then all the same.
    """

    def __init__(self, url: str, jobs_came: JobsCame, own: Callable[[], int] = lambda: 0) -> None:
        self._url = url
        self._jobs_came = jobs_came
        self._own = own
        self._stopping, self._stop = socket.socketpair()
        self._thread = Thread(target=self._run, name="relay wakeups", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; nothing is called when this has returned."""
        self._stop.close()
        self._thread.join()
        self._stopping.close()

    def _run(self) -> None:
        failing = False
        while True:
            try:
                with connection.connect(self._url) as listening:
                    listening.execute(f"LISTEN {CHANNEL}")
                    failing = False
                    self._jobs_came(None, 0)
                    self._listen(listening)
                    return
            except psycopg.Error as error:
                if not failing:
                    log.warning(
                        "Cannot listen for jobs of other servers: %s", connection.message(error)
                    )
                failing = True
            self._stopping.settimeout(PAUSE)
            with suppress(TimeoutError):
                self._stopping.recv(1)
                return

    def _listen(self, listening: Connection) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stopping, selectors.EVENT_READ)
            selector.register(listening.fileno(), selectors.EVENT_READ)
            while all(key.fileobj is not self._stopping for key, _ in selector.select()):
                self._tell(listening)

    def _tell(self, listening: Connection) -> None:
        for news in listening.notifies(timeout=0):
            if news.pid == self._own():
                continue
            due, _, queue = news.payload.partition(" ")
            with suppress(ValueError):  # it is nobody's of ours
                self._jobs_came(queue, int(due))
