"""Which cells there are: the folder of faults is one side, the ways to die are the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.engine.lease import SECONDS as LEASE_SECONDS
from harness.faults import FaultKind
from harness.model.fault import Hand

# The promise: where the healer lives it heals within two seconds, where it must start anew within the lease and two.
HEAL_SECONDS = 2.0
EXPIRED_SECONDS = LEASE_SECONDS + HEAL_SECONDS


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to die: from when on healing is counted, and how long it may take; of each fault, or of one a hand."""

    name: str
    summary: str
    limit: float
    since: str
    every: bool = True


CAUSES: Mapping[str, Cause] = {
    one.name: one
    for one in (
        Cause("engine-killed", "SIGKILL of the engine", HEAL_SECONDS, "its death"),
        Cause(
            "engine-suspended", "SIGSTOP of the engine past its lease, then SIGCONT", EXPIRED_SECONDS, "its suspension"
        ),
        Cause("healer-killed", "SIGKILL of the keeper, or of the node's agent", EXPIRED_SECONDS, "its death"),
        Cause("both-killed", "SIGKILL of engine and healer together", EXPIRED_SECONDS, "their death"),
        Cause("target-restarted", "SIGKILL of the target's container, then Ctrl-C", HEAL_SECONDS, "Ctrl-C"),
        Cause("target-deleted", "the target's pod is deleted, then Ctrl-C", HEAL_SECONDS, "Ctrl-C"),
        # With the node its agent starts anew, and whatever of it was stopped.
        Cause("node-restarted", "the target's node is restarted, then Ctrl-C", EXPIRED_SECONDS, "Ctrl-C"),
        Cause("api-stopped", "SIGSTOP of the API server for longer than the lease", EXPIRED_SECONDS, "its stop"),
        Cause("sigterm", "SIGTERM", HEAL_SECONDS, "the signal", every=False),
        Cause("sighup", "SIGHUP", HEAL_SECONDS, "the signal", every=False),
        Cause("ctrl-c", "Ctrl-C", HEAL_SECONDS, "the key", every=False),
        Cause("ctrl-c-twice", "Ctrl-C, and once more after 1.1 s", HEAL_SECONDS, "the first", every=False),
        Cause("terminal-closed", "the terminal is closed", HEAL_SECONDS, "its end", every=False),
    )
}
# Of these the container is down most of the time.
KEPT_DOWN = frozenset({"pod_failure", "pod_crash_loop"})
# What the API server keeps cannot be healed while it is away, and no node that starts is needed for that.
RETURN = Cause("api-stopped", CAUSES["api-stopped"].summary, HEAL_SECONDS, "the API server's return")
OF_API: Mapping[str, Cause] = {one.name: one for one in (replace(CAUSES["node-restarted"], limit=HEAL_SECONDS), RETURN)}


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault and one way to die."""

    fault: str
    hand: Hand
    cause: str

    def __str__(self) -> str:
        return f"{self.fault} x {self.cause}"

    @property
    def promise(self) -> Cause:
        """Return what is promised of this cell."""
        return promised(self.cause, of_api=self.hand is Hand.API)


def promised(cause: str, *, of_api: bool) -> Cause:
    """Return what is promised of one thing that a fault changed, which the API server keeps or something else does."""
    return OF_API.get(cause, CAUSES[cause]) if of_api else CAUSES[cause]


def every(faults: Mapping[str, FaultKind]) -> list[Cell]:
    """Return all cells, fault by fault; signals are sent during one fault of each hand."""
    chosen = spoken_for(faults)
    return [
        Cell(name, kind.hand, cause.name)
        for name, kind in faults.items()
        for cause in CAUSES.values()
        if cause.every or name in chosen
    ]


def spoken_for(faults: Mapping[str, FaultKind]) -> frozenset[str]:
    """Name one fault of each hand: the first that lasts, for what is over at once leaves nothing to heal."""
    found: dict[Hand, str] = {}
    for kind in sorted(faults.values(), key=lambda kind: kind.instant):
        found.setdefault(kind.hand, kind.name)
    return frozenset(found.values())


def meaningless(kind: FaultKind, cause: str) -> str:
    """Say why a cell has no meaning; empty where it has one."""
    what = kind.target
    if cause in ("node-restarted", "target-restarted") and what == "component":
        return "nothing of the control plane is ended"
    if cause == "node-restarted" and what not in ("pod", "node", "zone"):
        return f"a {what} is on no node"
    if cause == "target-restarted" and what != "pod":
        return "its target is a node: see node-restarted" if what == "node" else f"a {what} has no process of its own"
    if cause == "target-restarted" and kind.name in KEPT_DOWN:
        return "its container does not run meanwhile"
    if cause == "target-deleted" and what != "pod":
        return f"a {what} that is deleted does not come back as it was found"
    if cause in ("target-restarted", "target-deleted") and kind.instant:
        return "it is over at once: the target is new or gone already"
    return ""


def narrowed(cells: Sequence[Cell], only: str = "", shard: str = "") -> list[Cell]:
    """Keep the cells of some faults or causes, named with commas, and every n-th of these; raises ValueError.

    A shard has its share of each cause, for some take three times as long as others.
    """
    words = {word for word in only.replace(",", " ").split() if word}
    known = {cell.fault for cell in cells} | {cell.cause for cell in cells}
    if unknown := sorted(words - known):
        raise ValueError(f"there is no fault or cause {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    faults, causes = words & {cell.fault for cell in cells}, words & {cell.cause for cell in cells}
    kept = [cell for cell in cells if (not faults or cell.fault in faults) and (not causes or cell.cause in causes)]
    if not shard:
        return kept
    number, _, of = shard.partition("/")
    if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise ValueError(f"a shard is i/n, like 1/3, not {shard}")
    own = {*sorted(kept, key=lambda cell: list(CAUSES).index(cell.cause))[int(number) - 1 :: int(of)]}
    return [cell for cell in kept if cell in own]
