"""What an Argo Rollouts controller says of a release and of its analyses.

Fields as in the API reference of Argo Rollouts 1.9 (v1alpha1: RolloutStatus, AnalysisRunStatus).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
GROUP = "/apis/argoproj.io/v1alpha1"
# Which release of its Rollout a pod and an analysis are of.
RELEASE = "rollouts-pod-template-hash"
UNDER_WAY, PROMOTED, ROLLED_BACK = "under way", "promoted", "rolled-back"
# The longest text of a controller that is kept.
LONGEST = 300


def rollouts(namespace: str, name: str = "") -> str:
    """Return the API path of a namespace's Rollouts, or of one."""
    return f"{GROUP}/namespaces/{namespace}/rollouts" + (f"/{name}" if name else "")


def analyses(namespace: str) -> str:
    """Return the API path of a namespace's analyses."""
    return f"{GROUP}/namespaces/{namespace}/analysisruns"


def environment(before: Sequence[Object] | None, settings: Mapping[str, str]) -> list[Object]:
    """Return a container's environment with these settings; an empty value is left out, as API servers leave it."""
    others = [one for one in before or () if one["name"] not in settings]
    return [*others, *({"name": name, **({"value": value} if value else {})} for name, value in settings.items())]


@dataclass(frozen=True, slots=True)
class State:
    """How far the newest release of a Rollout is: its share of the traffic in per cent, its step of so many.

    `phase` is empty while the controller has not seen the present specification: then nothing else is known. It `waits`
    where nobody but a person lets it go on.
    """

    phase: str = ""
    stable: str = ""
    newest: str = ""
    weight: float = 0.0
    step: int = 0
    steps: int = 0
    aborted: bool = False
    waits: bool = False
    message: str = ""

    @property
    def outcome(self) -> str:
        """Say what has become of the newest release."""
        if not self.phase:
            return UNDER_WAY
        if self.aborted:
            return ROLLED_BACK
        return PROMOTED if self.newest and self.stable == self.newest else UNDER_WAY

    @property
    def moving(self) -> bool:
        """Say whether the Rollout is on its way by itself; one that is stuck, or waits for somebody, stays."""
        return self.phase not in ("Healthy", "Degraded") and not self.aborted and not self.waits


def state(item: Object) -> State:
    """Read how far the newest release of a Rollout is."""
    status, spec = item.get("status") or {}, item.get("spec") or {}
    if str(status.get("observedGeneration")) != str(item["metadata"].get("generation")):
        return State()
    stable, newest = str(status.get("stableRS", "")), str(status.get("currentPodHash", ""))
    canary = ((status.get("canary") or {}).get("weights") or {}).get("canary") or {}
    steps = ((spec.get("strategy") or {}).get("canary") or {}).get("steps") or []
    step = int(status.get("currentStepIndex") or 0)
    return State(
        phase=str(status.get("phase") or "Unknown"),
        stable=stable,
        newest=newest,
        weight=100.0 if stable == newest else float(canary.get("weight") or 0),
        step=step,
        steps=len(steps),
        waits=_waits(spec, status, steps[step] if step < len(steps) else {}),
        aborted=bool(status.get("abort")),
        message=str(status.get("message") or "")[:LONGEST],
    )


def _waits(spec: Object, status: Object, step: Object) -> bool:
    """Say whether nobody but a person lets a Rollout go on; a pause that has an end does not count."""
    held = {one["reason"] for one in status.get("pauseConditions") or ()}
    if (step.get("pause") or {}).get("duration") is not None:
        held.discard("CanaryPauseStep")
    blue_green = (spec.get("strategy") or {}).get("blueGreen") or {}
    # Where promotion is by hand its seconds count for nothing.
    if blue_green.get("autoPromotionEnabled") is not False and blue_green.get("autoPromotionSeconds"):
        held.discard("BlueGreenPause")
    return bool(spec.get("paused") or held)


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analysis has found out: of which release of whom, how many measurements, and which."""

    phase: str
    rollout: str
    release: str
    made: int
    measured: str
    message: str


def analysis(item: Object) -> Analysis:
    """Read what an analysis has found out."""
    metadata, status = item["metadata"], item.get("status") or {}
    results = {one["name"]: one.get("measurements") or [] for one in status.get("metricResults") or []}
    owner: Object = next(iter(metadata.get("ownerReferences") or []), {})
    measured = (
        f"{name} {', '.join(str(one.get('value') or one.get('phase')) for one in made)}"
        for name, made in results.items()
        if made
    )
    return Analysis(
        phase=str(status.get("phase", "")),
        rollout=f"{owner.get('kind', '')}/{owner.get('name', '')}",
        release=str((metadata.get("labels") or {}).get(RELEASE, "")),
        made=sum(map(len, results.values())),
        measured="; ".join(measured)[:LONGEST],
        message=str(status.get("message") or "")[:LONGEST],
    )
