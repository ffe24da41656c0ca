"""Split experiments over several jobs: each is in exactly one shard, and every job computes the same split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from harness.model.experiment import Experiment
from harness.nightly.record import Record

# So many runs of an experiment say how long it takes now.
RECENT = 10


def pick(experiments: Sequence[Experiment], shard: int, of: int, seconds: Mapping[str, float]) -> list[Experiment]:
    """Return the experiments of one shard, counted from 1, in their order.

    The longest is placed first, always where least is to do; what was never timed counts as the middle one. The split
    depends on nothing but the names and `seconds`: give every shard the same history.
    """
    usual = median(seconds.values()) if seconds else 1.0
    cost = {one.name: seconds.get(one.name, usual) for one in experiments}
    todo = [0.0] * of
    place: dict[str, int] = {}
    for name in sorted(cost, key=lambda name: (-cost[name], name)):
        place[name] = todo.index(min(todo))
        todo[place[name]] += cost[name]
    return [one for one in experiments if place[one.name] == shard - 1]


def seconds(records: Iterable[Record]) -> dict[str, float]:
    """Return how long each experiment took of late, from runs that came to a verdict."""
    taken: dict[str, list[float]] = {}
    for one in records:
        if one.judged:
            taken.setdefault(one.experiment, []).append(one.seconds)
    return {name: median(values[-RECENT:]) for name, values in taken.items()}
