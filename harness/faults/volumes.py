"""Which of a container's volumes a fault may write to: one that is limited in size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
# A claim says nothing of what it lies on: that is seen on the node.
CLAIMED = ("persistentVolumeClaim", "ephemeral", "csi")
# Says why an emptyDir is not to be written to, given its name; empty where it is.
Rule = Callable[[str, Mapping[str, Any]], str]


def filled(name: str, directory: Mapping[str, Any]) -> str:
    """Say why an emptyDir is not to be filled: only one in memory is a file system of its own."""
    if directory.get("medium") != "Memory":
        return f"volume {name} lies on its node's disk, which would be filled in its place"
    return "" if "sizeLimit" in directory else f"volume {name} has no sizeLimit: it would take its node's memory"


def busied(name: str, directory: Mapping[str, Any]) -> str:
    """Say why the disk below an emptyDir is not to be kept busy."""
    if directory.get("medium") == "Memory":
        return f"volume {name} is in memory: nothing there waits for a disk"
    return "" if "sizeLimit" in directory else f"volume {name} has no sizeLimit"


def unfit(rule: Rule) -> resources.Unfit:
    """Make what refuses a container where no volume may be written to, or not the named one."""

    def amiss(spec: FaultSpec, pod: Pod) -> str:
        name, named = spec.target.container or containers.default(pod), spec.parameters.get("volume")
        found = {mount["name"]: _amiss(pod, mount, rule) for mount in _mounts(pod, name)}
        if named:
            return found.get(named, f"container {name} mounts no volume {named!r}: it has {_listed(found)}")
        fit = [one for one, why in found.items() if not why]
        if len(fit) > 1:
            return f"container {name} has several volumes that may be written: 'volume' is one of {_listed(fit)}"
        reasons = "; ".join(why for why in found.values() if why)
        return "" if fit else f"container {name} has no volume that is limited in size{': ' * bool(reasons)}{reasons}"

    return amiss


def path(fault: PlannedFault, pod: Pod, rule: Rule) -> str:
    """Return where the container has the volume that is meant."""
    mounts = _mounts(pod, fault.victim.container)
    meant = fault.parameters.get("volume")
    return next(str(one["mountPath"]) for one in mounts if meant in (None, one["name"]) and not _amiss(pod, one, rule))


def part(parameters: Mapping[str, Any]) -> str:
    """Name the volume, as a plan shows it."""
    return f"volume {parameters['volume']}" if parameters.get("volume") else ""


def _mounts(pod: Pod, name: str) -> list[Mapping[str, Any]]:
    return list(resources.specified(pod, name).get("volumeMounts") or [])


def _amiss(pod: Pod, mount: Mapping[str, Any], rule: Rule) -> str:
    """Say why a mounted volume is not to be written to."""
    name = str(mount["name"])
    volume: Mapping[str, Any] = next((one for one in pod["spec"].get("volumes") or [] if one["name"] == name), {})
    if mount.get("readOnly"):
        return f"volume {name} is read-only"
    if any(kind in volume for kind in CLAIMED):
        return ""
    return rule(name, volume["emptyDir"] or {}) if "emptyDir" in volume else f"volume {name} is no place to write to"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
