"""Do one packet fault inside one network namespace, until its time or its lease is over or its input ends.

The first line of input is the order (see spec), each later one {"lease": seconds}, {"report": any} or {"end": why}.
The output is JSON lines: `ready` once the rules stand, `first` when a packet was served, a `report` every second,
`end` with what was seen, or `refused`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import Any

from harness.agent.resident import listening
from harness.agent.resident.packets import carrying, effects, interfaces, namespace, rules, spec
from harness.agent.resident.packets.fate import Effect
from harness.agent.resident.packets.inject import Injector
from harness.agent.resident.packets.queue import Queue
from harness.agent.resident.packets.serving import Server
from harness.agent.resident.packets.spec import Spec
from harness.agent.resident.refused import Refused
from harness.agent.resident.telling import Teller

REFUSED, LEFT = 4, 5


def main() -> int:
    """Read the order, do it, undo it; 0 when nothing is left behind, 4 when it was refused, 5 when rules are left."""
    tell = Teller(listening.OUTPUT)
    wake = listening.signals()
    try:
        order = spec.read(listening.order())
        effect = effects.make(order)
        namespace.enter(order.netns)
        rules.remove(_own(order))
        interfaces.require(order.match.interfaces)
    except Refused as refused:
        tell("refused", what=refused.what, why=refused.why)
        return REFUSED
    try:
        return _work(order, effect, tell, wake)
    except Refused as refused:
        tell("refused", what=refused.what, why=refused.why, left=_remove(order))
        return REFUSED


def _work(order: Spec, effect: Effect, tell: Teller, wake: int) -> int:
    effect, carried = carrying.prepared(effect)
    injector = Injector(order.mark, inwards=effect.inwards) if effect.injects else None
    queue = Queue(
        # Chosen by name, so that what another fault left here leads nowhere.
        hash_of(order.fault),
        copy=effect.copy,
        limit=order.limit,
        large=effect.large,
        opens=effect.opens,
        room=order.room,
    )
    server = Server(order, effect, queue, injector, tell, carried)
    variants = rules.install(order.fault, effect.match, order.mark, queue.number)
    facts = {"queue": queue.number, "chain": rules.chain(order.fault), "rules": variants, "carries": bool(carried)}
    tell("ready", fault=order.fault, pid=os.getpid(), **facts)
    # What is allocated from here on has no cycles; a collection would be a pause that packets feel.
    gc.freeze()
    gc.disable()
    why, left = "it failed", True
    try:
        why = server.serve(listening.INPUT, wake)
    finally:
        server.let_go()
        left = bool(_remove(order))
        server.let_go()
        facts = server.told()
        queue.close()
        tell("end", why=why, left=left, **facts)
    return LEFT if left else 0


def _own(order: Spec) -> Any:
    name = rules.chain(order.fault)
    return lambda chain: chain.startswith(name)


def _remove(order: Spec) -> list[str]:
    """Remove the fault's rules and return those that are still there."""
    with contextlib.suppress(Refused):
        rules.remove(_own(order))
    return [name for name in rules.standing() if name.startswith(rules.chain(order.fault))]


def hash_of(fault: str) -> int:
    """Return the queue number that a fault would like to have."""
    return int(rules.chain(fault).removeprefix(rules.PREFIX)[:4], 16)


if __name__ == "__main__":
    sys.exit(main())
