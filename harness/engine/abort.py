"""Cut a run short at once: one scope to cancel, one reason, and the time it took to begin undoing."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import anyio

from harness.cluster.kube import Kube
from harness.engine import lever
from harness.engine.lease import RENEW_EVERY, Leases
from harness.engine.options import Stop
from harness.errors import AbortTriggered, ApiError, ClusterUnreachable, Exit, HarnessError
from harness.hands.healer import Healer
from harness.model.history import Operation
from harness.model.objective import ABORT_WHEN, AbortWhen

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A closing terminal sends SIGHUP twice, `timeout` signals a child and then its group: that is one wish, not two.
REPEAT_SECONDS = 1.0
RENEW_SECONDS = 5.0
LOOK_EVERY = 0.25
FEWEST = 20
# An operation that is this late with its answer is not being served, whatever it may answer yet.
PATIENCE_SECONDS = 3.0


class Abort:
    """The one place that ends a run early; the first trigger wins."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.reason = ""
        self.trigger = ""
        self.at = 0.0
        self.over = False

    def __bool__(self) -> bool:
        return bool(self.trigger)

    def pull(self, trigger: str, reason: str) -> None:
        """End the run now; later triggers change nothing.

        Once the walk is `over`, only a person can still cut what follows: what the undo and the load's end look like
        is no reason to.
        """
        if not self.trigger and (not self.over or trigger.startswith("SIG")):
            self.trigger, self.reason, self.at = trigger, reason, time.monotonic()
            self.scope.cancel()


async def on_stop(abort: Abort, stop: Stop) -> None:
    """Abort when another thread asks for it, or has asked before there was anything to abort."""
    abort.pull("stop", await stop.asked())


async def on_signal(abort: Abort, healer: Callable[[], Healer], say: Callable[[str], None]) -> None:
    """Abort on the first SIGINT, SIGTERM or SIGHUP; leave at once on a second one where another can heal instead."""
    if threading.current_thread() is not threading.main_thread():
        return
    with anyio.open_signal_receiver(*SIGNALS) as received:
        async for number in received:
            name = signal.Signals(number).name
            other = healer()
            alive = other.own and not other.lost.is_set()
            if not abort:
                abort.pull(name, f"{name} was received")
                once_more = "; once more leaves at once and the keeper heals" if alive else ""
                say(f"{name}: undoing{once_more}")
            elif alive and time.monotonic() - abort.at > REPEAT_SECONDS:
                _told(b"\nleaving now; the keeper heals what is left\n")
                os._exit(Exit.INTERRUPTED)
            elif not alive:
                say("the undo is under way and nobody else would do it: please wait")


@contextlib.contextmanager
def undisturbed(abort: Abort) -> Iterator[None]:
    """Let no further signal cut short what an interrupted run has left to do after its undo: verdict, Lease, page."""
    if not abort.trigger.startswith("SIG") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _put_off) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _put_off(*_: object) -> None:
    _told(b"\nthe undo is over; the verdict is being written\n")


def _told(words: bytes) -> None:
    # The terminal may be gone by now.
    with contextlib.suppress(OSError):
        os.write(2, words)


async def on_lost_lease(abort: Abort, lease: Leases, say: Callable[[str], None]) -> None:
    """Renew the lease; abort when it was taken, or was not renewed for as long as it lasts."""
    missed = 0
    while True:
        # Neither a pause nor an answer that does not come may outlast the lease.
        await anyio.sleep(min(RENEW_EVERY, lease.left()))
        try:
            with anyio.fail_after(min(RENEW_SECONDS, lease.left())):
                await lease.renew()
            missed = 0
        except AbortTriggered as error:
            abort.pull("lease", f"{error.what}: {error.why}")
            return
        except (HarnessError, TimeoutError) as error:
            missed += 1
            say(f"lease not renewed ({missed}): {str(error) or f'no answer within {RENEW_SECONDS:g} s'}")


async def on_lost_healer(abort: Abort, healer: Healer) -> None:
    """Beat to the healer; abort when it is gone or silent: nobody would heal what this process leaves behind."""

    async def beat() -> None:
        while True:
            await anyio.sleep(RENEW_EVERY)
            try:
                await healer.beat()
            except HarnessError as error:
                abort.pull("keeper", f"{error.what}: {error.why}" if error.why else error.what)
                return

    async with anyio.create_task_group() as together:
        together.start_soon(beat)
        await healer.lost.wait()
        abort.pull("keeper", "the keeper is gone")
        together.cancel_scope.cancel()


async def on_lever(abort: Abort, kube: Kube, namespace: str) -> None:
    """Abort when someone pulls the lever of a namespace."""
    while True:
        try:
            async for pulled in lever.pulls(kube, namespace):
                abort.pull("lever", f"{pulled.get('who', 'someone')}: {pulled.get('reason', 'no reason given')}")
                return
        except (ApiError, ClusterUnreachable):
            await anyio.sleep(1)


async def on_breach(
    abort: Abort,
    rule: AbortWhen,
    due: Callable[[float, float], float],
    now: Callable[[], float],
    steady_from: Callable[[], float],
    recent: Callable[[float], Iterable[Operation] | None],
) -> None:
    """Abort when availability over the rule's time fell below the rule's ratio.

    `now` and `steady_from` (when the load had reached its full rate) give seconds of the run, `due` how many operations
    were due between two of them; `recent` gives the operations that ended within so many seconds, None while no load is
    alive.
    """
    while True:
        await anyio.sleep(LOOK_EVERY)
        seen = recent(rule.for_seconds + PATIENCE_SECONDS)
        if seen is None:
            continue
        at, span = now(), rule.for_seconds
        pace = due(at - PATIENCE_SECONDS - span, at - PATIENCE_SECONDS) / span
        available = lowest(seen, at, span, steady_from(), pace)
        if available is not None and available < rule.availability_below:
            abort.pull(
                ABORT_WHEN,
                f"availability {available:.1%} below {rule.availability_below:.1%} for {rule.for_seconds:g} s",
            )
            return


def lowest(seen: Iterable[Operation], now: float, span: float, steady_from: float, rate: float) -> float | None:
    """Return the lower of two availabilities over `span` seconds; None while there are too few operations to say.

    One is of the operations that ended in the last `span` seconds. The other is of those that were due in the span
    that ended PATIENCE_SECONDS ago, where an operation without an answer counts as failed: a hang ends nothing.
    What the load itself held up counts in neither.
    """
    operations = list(seen)
    since = now - span
    if since < steady_from:
        return None
    ended = [operation for operation in operations if operation.finished > since and operation.punctual]
    late = now - PATIENCE_SECONDS
    due = [operation for operation in operations if late - span < operation.intended <= late]
    ratios = []
    if len(ended) >= FEWEST:
        ratios.append(sum(operation.ok for operation in ended) / len(ended))
    expected = int(rate * span) - sum(not operation.punctual for operation in due)
    if late - span >= steady_from and expected >= FEWEST:
        good = sum(operation.ok and operation.punctual for operation in due)
        ratios.append(min(1.0, good / expected))
    return min(ratios, default=None)
