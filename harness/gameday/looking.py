"""Look both ways right before a step: each thing that has to be so, with what was seen; nothing is changed."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime

from harness.cluster.kube import Kube
from harness.cluster.kubeconfig import passing
from harness.cluster.local import LocalCluster
from harness.engine import activities, contexts, lease
from harness.engine.options import Options
from harness.engine.preflight import permission
from harness.engine.preflight import scope as scopes
from harness.engine.preflight.scope import Scope
from harness.engine.undoing import fingerprint as fingerprints
from harness.engine.watching import metrics, steady
from harness.errors import HarnessError, ObservationFailed, PreconditionFailed, UndoFailed
from harness.gameday import approving
from harness.gameday.log import Entry
from harness.gameday.plan import GameDay, Step
from harness.hands import healer
from harness.model.check import Check
from harness.model.experiment import Experiment
from harness.model.units import span
from harness.resources import resource
from harness.steps.worker import Worker

# By custom the severity of an alert that always fires, so that whoever waits for it sees that alerts arrive.
ALWAYS = "none"
Said = Check | str | None


async def look(day: GameDay, step: Step, entries: Sequence[Entry], options: Options, now: datetime) -> list[Check]:
    """Return what was seen; whatever is not well keeps the step from beginning."""
    experiment = step.experiment
    found = [await _asked("approvals", _approved(day, entries)), await _asked("window", _window(day, now))]
    try:
        kube, cluster = contexts.connect(options.kubeconfig, options.context)
        async with kube:
            scope = await scopes.find(kube, experiment)
            namespaces = experiment.blast_radius.namespaces
            found += [
                Check("", "cluster", True, scopes.place(kube, scope)),
                await _asked("lever", permission.admit(kube, cluster, scope, namespaces), "off"),
                await _asked("other runs", nobody_else(kube, scope, *namespaces), "none"),
                await _asked("left broken", nothing_left(kube, scope), "nothing"),
                await _asked("keeper", healer.ready(cluster), "listens" if cluster else "none: the run undoes"),
                await _asked("hypothesis", _hypothesis(experiment, kube, cluster)),
                await _asked("alerts", _alerts(day, cluster)),
            ]
    except HarnessError as error:
        found.append(_wrong("cluster", error))
    return found


async def _asked(name: str, question: Awaitable[Said], well: str = "") -> Check:
    try:
        found = await question
    except HarnessError as error:
        return _wrong(name, error)
    return found if isinstance(found, Check) else Check("", name, True, found or well)


def _wrong(name: str, error: HarnessError) -> Check:
    return Check("", name, False, ": ".join(part for part in (error.what, error.why) if part), error.hint)


async def _approved(day: GameDay, entries: Sequence[Entry]) -> Said:
    return approving.require(day, entries)


async def _window(day: GameDay, now: datetime) -> Said:
    start, end = day.window
    if not start <= now < end:
        state = "has not begun" if now < start else "is over"
        raise PreconditionFailed(f"{day.period} {state}", hint="wait, or another window, approved anew")
    return f"{day.period}, {span((end - now).total_seconds() // 60 * 60)} left"


async def nobody_else(kube: Kube, scope: Scope, *namespaces: str) -> None:
    """Raise RunInProgress while another run goes on where this one would."""
    for namespace in dict.fromkeys((scope.system, *namespaces)):
        await lease.outlive(kube, namespace)


async def nothing_left(kube: Kube, scope: Scope) -> None:
    """Raise UndoFailed while anything is broken on purpose."""
    names = [item["metadata"]["name"] for item in await resource.list_all(kube, *scope.inside)]
    if names:
        undo = contexts.command(kube, "harness", "undo", *scope.words)
        raise UndoFailed("something is still broken on purpose", where=kube.context, why=", ".join(names), hint=undo)


async def _hypothesis(experiment: Experiment, kube: Kube, cluster: LocalCluster | None) -> Said:
    if not experiment.probes:
        return Check("", "hypothesis", True, f"{experiment.name} has none", warning=True)
    async with Worker(env=passing.environment(kube.access, local=cluster is not None)) as worker:
        await activities.begin(worker, experiment)
        answers = [steady.answer(probe, await steady.call(worker, probe)) for probe in experiment.probes]
    missed = [answer for answer in answers if not answer["ok"]]
    said = "; ".join(map(steady.told, missed or answers))
    # Without a load nobody can answer what callers get; the run asks again, under load, before it touches anything.
    if missed and experiment.load and all(answer["value"] is None for answer in missed):
        return Check("", "hypothesis", True, f"cannot be told without the load: {said}", warning=True)
    if missed:
        raise ObservationFailed(said)
    return said


async def _alerts(day: GameDay, cluster: LocalCluster | None) -> Said:
    rules = await metrics.alerts(cluster)
    if not rules:
        said = metrics.UNNAMED if rules is None else "no alerting rule there: nobody would be told"
        return Check("", "alerts", True, said, warning=True)
    always = {rule["name"] for rule in rules if (rule.get("labels") or {}).get("severity") == ALWAYS}
    firing = {rule["name"] for rule in rules if rule.get("state") == "firing"} - always
    if wrong := firing - {*day.tolerated}:
        hint = "wait, or `tolerated-alerts` in the plan, approved anew"
        raise ObservationFailed(f"firing: {', '.join(sorted(wrong))}", hint=hint)
    return f"none of {len(rules)} fires" + (f" but {', '.join(sorted(firing))}, tolerated" if firing else "")


async def fingerprint(day: GameDay, options: Options) -> dict[str, str]:
    """Return what "as it was found" means, as `harness fingerprint` tells it."""
    kube, cluster = contexts.connect(options.kubeconfig, options.context)
    async with kube:
        return await fingerprints.take(kube, cluster, await scopes.find(kube, day.steps[0].experiment))
