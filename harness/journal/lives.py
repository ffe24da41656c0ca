"""Fold the events of a run into what became of each fault: the one place that knows which event says what of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.journal.event import Event

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Life:
    """One fault as the journal tells of it; a time is None when that was never seen.

    `planned` is the fault as the plan has it; `victim` and `container` are what it was injected into, or planned for.
    `injected` is when the injection began, `applied` when it had returned. `not_felt` and `failed` say why, empty where
    it was not so; `felt_after` and `healed_after` are in seconds.
    """

    id: str
    planned: Data = field(default_factory=dict)
    kind: str = ""
    victim: str = ""
    container: str = ""
    injected: float | None = None
    applied: float | None = None
    felt: float | None = None
    heal_requested: float | None = None
    undone: float | None = None
    healed: float | None = None
    felt_after: float | None = None
    healed_after: float | None = None
    facts: Data = field(default_factory=dict)
    evidence: Data = field(default_factory=dict)
    not_felt: str = ""
    failed: str = ""


def read(events: Iterable[Event]) -> list[Life]:
    """Return the life of every fault, planned ones first in the order of their plans.

    A step whose targets are picked when its turn comes has one, too, as long as none are.
    """
    found: dict[str, Life] = {}
    for event in events:
        if event.type == "plan":
            planned = [_planned(item) for item in event.data.get("faults") or ()]
            for life in planned:
                found.pop(_late(life.planned), None)
            planned += [
                Life(_late(item), item, str(item.get("kind", "")), str(item.get("target", "")))
                for item in event.data.get("late") or ()
            ]
            found |= {life.id: life for life in planned}
        elif event.type == "undo" or event.type.startswith("fault."):
            identity = str(event.data.get("id", ""))
            life = found.get(identity) or Life(identity)
            found[identity] = replace(life, **_told(life, event))
    return list(found.values())


def _late(item: Data) -> str:
    return f"late {item.get('activity', '')}"


def _planned(item: Data) -> Life:
    victim = item.get("victim") or {}
    inside = "" if victim.get("kind") == "namespace" else victim.get("namespace")
    name = "/".join(str(part) for part in (inside, victim.get("name")) if part)
    container = str(victim.get("container") or "")
    return Life(str(item.get("id", "")), item, str(item.get("kind", "")), name, container)


def _told(life: Life, event: Event) -> dict[str, Any]:
    """Say what one event changes."""
    data = event.data
    match event.type:
        case "fault.injecting":
            return {"injected": event.t}
        case "fault.injected":
            # A journal without `fault.injecting` tells afterwards when it began.
            told = event.t if data.get("at") is None else float(data["at"])
            begun = told if life.injected is None else life.injected
            hit = {key: str(data[key]) for key in ("kind", "victim", "container") if data.get(key)}
            return {"injected": begun, "applied": event.t, "facts": data.get("facts") or {}, **hit}
        case "fault.failed":
            return {"failed": str(data.get("error", ""))}
        case "fault.felt":
            return {"felt": event.t, "felt_after": data.get("after"), "evidence": data.get("evidence") or {}}
        case "fault.told":
            # What whoever did it says at the end stands beside what was seen from outside.
            return {"evidence": {**life.evidence, **(data.get("evidence") or {})}}
        case "fault.not_felt":
            # Also said afterwards, of a fault that had been felt but was not what it was asked to be.
            return {"felt": None, "not_felt": str(data.get("why", ""))}
        case "fault.heal_requested":
            return {"heal_requested": event.t}
        case "fault.healed":
            return {"healed": event.t, "healed_after": data.get("after")}
        case "undo" if data.get("ok"):
            return {"undone": event.t}
    return {}
