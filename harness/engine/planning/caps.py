"""What may be broken together: counted against the blast radius, and refused beside what must stand alone."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import UsageError
from harness.faults import FAULTS
from harness.model import timeline
from harness.model.experiment import Experiment
from harness.model.fault import FaultSpec
from harness.model.plan import PlannedFault, Victim


def require(experiment: Experiment, faults: Sequence[PlannedFault], left_out: Sequence[str] = ()) -> None:
    """Refuse what exceeds the blast radius, whose counts are of what may be broken together; raises UsageError.

    `left_out` are the steps that the seed does not draw.
    """
    radius = experiment.blast_radius
    pods, nodes = most_together(experiment, faults, left_out)
    reached = [one for fault in faults for one in (fault.victim, *fault.takes)]
    outside = [str(one) for one in reached if one.namespace and one.namespace not in radius.namespaces]
    if outside:
        raise UsageError(
            f"outside the blast radius: {', '.join(sorted(outside))}",
            where=str(experiment.path),
            why="a fault of a node reaches every pod on it" if any(fault.takes for fault in faults) else "",
            hint="add the namespace to blast-radius.namespaces, or aim elsewhere",
        )
    if pods > radius.pods or nodes > radius.nodes:
        raise UsageError(
            f"the plan touches {pods} pods and {nodes} nodes at the same time,"
            f" the blast radius allows {radius.pods} and {radius.nodes}",
            where=str(experiment.path),
            why="; ".join(f"{_going(one)} pods go with {one.victim}" for one in faults if FAULTS[one.kind].spends),
        )


def require_alone(experiment: Experiment, faults: Sequence[PlannedFault], left_out: Sequence[str] = ()) -> None:
    """Refuse another fault beside one that must be alone in its run; raises UsageError.

    `left_out` are the steps that the seed does not draw.
    """
    lone = next((one for one in faults if FAULTS[one.kind].alone), None)
    together = len(faults) + len(to_come(experiment, faults, left_out))
    if lone and together > 1:
        raise UsageError(
            f"{lone.kind} stands alone in a run, this one has {together} faults",
            where=str(experiment.path),
            why="it takes the ground from under whatever else is done and undone",
            hint="an experiment of its own, done once",
        )


def to_come(
    experiment: Experiment, faults: Sequence[PlannedFault], left_out: Sequence[str] = ()
) -> tuple[FaultSpec, ...]:
    """List the faults whose targets are picked when their turn comes, as long as they are not."""
    picked = {fault.activity for fault in faults}
    drawn = [one.fault for one in experiment.method if one.fault and one.name not in left_out]
    return tuple(spec for spec in drawn if spec.may_wait and spec.activity not in picked)


def most_together(
    experiment: Experiment, faults: Sequence[PlannedFault], left_out: Sequence[str] = ()
) -> tuple[int, int]:
    """Return how many pods and how many nodes may be broken at the same time."""
    late = to_come(experiment, faults, left_out)
    known = {one.fault.activity for one in experiment.method if one.fault}
    # What no step of the document is about, as in a test in Python, may be broken beside any of them.
    always = frozenset(fault.activity for fault in faults) - known
    groups = [names | always for names in timeline.together(experiment.method)] or [always]
    broken = [[fault for fault in faults if fault.activity in names] for names in groups]
    unnamed = [sum(spec.target.least for spec in late if spec.activity in names) for names in groups]
    named = [len({one.victim.uid for one in some if one.victim.kind == "pod"}) + _spent(some) for some in broken]
    return max(map(sum, zip(named, unnamed, strict=True))), max(len(_nodes_of(some)) for some in broken)


def _nodes_of(faults: Sequence[PlannedFault]) -> set[str]:
    return {one.name for fault in faults for one in (fault.victim, *fault.takes) if one.kind == "node"}


def _spent(faults: Sequence[PlannedFault]) -> int:
    """Count the pods that faults take with their targets, where their kind counts them."""
    spending = [fault for fault in faults if FAULTS[fault.kind].spends]
    every = {pod.uid for fault in spending if fault.most is None for pod in pods_of(fault)}
    return len(every) + sum(_going(fault) for fault in spending if fault.most is not None)


def _going(fault: PlannedFault) -> int:
    return len(pods_of(fault)) if fault.most is None else fault.most


def pods_of(fault: PlannedFault) -> list[Victim]:
    """Name the pods that go with a target."""
    return [one for one in fault.takes if one.kind == "pod"]
