"""Pick targets by owner, zone and ordinal with a seed, so that the same seed picks the same places again.

Names and UIDs are random; places are not. Candidates are put in a fixed order (owner, zone, age within the zone),
shuffled by the seed, and taken zone by zone in turn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.cluster import paths
from harness.errors import UsageError
from harness.model import share
from harness.model.fault import Target
from harness.model.plan import Victim
from harness.targets import chosen, zones
from harness.targets.candidates import KINDS
from harness.targets.kind import Search
from harness.workloads import Owners

if TYPE_CHECKING:
    from harness.cluster.kube import Kube


async def resolve(
    kube: Kube,
    owners: Owners,
    target: Target,
    chance: random.Random,
    *,
    taken: frozenset[str],
    gone: frozenset[str] = frozenset(),
    inside: Callable[[Mapping[str, Any], str], str] | None = None,
    patience: float | None = None,
    tell: Callable[[str], None] = lambda _: None,
    alone: bool = False,
) -> tuple[Victim, ...]:
    """Return the named targets of one rule; raises UsageError when there are too few.

    `taken` holds the UIDs that an earlier fault of the same plan has already, `gone` those that it loses: where another
    driver's step needs one of these nothing is picked yet, for that driver looks when the step's turn comes. `inside`
    says which containers of a pod the fault acts on. With `patience`, in seconds, pods whose container the kubelet
    would start again late are passed over for others: what they would show is its back-off. `tell` is given how a
    share became a count. Raises InjectionFailed when too few would be back in time.
    """
    kind = KINDS[target.kind]
    # Without a look at nodes zones are not known, and pods are picked by owner and age.
    nodes = [] if alone else await kube.list(paths.nodes())
    zoned = {node["metadata"]["name"]: zones.of(node) for node in nodes}
    matching = await kind.find(Search(kube, owners, target, nodes, zoned, inside))
    found, where = [victim for victim, _ in matching], kind.words(target) or "all workers"
    free = [victim for victim in found if taken.isdisjoint(victim.uids)]
    if target.rule:
        meant, free = chosen.candidates(target.rule, found), chosen.candidates(target.rule, free)
        enough = len(free) >= target.least and not (target.rule.every or target.rule.share)
        if not enough and not all(gone.isdisjoint(victim.uids) for victim in meant):
            return ()
        if meant and not free:
            raise UsageError(
                f"every {target.kind} that matches is broken by an earlier step",
                where=where,
                why="two faults that may overlap never have the same target",
                hint="a step before this one that heals them, or one of the two alone",
            )
    if not target.rule and len(free) < min(len(found), target.least):
        raise UsageError(
            f"{target.least} {target.kind}s wanted, {len(free)} of {len(found)} are free",
            where=where,
            why="an earlier fault of this run has the others, and two that may overlap never have the same target",
            hint="give the earlier one a duration, so that it is healed before, or aim elsewhere",
        )
    if not free:
        raise UsageError(
            f"no {target.kind} matches",
            where=where,
            why="a fault without a target would prove nothing",
            hint=kind.hint,
        )
    if target.rule:
        return tuple(chosen.of(target, target.rule, free, chance))
    # A share is one of all that match, also of those that another fault has: half and half are two equal parts.
    wanted = _count(target, len(found), where, chance, tell)
    if len(free) < wanted:
        raise UsageError(
            f"{wanted} {target.kind}s wanted, {len(free)} exist",
            where=where,
            why="a count above what exists cannot be injected",
        )
    if patience is not None and kind.soonest:
        objects = [thing for victim, thing in matching if victim.uid not in taken]
        quick = kind.soonest(objects, wanted, target.container, patience, datetime.now(UTC))
        kept = {thing["metadata"]["uid"] for thing in quick}
        free = [victim for victim in free if victim.uid in kept]
    return tuple(pick(free, wanted, chance))


def rule(target: Target) -> str:
    """Say how many of which a rule takes."""
    return f"{_many(target)} of {KINDS[target.kind].words(target)}"


def _many(target: Target) -> str:
    if target.share:
        return f"at most {target.share.shown}" if target.share.drawn else target.share.shown
    if target.rule and target.rule.every:
        return "all"
    return f"{target.rule.share} %" if target.rule and target.rule.share else str(target.least)


def late(target: Target) -> str:
    """Say what a rule takes whose targets are picked when its step's turn comes."""
    return f"{rule(target)}, picked when its turn comes"


def _count(target: Target, matching: int, where: str, chance: random.Random, tell: Callable[[str], None]) -> int:
    """Say how many a rule takes of those that match; raises UsageError for a share that rounds down to none."""
    if target.share is None:
        return target.least
    try:
        wanted, how = target.share.count(matching, chance.randint)
    except ValueError as error:
        raise UsageError(
            str(error),
            where=where,
            why="a share is rounded down, and a fault without a target would prove nothing",
            hint=f"{target.kind}s: {share.least(matching)} or more, or {target.kind}s: 1",
        ) from None
    tell(f"{where}: {how}")
    return wanted


def pick(candidates: Iterable[Victim], count: int, chance: random.Random) -> Sequence[Victim]:
    """Take `count` victims, one zone after another, in an order that only the seed decides."""
    lanes: dict[tuple[str, str], list[Victim]] = {}
    for victim in candidates:
        lanes.setdefault((victim.owner, victim.zone), []).append(victim)
    order = [lanes[key] for key in sorted(lanes)]
    for lane in order:
        chance.shuffle(lane)
    chance.shuffle(order)
    taken: list[Victim] = []
    while len(taken) < count and any(order):
        taken += [lane.pop(0) for lane in order if lane][: count - len(taken)]
    return taken
