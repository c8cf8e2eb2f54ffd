"""The dispatcher: takes records as they come, runs them as they may, lets go of them in order."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final

from embedder.domain.admission import WORK_TOPICS, Admission, Limits, Work, work_of
from embedder.domain.delivery import Delivery
from embedder.domain.job import Job
from embedder.domain.window import Place
from embedder.entrypoints.acks import Acks
from embedder.entrypoints.lineup import Lineup
from embedder.entrypoints.roster import Roster
from embedder.entrypoints.ticket import Ticket
from embedder.entrypoints.waiting import Waiting
from embedder.ports import JobHandler
from embedder.telemetry import DispatchMetrics, Pulse
from kartoteka_contracts.errors import EventError
from kartoteka_contracts.events import TaskCancellationRequested
from kartoteka_runtime.clock import Clock, SystemClock
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.metrics import Metrics

__all__ = ["Dispatcher", "HandlerBrokeError"]

_log = get_logger(__name__)

_KILL_SECONDS: Final = 5.0
_FLUSH_SECONDS: Final = 5.0


class HandlerBrokeError(Exception):
    """The handler broke its contract.

    Nothing of that record was acknowledged; the process must end, so that it is delivered again.
    """


class Dispatcher:
    """Runs the handler for each record, and acknowledges in order.

    All methods must be called on one event loop. :meth:`run` must run as long as the dispatcher is
    used; it raises HandlerBrokeError when the process must end.
    """

    def __init__(
        self,
        handler: JobHandler,
        limits: Limits,
        *,
        clock: Clock | None = None,
        pulse: Pulse | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._handler = handler
        self._limits = limits
        self._clock = clock or SystemClock()
        self._pulse = pulse or Pulse(self._clock)
        self._acks = Acks()
        self._lineup = Lineup(limits)
        self._admission = Admission(limits)
        self._due = Waiting(limits, self._admission.admits)
        self._roster = Roster()
        self._busy: set[Ticket] = set()
        self._holds: set[str] = set()
        self._is_suspended = True
        self._is_draining = False
        self._changed = asyncio.Event()
        self._broken: asyncio.Event = asyncio.Event()
        self._error: BaseException | None = None
        self._metrics = DispatchMetrics(metrics or Metrics())
        self._metrics.observe(
            admitted=self._admission.inside,
            running=self._lineup.running,
            unacknowledged=self._unacknowledged,
            held=self._due.__len__,
        )

    # --- what the log calls ---------------------------------------------------------------------

    def suspend(self) -> None:
        """Start nothing more: the partitions are being shared out again."""
        self._is_suspended = True

    def turn(self, generation: int, places: Collection[Place]) -> None:
        """Begin a generation: all that is not done is delivered again.

        Running work of kept partitions goes on and is adopted when its record comes; running work
        of lost partitions is cancelled; what has not started is forgotten.
        """
        self._acks.turn(generation, places)
        self._due.clear()
        self._lineup.keep_running()
        for ticket in self._roster:
            if ticket.task is None:
                self._drop(ticket)
            elif ticket.delivery.place not in places:
                self._metrics.lost.inc()
                self._give_back(ticket, "the partition went to another worker")
        self._metrics.generations.inc()
        self._pulse.beat()
        self._is_suspended = False
        self._go_on()

    async def submit(self, delivery: Delivery) -> None:
        """Take in a record; waits while its class is full, which pauses its topic.

        Never raises: what cannot be read is put to the dead letters by the handler.
        """
        if self._broken.is_set() or not self._acks.open(delivery):
            return
        if self._recognise(delivery) or self._is_draining:
            return
        ticket = self._take_in(delivery)
        if ticket.not_before_ms > self._now_ms():
            if await self._until(ticket, lambda: self._due.has_room(ticket)):
                self._due.hold(ticket)
                self._metrics.came(ticket.work, "held")
                self._notify()
            return
        if await self._until(ticket, lambda: self._has_room(ticket)):
            self._let_in(ticket)

    # --- what the process calls -----------------------------------------------------------------

    def hold(self, reason: str) -> None:
        """Start nothing and let nothing in, which pauses the topics; what runs goes on."""
        self._holds.add(reason)

    def release(self, reason: str) -> None:
        """Take a hold away; one that is not there is fine."""
        self._holds.discard(reason)
        self._go_on()

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            HandlerBrokeError: the handler raised; end the process.
        """
        background = [
            asyncio.create_task(self._acks.run(), name="acks"),
            asyncio.create_task(self._release_due(), name="due"),
            asyncio.create_task(self._broken.wait(), name="broken"),
        ]
        try:
            await asyncio.wait(background, return_when=asyncio.FIRST_COMPLETED)
            for task in background[:2]:
                if task.done() and not task.cancelled() and task.exception() is not None:
                    raise HandlerBrokeError("a dispatcher loop ended") from task.exception()
            raise HandlerBrokeError("the job handler raised") from self._error
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

    async def drain(self, seconds: float) -> int:
        """Start nothing more, let running work end, and acknowledge it.

        Args:
            seconds: after which running work is cancelled; its records are delivered again.

        Returns:
            How many tasks were cancelled.
        """
        self._is_draining = True
        self._notify()
        await self._finish_running(seconds)
        killed = len(self._busy)
        for ticket in list(self._busy):
            self._give_back(ticket, "the worker is about to stop")
        await self._finish_running(_KILL_SECONDS)
        if not self._broken.is_set():
            try:
                await asyncio.wait_for(self._acks.flush(), _FLUSH_SECONDS)
            except TimeoutError:
                _log.warning("drain_acks_late")
        return killed

    @property
    def running(self) -> int:
        """Tasks under way."""
        return len(self._busy)

    @property
    def stalled_seconds(self) -> float:
        """Seconds without progress while work is pending; 0 where none is."""
        is_pending = len(self._roster) > len(self._due)
        return self._pulse.age if is_pending and not self._is_suspended else 0.0

    def dead_heads(self) -> frozenset[tuple[Place, int]]:
        """Return records that hold up their partition without anything that would end them."""
        if self._is_draining or self._is_suspended:
            return frozenset()
        return frozenset(head for head in self._acks.heads().items() if head not in self._roster)

    # --- at the door ----------------------------------------------------------------------------

    def _recognise(self, delivery: Delivery) -> bool:
        """Return whether this record was delivered before and runs, or has ended, here."""
        if self._acks.was_settled(delivery):
            self._acks.settle(delivery)
            self._metrics.came(work_of(delivery.place), "settled_before")
            return True
        ticket = self._roster.get(delivery.id)
        if ticket is None or not ticket.adopt(delivery):
            return False
        self._metrics.came(ticket.work, "adopted")
        return True

    def _take_in(self, delivery: Delivery) -> Ticket:
        if not self._roster:
            self._pulse.beat()
        ticket = Ticket.of(delivery)
        self._roster.add(ticket)
        return ticket

    def _has_room(self, ticket: Ticket) -> bool:
        # All before it in its partition were let in, so what it waits for does come to an end.
        topic, limits = ticket.delivery.place.topic, self._limits
        others = self._acks.held_bytes(topic) - ticket.delivery.size
        return (
            not self._holds
            and self._admission.admits(ticket.work)
            and self._acks.size(topic) <= limits.unacknowledged
            and others < limits.unacknowledged_bytes
        )

    async def _until(self, ticket: Ticket, condition: Callable[[], bool]) -> bool:
        """Wait for a condition; False where the ticket is no longer wanted."""
        while self._roster.lists(ticket):
            if self._is_draining or self._broken.is_set():
                return False
            if condition():
                return True
            await self._changed.wait()
        return False

    def _let_in(self, ticket: Ticket) -> None:
        self._admission.enter(ticket.work)
        ticket.is_admitted = True
        if isinstance(ticket.read, EventError):
            self._metrics.came(ticket.work, "unreadable")
            self._launch(ticket, self._handler.reject(ticket.delivery.record, ticket.read))
            return
        self._metrics.came(ticket.work, "let_in")
        job = ticket.read
        if isinstance(job.event, TaskCancellationRequested):
            # At once, in no lane: the decision is conditional, whatever it meets.
            self._withdraw(job.event)
            self._launch(ticket, self._handler.handle(job, ticket.lease))
        else:
            overtaken = self._lineup.join(ticket)
            for stale in overtaken.waiting:
                self._launch(stale, self._handler.supersede(stale.job))
            if overtaken.running is not None:
                self._supersede(overtaken.running)
        self._go_on()

    # --- running --------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Start all that may start now, and wake whoever waits for a change."""
        while self._may_start:
            ticket = self._lineup.next()
            if ticket is None:
                break
            ticket.is_running = True
            self._launch(ticket, self._handler.handle(ticket.job, ticket.lease))
        self._notify()

    @property
    def _may_start(self) -> bool:
        is_stopping = self._is_draining or self._broken.is_set()
        return not (self._is_suspended or is_stopping or self._holds)

    def _launch(self, ticket: Ticket, work: Coroutine[Any, Any, None]) -> None:
        ticket.began = ticket.began or self._clock.monotonic()
        # In a context of its own: whoever makes room for it may be another document's work.
        ticket.task = asyncio.create_task(work, context=ticket.told())
        self._busy.add(ticket)
        self._pulse.beat()
        ticket.task.add_done_callback(partial(self._ended, ticket))

    def _ended(self, ticket: Ticket, task: asyncio.Task[None]) -> None:
        self._busy.discard(ticket)
        self._pulse.beat()
        was_running, ticket.is_running = ticket.is_running, False
        if was_running:
            self._lineup.free_slot(ticket)
        if task.cancelled():
            self._stopped(ticket, was_running=was_running)
        elif (error := task.exception()) is not None:
            self._break(ticket, error)
        else:
            self._observe(ticket, ticket.end)
            self._acks.settle(ticket.delivery)
            self._drop(ticket)
        self._go_on()

    def _drop(self, ticket: Ticket) -> None:
        """Forget a ticket; what waited for its lane is ready."""
        self._roster.remove(ticket)
        if ticket.is_admitted:
            ticket.is_admitted = False
            self._admission.leave(ticket.work)
        if isinstance(ticket.read, Job):
            self._lineup.free_lane(ticket)

    # --- stopping -------------------------------------------------------------------------------

    def _supersede(self, ticket: Ticket) -> None:
        is_stopping = ticket.is_superseded or ticket.is_cancelled or ticket.is_lost
        if is_stopping or not ticket.is_running:
            return
        ticket.is_superseded = True
        ticket.stop("newer work of the document arrived")

    def _withdraw(self, request: TaskCancellationRequested) -> None:
        """Take a task's work out, wherever it is; what is not let in yet finds the decision."""
        for ticket in self._roster.cancelled_by(request):
            if ticket.is_running:
                if not (ticket.is_superseded or ticket.is_cancelled or ticket.is_lost):
                    ticket.stop("cancelled")
                ticket.is_cancelled = True
            elif ticket.task is None and (ticket.is_admitted or self._due.discard(ticket)):
                ticket.is_cancelled = True
                self._lineup.withdraw(ticket)
                self._launch(ticket, self._handler.cancel(ticket.job))

    def _give_back(self, ticket: Ticket, reason: str) -> None:
        """Stop work that is to be delivered again."""
        ticket.is_lost = True
        ticket.stop(reason)

    def _stopped(self, ticket: Ticket, *, was_running: bool) -> None:
        if ticket.is_lost:
            self._observe(ticket, "given_back")
            self._drop(ticket)
        elif ticket.is_cancelled and was_running:
            self._launch(ticket, self._handler.cancel(ticket.job))
        elif ticket.is_superseded and was_running:
            self._launch(ticket, self._handler.supersede(ticket.job))
        else:
            self._break(ticket, RuntimeError("the handler cancelled itself"))

    def _break(self, ticket: Ticket, error: BaseException) -> None:
        _log.error("handler_broke_its_contract", exc_info=error, **ticket.context)
        self._error = self._error or error
        self._broken.set()

    async def _finish_running(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (left := deadline - loop.time()) > 0:
            tasks = [ticket.task for ticket in self._busy if ticket.task is not None]
            if not tasks or self._broken.is_set():
                return
            await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # the tasks' own callbacks come first

    # --- what waits for its time ----------------------------------------------------------------

    async def _release_due(self) -> None:
        """Let in what waits as its time comes."""
        while True:
            changed = self._changed
            seconds: float | None = None
            if self._may_start:
                ticket = self._due.pop(self._now_ms())
                if ticket is not None:
                    self._let_in(ticket)
                    continue
                due_ms = self._due.next_ms
                seconds = None if due_ms is None else max(0.0, (due_ms - self._now_ms()) / 1000)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):  # wait_for may swallow a cancellation
                    await changed.wait()

    # --- small things ---------------------------------------------------------------------------

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    def _observe(self, ticket: Ticket, end: str) -> None:
        self._metrics.ended(ticket.work, end, self._clock.monotonic() - ticket.began)

    def _unacknowledged(self, work: Work) -> int:
        return sum(self._acks.size(topic) for topic in WORK_TOPICS if topic.endswith(work))
