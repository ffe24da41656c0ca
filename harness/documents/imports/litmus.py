"""Read a Litmus pod-delete as an experiment: a ChaosEngine, with its ChaosExperiment where that is at hand.

Read after litmus-go. It deletes so many pods, waits, and does so again for as long as it was told; the values of an
engine go before those of its experiment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.documents import target as targets
from harness.documents.fault import LONGEST_FAULT, MOST_TIMES
from harness.documents.imports.shape import document, mapping
from harness.documents.imports.shape import name as _name
from harness.documents.imports.values import Values, variables
from harness.documents.imports.wanted import Wanted
from harness.model import units
from harness.source.closed import Problems, nearest
from harness.source.lines import Place

Found = tuple[str, Mapping[str, Any], list[str]]
Object = Mapping[str, Any]

POD_DELETE = "pod-delete"
ENGINE = (
    "appinfo", "engineState", "chaosServiceAccount", "experiments", "annotationCheck", "jobCleanUpPolicy",
    "terminationGracePeriodSeconds", "components", "auxiliaryAppInfo", "monitoring", "defaultHealthCheck", "selectors",
)  # fmt: skip
# How the runner is run, and what is kept of it.
RUNNER = (
    "chaosServiceAccount", "jobCleanUpPolicy", "components", "monitoring", "terminationGracePeriodSeconds",
    "defaultHealthCheck",
)  # fmt: skip
OPT_IN = "litmuschaos.io/chaos=true"
# The kinds of workload that it knows, and what owns their pods.
KINDS = {
    "deployment": "ReplicaSet",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "deploymentconfig": "ReplicationController",
    "rollout": "ReplicaSet",
}
LONGEST_RECOVERY = 1800


def means(data: Object) -> bool:
    """Say whether an object is one of Litmus' that says what to do."""
    litmus = str(data.get("apiVersion", "")).startswith("litmuschaos.io/")
    return litmus and data.get("kind") in ("ChaosEngine", "ChaosExperiment")


def read(problems: Problems, data: Object, wanted: Wanted, beside: Sequence[Object]) -> list[Found]:
    """Return the experiments of one object; problems are noted.

    A ChaosExperiment that an engine among those `beside` it names is read with that engine.
    """
    if data["kind"] == "ChaosEngine":
        return _engine(problems, data, wanted, beside)
    name = _name(data)
    if any(
        name == named.get("name") for one in beside if one.get("kind") == "ChaosEngine" for _, named in _listed(one)
    ):
        return []
    return _experiment(problems, data, wanted)


def _listed(engine: Object) -> list[tuple[Place, Object]]:
    listed = mapping(engine.get("spec")).get("experiments")
    found = enumerate(listed if isinstance(listed, list) else [])
    return [(("spec", "experiments", number), one) for number, one in found if isinstance(one, dict)]


def _experiment(problems: Problems, data: Object, wanted: Wanted) -> list[Found]:
    """Read an experiment that no engine aims."""
    if not _known(problems, _name(data), ("metadata", "name")):
        return []
    if not wanted.selector:
        problems.add(
            ("kind",),
            "a ChaosExperiment says what is done, not to which pods",
            why="its ChaosEngine does",
            hint="import the file of the ChaosEngine with it, or --selector LABELS",
        )
    values = Values(problems, place=("kind",))
    variables(values, _definition(data).get("env"), ("spec", "definition", "env"))
    namespace = str(mapping(data.get("metadata")).get("namespace") or "")
    namespaces = list(wanted.namespaces or ([namespace] if namespace else []))
    if not namespaces:
        problems.add(("metadata",), "no namespace is named", hint="--namespace NAME")
    target = {"namespaces": namespaces or ["default"], "selector": wanted.selector}
    return [_found(values, _name(data), target, wanted)]


def _engine(problems: Problems, data: Object, wanted: Wanted, beside: Sequence[Object]) -> list[Found]:
    spec = mapping(data.get("spec"))
    for key in spec:
        if key not in ENGINE:
            problems.add(("spec", key), f"'{key}' of a ChaosEngine is not known")
    for key in ("auxiliaryAppInfo", "selectors"):
        if spec.get(key):
            problems.add(("spec", key), f"'{key}' cannot be honoured", hint="appinfo says which pods are meant")
    if str(spec.get("engineState", "active")) != "active":
        problems.add(("spec", "engineState"), "this engine is stopped, so that it does nothing", hint="active")
    target = _appinfo(problems, spec, wanted)
    found = []
    for place, one in _listed(data):
        if not _known(problems, str(one.get("name")), (*place, "name")):
            continue
        values = Values(problems, place=(*place, "name"))
        values.notes += [f"Not taken over: {key}, which is about how Litmus runs." for key in RUNNER if key in spec]
        _defined(values, one, beside)
        inside = mapping(one.get("spec"))
        components = mapping(inside.get("components"))
        for key in inside:
            if key not in ("probe", "components"):
                problems.add((*place, "spec", key), f"'{key}' of an engine's experiment cannot be honoured")
        other = [key for key in components if key not in ("env", "statusCheckTimeouts")]
        values.notes += [f"Not taken over: {key}, which is about how Litmus runs." for key in other]
        if inside.get("probe"):
            problems.add(
                (*place, "spec", "probe"), "probes of Litmus are not read", hint="a steady-state hypothesis, by hand"
            )
        variables(values, components.get("env"), (*place, "spec", "components", "env"))
        if (limit := mapping(components.get("statusCheckTimeouts")).get("timeout")) is not None:
            where = (*place, "spec", "components", "statusCheckTimeouts", "timeout")
            values.given["STATUS_CHECK_TIMEOUT"] = (str(limit), where)
        found.append(_found(values, _name(data) or POD_DELETE, target, wanted))
    if not _listed(data):
        problems.add(("spec",), "this engine has no experiment")
    return found


