"""Cut a run short at once: one scope to cancel, one reason, and the time it took to begin undoing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable

import anyio

from harness.cluster.kube import Kube
from harness.engine import lever
from harness.engine.lease import RENEW_EVERY, Lease
from harness.errors import AbortTriggered, ApiError, ClusterUnreachable, Exit
from harness.keeper.client import Keeper
from harness.model.history import Operation
from harness.model.objective import AbortWhen

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_EVERY = 0.25
FEWEST = 20


class Abort:
    """The one place that ends a run early; the first trigger wins."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.reason = ""
        self.trigger = ""
        self.at = 0.0

    def __bool__(self) -> bool:
        return bool(self.trigger)

    def pull(self, trigger: str, reason: str) -> None:
        """End the run now; later triggers change nothing."""
        if not self.trigger:
            self.trigger, self.reason, self.at = trigger, reason, time.monotonic()
            self.scope.cancel()


async def on_signal(abort: Abort, say: Callable[[str], None]) -> None:
    """Abort on the first SIGINT, SIGTERM or SIGHUP; leave at once on the second, the keeper heals then."""
    if threading.current_thread() is not threading.main_thread():
        return
    with anyio.open_signal_receiver(*SIGNALS) as received:
        async for number in received:
            name = signal.Signals(number).name
            if abort:
                os.write(2, b"\nleaving now; the keeper heals what is left\n")
                os._exit(Exit.INTERRUPTED)
            say(f"{name}: undoing; once more leaves at once and the keeper heals")
            abort.pull(name, f"{name} was received")


async def on_lost_lease(abort: Abort, lease: Lease, keeper: Keeper | None, say: Callable[[str], None]) -> None:
    """Renew the lease and beat to the keeper; abort when either is lost."""
    missed = 0
    while True:
        await anyio.sleep(RENEW_EVERY)
        try:
            if keeper:
                await keeper.beat()
            await lease.renew()
            missed = 0
        except AbortTriggered as error:
            abort.pull("lease", f"{error.what}: {error.why}")
            return
        except (ApiError, ClusterUnreachable) as error:
            missed += 1
            say(f"lease not renewed ({missed}): {error.what}")


async def on_lost_keeper(abort: Abort, keeper: Keeper) -> None:
    """Abort when the keeper is gone: from then on nobody would heal what this process leaves behind."""
    await keeper.lost.wait()
    abort.pull("keeper", "the keeper is gone")


async def on_lever(abort: Abort, kube: Kube) -> None:
    """Abort when someone pulls the lever."""
    while True:
        try:
            async for pulled in lever.pulls(kube):
                abort.pull("lever", f"{pulled.get('who', 'someone')}: {pulled.get('reason', 'no reason given')}")
                return
        except (ApiError, ClusterUnreachable):
            await anyio.sleep(1)


async def on_breach(abort: Abort, rule: AbortWhen, recent: Callable[[float], Iterable[Operation]]) -> None:
    """Abort when availability stayed below the rule's ratio for the rule's time."""
    while True:
        await anyio.sleep(LOOK_EVERY)
        operations = list(recent(rule.for_seconds))
        if len(operations) < FEWEST:
            continue
        available = sum(operation.ok for operation in operations) / len(operations)
        if available < rule.availability_below:
            abort.pull(
                "abort-when",
                f"availability {available:.1%} below {rule.availability_below:.1%} for {rule.for_seconds:g} s",
            )
            return
