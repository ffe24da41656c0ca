"""Watch the Rollouts of a namespace and their analyses: what was released, to whom, and what was found out about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import anyio

from harness.cluster.kube import Items, Kube
from harness.engine.watching import observe
from harness.workloads import releases

Emit = Callable[..., None]
Object = Mapping[str, Any]


class Told(NamedTuple):
    """One sample: its series, its value, what else was said."""

    series: str
    value: float | None
    labels: Mapping[str, str]


async def watch(kube: Kube, namespace: str, emit: Emit) -> None:
    """Sample each Rollout's weight and each analysis' measurements whenever they change, until cancelled.

    Where nobody may look, or no such thing is served, nothing is sampled.
    """
    async with anyio.create_task_group() as together:
        together.start_soon(each, kube, releases.rollouts(namespace), _rollout, emit)
        together.start_soon(each, kube, releases.analyses(namespace), _analysis, emit)


async def each(kube: Kube, path: str, told: Callable[[Object], Told], emit: Emit) -> None:
    """Sample each object of a collection whenever what is told of it changes, and that it is out of sight."""
    known: dict[str, Told] = {}

    def gone(name: str) -> None:
        if name in known:
            emit("sample", series=known.pop(name).series, value=None, labels={})

    async def listed(items: Items) -> None:
        for name in {*known} - {item["metadata"]["name"] for item in items}:
            gone(name)

    def lost(_: str) -> None:
        for name in [*known]:
            gone(name)

    async def note(kind: str, item: Object) -> None:
        name = item["metadata"]["name"]
        if kind == "DELETED":
            gone(name)
        elif known.get(name) != (now := told(item)):
            known[name] = now
            emit("sample", series=now.series, value=now.value, labels=now.labels)

    await observe.follow(kube, path, note, listed=listed, lost=lost, may_be_hidden=True)


def _rollout(item: Object) -> Told:
    """Tell which share of the traffic a Rollout's newest release has, and what the controller says of it."""
    metadata, now = item["metadata"], releases.state(item)
    labels = {"phase": now.phase, "stable": now.stable, "newest": now.newest, "message": now.message}
    aborted = {"aborted": "yes"} if now.aborted else {}
    return Told(f"release/{metadata['namespace']}/Rollout/{metadata['name']}", now.weight, labels | aborted)


def _analysis(item: Object) -> Told:
    """Tell how many measurements an analysis has made, of which release, and what came of it."""
    metadata, now = item["metadata"], releases.analysis(item)
    labels = {key: getattr(now, key) for key in ("phase", "rollout", "release", "measured", "message")}
    return Told(f"analysis/{metadata['namespace']}/{metadata['name']}", float(now.made), labels)
