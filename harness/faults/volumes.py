"""Which of a container's volumes a fault may write to: one that is limited in size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.faults import resources
from harness.faults.kind import Object, Unfit
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault, Victim

VOLUME = Parameter(
    "volume", Type.TEXT, "Which of the pod's volumes, by its name there; the only one that may be written, by default."
)
# A claim says nothing of what it lies on: that is seen on the node.
CLAIMED = ("persistentVolumeClaim", "ephemeral", "csi")
HINT = "a volume that is limited in size"
# Says why an emptyDir is not to be written to, given its name; empty where it is.
Rule = Callable[[str, Mapping[str, Any]], str]


def filled(name: str, directory: Mapping[str, Any]) -> str:
    """Say why an emptyDir is not to be filled: only one in memory is a file system of its own."""
    if directory.get("medium") != "Memory":
        return f"volume {name} lies on its node's disk, which would be filled in its place"
    return "" if _limited(directory) else f"volume {name} has no sizeLimit: it would take its node's memory"


def busied(name: str, directory: Mapping[str, Any]) -> str:
    """Say why the disk below an emptyDir is not to be kept busy."""
    if directory.get("medium"):
        return f"volume {name} is in memory: nothing there waits for a disk"
    return "" if _limited(directory) else f"volume {name} has no sizeLimit"


def unfit(rule: Rule) -> resources.Refuses:
    """Make what refuses a container where no volume may be written to, or not the named one."""

    def amiss(parameters: Mapping[str, Any], pod: Object, victim: Victim) -> Unfit | None:
        if beyond := resources.beyond(parameters, pod, victim):
            return beyond
        name, named = victim.container, parameters.get("volume")
        found: dict[str, str] = {}
        for mount in _mounts(pod, name):
            # One volume may be mounted more than once: it is fit where one of its places is.
            found[mount["name"]] = found.get(mount["name"], "none") and _amiss(pod, mount, rule)
        if named:
            if named not in found:
                return Unfit(f"container {name} mounts no volume {named!r}: it has {_listed(found)}", "", HINT)
            return Unfit(f"volume {named} is not to be written to", found[named], HINT) if found[named] else None
        fit = [one for one, why in found.items() if not why]
        if len(fit) > 1:
            what = f"container {name} has several volumes that may be written"
            return Unfit(what, "which one is meant is not said", f"'volume' is one of {_listed(fit)}")
        if fit:
            return None
        reasons = "; ".join(found.values()) or "it mounts none"
        return Unfit(f"container {name} has no volume that is limited in size", reasons, HINT)

    return amiss


def path(fault: PlannedFault, pod: Object, rule: Rule) -> str:
    """Return where the container has the volume that is meant."""
    mounts = _mounts(pod, fault.victim.container)
    meant = fault.parameters.get("volume")
    return next(str(one["mountPath"]) for one in mounts if meant in (None, one["name"]) and not _amiss(pod, one, rule))


def meant(parameters: Mapping[str, Any]) -> str:
    """Name the volume, as a plan shows it."""
    return f"volume {parameters['volume']}" if parameters.get("volume") else ""


def _mounts(pod: Object, name: str) -> list[Mapping[str, Any]]:
    return list(resources.specified(pod, name).get("volumeMounts") or [])


def _amiss(pod: Object, mount: Mapping[str, Any], rule: Rule) -> str:
    """Say why a mounted volume is not to be written to."""
    name = str(mount["name"])
    volume: Mapping[str, Any] = next((one for one in pod["spec"].get("volumes") or [] if one["name"] == name), {})
    claim = next((volume[kind] or {} for kind in CLAIMED if kind in volume), None)
    if mount.get("readOnly") or (claim or {}).get("readOnly"):
        return f"volume {name} is read-only"
    if claim is not None:
        return ""
    return rule(name, volume["emptyDir"] or {}) if "emptyDir" in volume else f"volume {name} is no place to write to"


def _limited(directory: Mapping[str, Any]) -> bool:
    # A limit of nothing is none.
    return str(directory.get("sizeLimit") or "0") != "0"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
