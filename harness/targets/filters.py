"""Tell whether a pod is what a rule asks for besides its labels: annotations, controllers, names, age."""

from __future__ import annotations

import re
from datetime import datetime

from harness.model import selector
from harness.model.fault import Filter
from harness.model.units import seconds
from harness.targets import pods
from harness.workloads.pod import Pod


def passes(asked: Filter, pod: Pod, now: datetime) -> bool:
    """Say whether a pod is what is asked for; a pod that is exactly as old as it must be is old enough."""
    metadata = pod["metadata"]
    name, annotations = metadata["name"], metadata.get("annotations") or {}
    if asked.annotations and not pods.selects({"matchExpressions": selector.parse(asked.annotations)}, annotations):
        return False
    if asked.included and not re.search(asked.included, name):
        return False
    if asked.excluded and re.search(asked.excluded, name):
        return False
    born = datetime.fromisoformat(metadata["creationTimestamp"]) if asked.minimum_age else now
    if (now - born).total_seconds() < asked.minimum_age:
        return False
    return _of_kind(asked.kinds, {one["kind"] for one in metadata.get("ownerReferences") or []})


def _of_kind(asked: tuple[str, ...], owners: set[str]) -> bool:
    wanted = {kind for kind in asked if not kind.startswith("!")}
    unwanted = {kind[1:] for kind in asked if kind.startswith("!")}
    return (not wanted or bool(wanted & owners)) and not unwanted & owners


def words(asked: Filter | None) -> list[str]:
    """Say what is asked for, part by part."""
    if asked is None:
        return []
    parts = {
        "annotations": asked.annotations,
        "kinds": ",".join(asked.kinds),
        "names like": asked.included,
        "names unlike": asked.excluded,
        "older than": seconds(asked.minimum_age) if asked.minimum_age else "",
    }
    return [f"{name} {value}" for name, value in parts.items() if value]
