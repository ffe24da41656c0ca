"""Which of a container's volumes a fault may write to: one that is limited in size, never its node's disk or memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults import resources
from harness.model.fault import FaultSpec
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.targets import containers
from harness.workloads.pod import Pod

VOLUME = Parameter(
    "volume", Type.TEXT, "Which of the pod's volumes, by its name there; the only one that may be written, by default."
)
# A claim says nothing of what it lies on: whether that is a file system of its own is seen on the node.
CLAIMED = ("persistentVolumeClaim", "ephemeral", "csi")


def unfit(spec: FaultSpec, pod: Pod) -> str:
    """Say why no volume of the container that is meant can be written to, or not the named one."""
    name, named = spec.target.container or containers.default(pod), spec.parameters.get("volume")
    found = {mount["name"]: _amiss(pod, mount) for mount in _mounts(pod, name)}
    if named:
        return found.get(named, f"container {name} mounts no volume {named!r}: it has {_listed(found)}")
    fit = [one for one, why in found.items() if not why]
    if len(fit) > 1:
        return f"container {name} has several volumes that may be written: 'volume' is one of {_listed(fit)}"
    reasons = "; ".join(why for why in found.values() if why)
    return "" if fit else f"container {name} has no volume that is limited in size{': ' * bool(reasons)}{reasons}"


def path(fault: PlannedFault, pod: Pod) -> str:
    """Return where the container has the volume that is meant."""
    mounts = _mounts(pod, fault.victim.container)
    meant = fault.parameters.get("volume")
    return next(str(one["mountPath"]) for one in mounts if meant in (None, one["name"]) and not _amiss(pod, one))


def _mounts(pod: Pod, name: str) -> list[Mapping[str, Any]]:
    return list(resources.specified(pod, name).get("volumeMounts") or [])


def _amiss(pod: Pod, mount: Mapping[str, Any]) -> str:
    """Say why a mounted volume is not to be written to."""
    name = mount["name"]
    volume = next((one for one in pod["spec"].get("volumes") or [] if one["name"] == name), {})
    if mount.get("readOnly"):
        return f"volume {name} is read-only"
    if any(kind in volume for kind in CLAIMED):
        return ""
    if "emptyDir" not in volume:
        return f"volume {name} is no place to write to"
    directory = volume["emptyDir"] or {}
    if directory.get("medium") != "Memory":
        return f"volume {name} lies on its node's disk, which would be filled in its place"
    return "" if "sizeLimit" in directory else f"volume {name} has no sizeLimit: it would take its node's memory"


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
