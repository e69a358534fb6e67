"""Listen for the jobs that any server of the database stores."""

import logging
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import psycopg

from relay_sdk.local.store import ArrivalCallback

from . import connection
from .connection import Connection
from .sql import CHANNEL

log: logging.Logger = logging.getLogger("relay_sdk.local")

RECONNECT_INTERVAL = 1.0
"""Seconds between attempts to listen again."""


class NotificationListener:
    """Calls `on_arrival`, in a separate thread, when a queue gains jobs on any server.

    `on_arrival(queue, run_at)` gets the time when the first of them is due. The queue is None after
    notifications may have been missed, so that any queue may have gained jobs. Notifications from
    the backend with the pid `own_pid()` are ignored. A pooler can drop all notifications, and Relay
    itself sends none, so long polls also need to poll now and then.
    """

    def __init__(
        self, url: str, on_arrival: ArrivalCallback, own_pid: Callable[[], int] = lambda: 0
    ) -> None:
        self._url = url
        self._jobs_came = on_arrival
        self._own_pid = own_pid
        self._stopping, self._stop = socket.socketpair()
        self._thread = Thread(target=self._run, name="relay listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; the callback is not called after this returns."""
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
            self._stopping.settimeout(RECONNECT_INTERVAL)
            with suppress(TimeoutError):
                self._stopping.recv(1)
                return

    def _listen(self, listening: Connection) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stopping, selectors.EVENT_READ)
            selector.register(listening.fileno(), selectors.EVENT_READ)
            while all(key.fileobj is not self._stopping for key, _ in selector.select()):
                self._call_back(listening)

    def _call_back(self, listening: Connection) -> None:
        for notification in listening.notifies(timeout=0):
            if notification.pid == self._own_pid():
                continue
            due, _, queue = notification.payload.partition(" ")
            with suppress(ValueError):  # it was not sent by a server of this kind
                self._jobs_came(queue, int(due))
