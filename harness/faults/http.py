"""What faults of HTTP requests have in common: Istio's own `fault` at routes of a VirtualService, for a time.

It is the field of the route itself that is set, so that whoever changes the weights of that route meanwhile, as a
Rollout does, goes on doing so; what else is in the list of routes is never written. Only where a `header` or a `path`
narrows it is there a route besides, right before the one that it is taken from, since Istio knows no narrower fault.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from harness.errors import ApiError, InjectionFailed, ObservationFailed
from harness.faults.kind import FaultKind, Object, Rule, Unfit, as_recorded, recorded
from harness.hands.api import undoing
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Target, Undo
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault, Victim
from harness.model.units import percent
from harness.resources import resource
from harness.targets import objects, routes
from harness.targets.reach import Facts, Reach

if TYPE_CHECKING:
    from harness.model.history import Operation

# What is so rare before that it tells of the fault, and for how long none of it tells that it is over.
BEFORE_SECONDS, QUIET_SECONDS = 10.0, 1.0
LOAD, OTHERS = "load", "others"
HEADER = re.compile(r"[A-Za-z0-9-]+=.+")
PARAMETERS = (
    Parameter("share", Type.RATIO, "Of how many of these requests.", default=1.0, minimum=1e-6),
    Parameter("routes", Type.NAMES, "The routes that are meant, by name; left out, all that lead somewhere."),
    Parameter("header", Type.TEXT, "Only requests with this header: name=value."),
    Parameter("path", Type.TEXT, "Only requests whose path begins so."),
    Parameter(
        "callers",
        Type.TEXT,
        "Whose answers show it: the run's load's, or others', whom nobody here can ask.",
        default=LOAD,
        choices=(LOAD, OTHERS),
    ),
)
Parameters = Mapping[str, Any]


class Sign(NamedTuple):
    """How an answer of the load shows the fault, and how many of them are no chance."""

    words: str
    least: int
    shown: Callable[[Parameters, Operation], bool]


def flag(name: str) -> Sign:
    """Make the sign that Envoy gives, where the gateway tells its response flags to callers."""
    return Sign(f"response flag {name}", 1, lambda _, one: name in one.response_flags.split(","))


def percentage(parameters: Parameters) -> Mapping[str, float]:
    """Write a share as Istio has it, who cuts it after four digits."""
    value = round(parameters["share"] * 100, 4)
    return {"value": int(value) if value.is_integer() else value}


def clash(target: Target, parameters: Parameters) -> tuple[str, Unfit] | None:
    """Say which header or path is none."""
    header, path = parameters.get("header"), parameters.get("path")
    if header and not HEADER.fullmatch(header):
        return "header", Unfit(f"{header!r} is no header", "one is name=value, and its whole value is meant")
    if path and not path.startswith("/"):
        return "path", Unfit(f"{path!r} is no path", "one begins with /")
    return None


def meant(parameters: Parameters) -> str:
    """Say of which requests it is."""
    narrow = [f"with {parameters['header']}"] if parameters.get("header") else []
    narrow += [f"below {parameters['path']}"] if parameters.get("path") else []
    return " ".join([percent(parameters.get("share") or 1.0), "of the requests", *narrow])


def rights(*verbs: str) -> tuple[Rule, ...]:
    """List what it takes to read a VirtualService and to change it."""
    return ({"apiGroups": ["networking.istio.io"], "resources": ["virtualservices"], "verbs": [*verbs]},)


def fault(
    name: str,
    *,
    summary: str,
    effect: Callable[[Parameters], Object],
    signs: Sequence[Sign],
    clash: Callable[[Target, Parameters], tuple[str, Unfit] | None] = clash,
    parameters: tuple[Parameter, ...],
    disturbs: Disturbance,
) -> FaultKind:
    """Make a fault of HTTP requests: `effect` is what Istio writes, `signs` are how an answer shows it."""

    def unfit(parameters: Parameters, item: Object, victim: Victim) -> Unfit | None:
        found = routes.amiss(item, victim, parameters)
        return Unfit(*found) if found else None

    async def read(fault: PlannedFault, reach: Reach) -> dict[str, Any]:
        item, victim = await objects.read(reach.kube, fault), fault.victim
        if refused := unfit(fault.parameters, item, victim):
            raise InjectionFailed(refused.what, where=str(victim), why=refused.why, hint=refused.hint)
        found = [name for _, name in routes.meant(item, victim, fault.parameters)]
        if found != (planned := [one.name for one in fault.takes]):
            why = f"planned were {', '.join(planned) or 'none'}, there are {', '.join(found)}"
            raise InjectionFailed("its routes are not those of the plan", where=str(victim), why=why)
        return item

    async def prepare(fault: PlannedFault, reach: Reach) -> Undo:
        item, where, told = await read(fault, reach), str(fault.victim), fault.parameters
        if routes.narrows(told) and (rollout := await routes.stalled(reach.kube, fault.victim)):
            why = f"Rollout {rollout} names no route, and stands still as soon as there is a second one"
            hint = "have it name its routes, or leave out header and path"
            raise InjectionFailed("a Rollout would be held up", where=where, why=why, hint=hint)
        if told.get("callers") != OTHERS:
            before = reach.answers(BEFORE_SECONDS)
            if before is None:
                why, hint = "its evidence is what a load is answered", "callers: others, where something else calls"
                raise InjectionFailed("this run has no load that could meet it", where=where, why=why, hint=hint)
            reach.note(fault)["signs"] = [one for one in signs if not any(one.shown(told, op) for op in before)]
        return [routes.undo(item, fault.victim, effect(told), resource.beside(fault), told)]

    async def inject(fault: PlannedFault, reach: Reach) -> Facts:
        note, why = reach.note(fault), ""
        for _ in range(undoing.TRIES):
            item = await read(fault, reach)
            chosen = routes.meant(item, fault.victim, fault.parameters)
            patch = routes.written(item, chosen, effect(fault.parameters), resource.beside(fault), fault.parameters)
            await reach.guard()
            try:
                made = await reach.kube.patch(fault.victim.path, [undoing.version(item), *patch], kind="json")
                break
            except ApiError as error:
                if error.status not in undoing.CHANGED:
                    raise
                why = f"{error.status} {error.reason}"
        else:
            raise InjectionFailed("the target does not take the change", where=str(fault.victim), why=why)
        note.update(at=time.monotonic(), before=item["spec"])
        if len(undoing.routed(made, note["undo"][0])) != len(chosen):
            await _taken_back(fault, reach, made, chosen)
        return {"uid": fault.victim.uid, "routes": ", ".join(name for _, name in chosen), "of": meant(fault.parameters)}

    async def felt(fault: PlannedFault, reach: Reach) -> Facts:
        note = reach.note(fault)
        if fault.parameters.get("callers") == OTHERS:
            return await objects.until(reach, fault.victim.path, lambda item: _served(item, note))
        while True:
            answered = _answered(reach, note["at"])
            for sign in note["signs"]:
                shown = sum(sign.shown(fault.parameters, one) for one in answered)
                if shown >= sign.least:
                    return {"answers": shown, "by": sign.words}
            await anyio.sleep(objects.PAUSE_SECONDS)

    async def healed(fault: PlannedFault, reach: Reach) -> Facts:
        note = reach.note(fault)
        facts = await objects.until(reach, fault.victim.path, lambda item: _gone(item, note))
        since = time.monotonic()
        while note.get("signs") and (answered := reach.answers(time.monotonic() - since)) is not None:
            if any(sign.shown(fault.parameters, one) for one in answered for sign in note["signs"]):
                since = time.monotonic()
            elif answered and time.monotonic() - since >= QUIET_SECONDS:
                return facts | {"answers": f"{len(answered)} without it"}
            await anyio.sleep(objects.PAUSE_SECONDS)
        return facts

    return FaultKind(
        name=name,
        hand=Hand.API,
        target="route",
        summary=summary,
        evidence="answers of the run's load show it; where `callers` are others, the API server serves it",
        healed_when="the API server serves the routes without it, and the load's answers show none of it",
        disturbs=frozenset({Disturbance.SERVING, disturbs}),
        parameters=(*parameters, *PARAMETERS),
        rights=rights("get", "list", "patch"),
        of_target=lambda target: rights("get", *["list"] * target.route.startswith(routes.SERVICE), "patch"),
        met_by_load=lambda parameters: parameters.get("callers") != OTHERS,
        clash=clash,
        meant=meant,
        unfit=unfit,
        prepare=prepare,
        undo=recorded,
        inject=inject,
        felt=felt,
        heal=as_recorded,
        healed=healed,
    )


def _answered(reach: Reach, since: float) -> Sequence[Operation]:
    answered = reach.answers(time.monotonic() - since)
    if answered is None:
        raise ObservationFailed("the load died before the fault was felt", why="nobody else could be asked")
    return answered


def _served(item: Object | None, note: Facts) -> Facts | None:
    there = undoing.routed(item, note["undo"][0]) if item else []
    return {"routes": len(there), "by": "the API server alone: nobody here calls"} if there else None


def _gone(item: Object | None, note: Facts) -> Facts | None:
    if item is None:
        return {"routes": "gone"}
    if undoing.routed(item, note["undo"][0]):
        return None
    same = item["spec"] == note["before"]
    return {"routes": "as they were" if same else "without it, else as somebody has them since"}


async def _taken_back(fault: PlannedFault, reach: Reach, made: Object, chosen: Sequence[tuple[int, str]]) -> None:
    """Take away again what was rewritten on its way: later nobody would know it; raises InjectionFailed."""
    try:
        await reach.kube.patch(fault.victim.path, routes.taken_back(made, chosen, fault.parameters), kind="json")
        then = "it was taken back"
    except ApiError as error:
        then = f"it could not be taken back: {error.status} {error.reason}"
    why = f"it is not what was set, as if an admission webhook had a say in it; {then}"
    hint = "aim at what nobody rewrites"
    raise InjectionFailed("the change was rewritten on its way", where=str(fault.victim), why=why, hint=hint)
