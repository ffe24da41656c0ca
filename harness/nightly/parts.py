"""Have the local stack carry the parts that experiments need, one group after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import anyio

from harness.cluster import local
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine.options import Options
from harness.errors import HarnessError
from harness.model.experiment import Experiment
from harness.stack import apply, deploy, overlays, parts

Say = Callable[[str], None]
Carry = Callable[[Sequence[str]], None]


def grouped(experiments: Iterable[Experiment]) -> list[Experiment]:
    """Order experiments by the parts that they need, those that need none first, and else as they were."""
    return sorted(experiments, key=lambda one: (len(one.parts), sorted(one.parts)))


def carrier(options: Options, say: Say) -> Carry:
    """Return what has the local stack carry the parts that it is told, in place of others; told none, what it had.

    One machine is not asked to carry all of them at once. What does not come up is said, and each experiment that needs
    it will say so, too. On another cluster, or without a stack of ours that came up whole, nothing is brought.
    """
    cluster = local.current() if options.context is None and options.kubeconfig is None else None
    first: tuple[str, ...] = ()

    def carry(wanted: Sequence[str]) -> None:
        nonlocal first
        if cluster is None:
            return
        try:
            there, overlay = anyio.run(_there, cluster)
            first = first or there
            every = first if {*wanted} <= {*first} else parts.closed([*wanted, *overlays.part_names(overlay)])
            if there and {*every} != {*there}:
                anyio.run(deploy.up, cluster, say, overlay, every)
        except HarnessError as error:
            say(f"the stack does not carry {', '.join(wanted) or 'what it had'}: {error}")

    return carry


def lacking(experiments: Sequence[Experiment], options: Options) -> str:
    """Say that experiments will never begin because the local stack lacks parts; empty where it has all or is none."""
    needing = [one for one in experiments if one.parts]
    cluster = local.current() if needing and options.context is None and options.kubeconfig is None else None
    if cluster is None:
        return ""
    try:
        there, _ = anyio.run(_there, cluster)
    except HarnessError:
        # Each run will say what is amiss.
        return ""
    without = [one for one in needing if not {*one.parts} <= {*there}]
    names = sorted({name for one in without for name in one.parts} - {*there})
    every = ",".join([*(name for name in there if name != parts.CORE), *names])
    if not names:
        return ""
    return (
        f"{len(without)} of {len(experiments)} experiments will not begin: the stack lacks {', '.join(names)}; "
        f"`harness up --parts {every}` brings that, `harness nightly` what each needs in its turn"
    )


async def _there(cluster: LocalCluster) -> tuple[tuple[str, ...], str]:
    """Return the parts of the stack that came up whole, and its variant."""
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        found = await apply.inventory(kube)
    return apply.parts(found), apply.overlay(found)