def _defined(values: Values, named: Object, beside: Sequence[Object]) -> None:
    """Take over what the engine's ChaosExperiment says; its lines are not those of the engine."""
    for one in beside:
        if one.get("kind") == "ChaosExperiment" and _name(one) == named.get("name"):
            variables(values, _definition(one).get("env"), values.place, told=False)
            return
    values.notes.append(
        "Its ChaosExperiment was not at hand: what the engine leaves out is what Litmus' runner takes by itself."
    )


def _definition(experiment: Object) -> Object:
    return mapping(mapping(experiment.get("spec")).get("definition"))


def _known(problems: Problems, name: str, place: Place) -> bool:
    if name == POD_DELETE:
        return True
    problems.add(place, f"{units.shown(name)} is not read", why=f"of Litmus' experiments only {POD_DELETE} is")
    return False


def _appinfo(problems: Problems, spec: Object, wanted: Wanted) -> dict[str, Any]:
    place, info = ("spec", "appinfo"), mapping(spec.get("appinfo"))
    namespace, selector = str(info.get("appns") or ""), str(info.get("applabel") or "") or wanted.selector
    found: dict[str, Any] = {"namespaces": [namespace] if namespace else list(wanted.namespaces)}
    try:
        found["namespaces"] = [targets.namespace(name) for name in found["namespaces"]]
        found["selector"] = targets.selector(selector) if selector else ""
    except ValueError as error:
        problems.add(place, str(error))
    if not found["namespaces"]:
        problems.add(place, "no namespace is named", why="a run names each that it may touch", hint="--namespace NAME")
        found["namespaces"] = ["default"]
    if not selector:
        problems.add(place, "no pods are named", why="they are picked by label", hint="--selector LABELS")
    if kind := str(info.get("appkind") or "").lower():
        found["kinds"] = [KINDS[kind]] if kind in KINDS else []
        if kind not in KINDS:
            problems.add(
                (*place, "appkind"), f"{units.shown(kind)} is not a kind that is known", hint=nearest(kind, KINDS)
            )
    if str(spec.get("annotationCheck", "false")).lower() == "true":
        # There it is the workload that is annotated; whoever owns pods is not asked for annotations here.
        problems.add(
            ("spec", "annotationCheck"),
            "annotationCheck is about the workload's annotation, which is not looked at",
            hint=f"annotate the pods' template with {OPT_IN}, and write annotations: {OPT_IN} into the target",
        )
    return found


def _found(values: Values, name: str, target: Mapping[str, Any], wanted: Wanted) -> Found:
    share = values.whole("PODS_AFFECTED_PERC", 100)
    if share and not wanted.pods:
        values.refuse(
            "PODS_AFFECTED_PERC", f"what {share} % comes to is not known here", "--pods N, the most it may be"
        )
    pods: int | str = f"{share}%" if share else 1
    found = {key: value for key, value in target.items() if value} | {"pods": pods}
    sequence = values.text("SEQUENCE").lower()
    if sequence not in ("parallel", "serial"):
        values.refuse("SEQUENCE", f"{units.shown(sequence)} is neither parallel nor serial")
    elif sequence == "parallel" and share:
        found["at-once"] = "all"
    if values.flag("RANDOMNESS"):
        values.refuse("RANDOMNESS", "intervals of chance cannot be honoured", hint="CHAOS_INTERVAL, one number")
    if not values.flag("DEFAULT_HEALTH_CHECK"):
        values.notes.append("The run looks whether the system is steady before it, whatever DEFAULT_HEALTH_CHECK says.")
    arguments: dict[str, Any] = {"target": found, **_course(values, apart=sequence == "serial" and bool(share))}
    if values.flag("FORCE"):
        arguments["grace"] = 0
    if share:
        values.notes.append(
            f"{share} % of the pods are rounded down, as Litmus does; it takes one where that is none, ours is refused."
        )
    ramp, limit = values.whole("RAMP_TIME", 600), values.whole("STATUS_CHECK_TIMEOUT", LONGEST_RECOVERY)
    title = f"{name} deletes pods again and again" if "times" in arguments else f"{name} deletes pods"
    description = "What a pod-delete of Litmus did, with a plan, a cap, evidence and a verdict."
    extension = {
        "phases": {"baseline": f"{ramp}s", "hold": f"{ramp}s", "recovery": f"{limit}s"},
        "objectives": {"recovery": {"within": f"{limit}s"}},
        "blast-radius": {"namespaces": [*target["namespaces"]], "pods": wanted.pods if share else 1},
    }
    made = document(title, description, "delete pods", arguments, extension)
    return name, made, list(dict.fromkeys(values.notes))


def _course(values: Values, *, apart: bool) -> dict[str, Any]:
    """Say how often: until the whole time is over, one interval apart; with `apart` its pods are as far apart, too."""
    whole = values.whole("TOTAL_CHAOS_DURATION", int(MOST_TIMES * LONGEST_FAULT))
    interval = values.whole("CHAOS_INTERVAL", int(LONGEST_FAULT))
    if not interval:
        values.refuse("CHAOS_INTERVAL", "an interval of nothing would delete pods without an end")
        return {}
    # It looks at the clock before each round, and a round begins right away.
    times = max(1, -(-whole // interval))
    if times > MOST_TIMES:
        values.refuse("CHAOS_INTERVAL", f"{times} rounds in {whole} s are more than {MOST_TIMES}")
    lasting = {"duration": f"{interval}s"} if apart else {}
    if times == 1:
        return lasting
    values.notes.append(f"Litmus does fewer than {times} rounds where recovery takes long; ours does them all.")
    return {**lasting, "times": min(times, MOST_TIMES), "every": f"{interval}s"}
