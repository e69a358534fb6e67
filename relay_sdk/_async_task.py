"""What a worker on tasks does with one job."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from inspect import isawaitable
from typing import Any, TypeAlias

from anyio import CancelScope, CapacityLimiter, get_cancelled_exc_class
from anyio.to_thread import run_sync
from attrs import define, field, frozen

from relay_sdk._checks import place
from relay_sdk._flow import Flow
from relay_sdk._lease import AsyncLease
from relay_sdk._log import logger
from relay_sdk._work import AWAY, next_attempt
from relay_sdk.backoff import Backoff
from relay_sdk.exceptions import ServerBusyError, TransportError
from relay_sdk.helper import AsyncJobHelper

AsyncReport: TypeAlias = Callable[[AsyncJobHelper[Any, Any], Exception], Awaitable[None]]


@frozen
class AsyncFailing:
    """What happens when a handler raises."""

    retry: Backoff | None
    on_error: AsyncReport | None
    on_give_up: AsyncReport | None


@define(eq=False)
class AsyncTask:
    """A job in a slot. A plain function is called in a thread, within `threads`."""

    lease: AsyncLease
    helper: AsyncJobHelper[Any, Any]
    handle: Callable[[], Awaitable[None] | None]
    threads: CapacityLimiter | None
    failing: AsyncFailing
    _scope: CancelScope = field(factory=CancelScope, init=False)
    _in_thread: bool = field(default=False, init=False)

    @property
    def where(self) -> str:
        """The job's name, for messages."""
        return place(self.lease.run.raw.queue, self.lease.run.raw.id)

    def cancel(self) -> None:
        """Cancel the handler, unless it is in a thread: there it looks at its helper."""
        if not self._in_thread:
            self._scope.cancel()

    async def run(self) -> None:
        """Run the handler, and tell the server what came of it."""
        run = self.lease.run
        try:
            with self._scope:
                await self._handle()
            if run.lost is not None:
                run.check_kept()
            elif self._scope.cancelled_caught:
                logger.warning("%s was cancelled; it is left to its timeout", self.where)
            else:
                await self._tell(run.complete)
        except Exception as error:
            if run.lost is None:
                logger.exception("the handler of %s failed", self.where)
                await self._report(self.failing.on_error, error)
                await self._retry(error)
            else:
                await self._report(self.failing.on_error, error)
        except SystemExit:
            logger.exception("the handler of %s exited; it is left to its timeout", self.where)
        except get_cancelled_exc_class():
            logger.warning("%s was cancelled; it is left to its timeout", self.where)
            raise
        finally:
            if run.lost is not None:
                logger.warning("%s was lost while it ran: %s", self.where, run.lost)
            run.ended = True  # so that no more heartbeats are sent

    async def _handle(self) -> None:
        if self.threads is None:
            result = self.handle()
        else:
            self._in_thread = True
            # Hidden in a list: trio takes no awaitable from a thread.
            (result,) = await run_sync(
                lambda: [self.handle()], abandon_on_cancel=True, limiter=self.threads
            )
            self._in_thread = False
            if self.lease.run.lost is not None or self.lease.run.stopping:
                self.cancel()
        if isawaitable(result):
            await result

    async def _retry(self, error: Exception) -> None:
        run = self.lease.run
        if self.failing.retry is None or run.ended or run.lost is not None:
            return
        attempt = next_attempt(run.raw, self.failing.retry)
        if attempt is None:
            logger.error("%s is given up", self.where)
            if await self._report(self.failing.on_give_up, error):
                await self._tell(run.complete)
            return
        wait, retries = attempt
        run_at = self.lease.session.policy.clock.now() + timedelta(seconds=wait)
        await self._tell(lambda: run.again(run_at, max_retries=retries))

    async def _report(self, report: AsyncReport | None, error: Exception) -> bool:
        try:
            if report is not None:
                await report(self.helper, error)
        except Exception:
            logger.exception("the report about %s failed", self.where)
            return False
        return True

    async def _tell(self, flow: Callable[[], Flow[None]]) -> None:
        """Tell the server how the run ends, unless the handler has; try as long as it is ours."""
        run = self.lease.run
        waits = iter(AWAY)
        while not run.ended and run.lost is None:
            try:
                await self.lease.do(flow())
            except (TransportError, ServerBusyError) as error:
                logger.warning("%s", error)
                await self.lease.session.policy.clock.asleep(next(waits))
            except Exception:
                logger.exception("the end of %s could not be told; it is left", self.where)
                return
