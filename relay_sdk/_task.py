"""What a worker on threads does with one job."""

import threading
from collections.abc import Callable
from datetime import timedelta
from inspect import isawaitable
from typing import Any, TypeAlias

from attrs import frozen

from relay_sdk._checks import place
from relay_sdk._clock import Stopped
from relay_sdk._flow import Flow
from relay_sdk._lease import Lease
from relay_sdk._log import logger
from relay_sdk._work import AWAY, next_attempt
from relay_sdk.backoff import Backoff
from relay_sdk.exceptions import ServerBusyError, TransportError
from relay_sdk.helper import JobHelper

Report: TypeAlias = Callable[[JobHelper[Any, Any], Exception], None]


@frozen
class Failing:
    """What happens when a handler raises."""

    retry: Backoff | None
    on_error: Report | None
    on_give_up: Report | None


@frozen(eq=False)
class Task:
    """A job in a slot. When `leave` is set, nobody waits for it any more."""

    lease: Lease
    helper: JobHelper[Any, Any]
    handle: Callable[[], object]
    failing: Failing
    leave: threading.Event

    @property
    def where(self) -> str:
        """The job's name, for messages."""
        return place(self.lease.run.raw.queue, self.lease.run.raw.id)

    def run(self) -> None:
        """Run the handler, and tell the server what came of it."""
        run = self.lease.run
        try:
            result = self.handle()
            if isawaitable(result):
                raise TypeError(f"the handler returned {result!r}: it needs an AsyncWorker")
        except Exception as error:
            if run.lost is None:
                logger.exception("the handler of %s failed", self.where)
                self._report(self.failing.on_error, error)
                self._retry(error)
            else:
                self._report(self.failing.on_error, error)
        except BaseException:
            logger.exception("the handler of %s exited; it is left to its timeout", self.where)
        else:
            self._tell(run.complete)
        finally:
            if run.lost is not None:
                logger.warning("%s was lost while it ran: %s", self.where, run.lost)
            run.ended = True  # so that no more heartbeats are sent

    def _retry(self, error: Exception) -> None:
        run = self.lease.run
        if self.failing.retry is None or run.ended or run.lost is not None:
            return
        attempt = next_attempt(run.raw, self.failing.retry)
        if attempt is None:
            logger.error("%s is given up", self.where)
            if self._report(self.failing.on_give_up, error):
                self._tell(run.complete)
            return
        wait, retries = attempt
        run_at = self.lease.session.policy.clock.now() + timedelta(seconds=wait)
        self._tell(lambda: run.again(run_at, max_retries=retries))

    def _report(self, report: Report | None, error: Exception) -> bool:
        try:
            if report is not None:
                report(self.helper, error)
        except Exception:
            logger.exception("the report about %s failed", self.where)
            return False
        return True

    def _tell(self, flow: Callable[[], Flow[None]]) -> None:
        """Tell the server how the run ends, unless the handler has; try as long as it is ours."""
        run = self.lease.run
        waits = iter(AWAY)
        while not run.ended and run.lost is None:
            try:
                self.lease.do(flow())
            except (TransportError, ServerBusyError) as error:
                logger.warning("%s", error)
                try:
                    self.lease.session.policy.clock.sleep(next(waits), self.leave)
                except Stopped:
                    return
            except Exception:
                logger.exception("the end of %s could not be told; it is left", self.where)
                return
