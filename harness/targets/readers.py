"""Which pods read a ConfigMap or a Secret: by a volume, by their environment, or to pull their images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.cluster import paths
from harness.model.plan import Victim
from harness.targets.kind import Object
from harness.workloads import Owners
from harness.workloads.pod import Pod, is_done, is_going

if TYPE_CHECKING:
    from harness.cluster.kube import Kube


async def pods_of(kube: Kube, owners: Owners, victim: Victim) -> Sequence[Object]:
    """List the pods that name the target in their specification; who reads it through the API nobody can tell."""
    there = await kube.list(paths.pods(victim.namespace))
    return [pod for pod in there if not is_going(pod) and not is_done(pod) and victim.owner in set(read_by(pod))]


def read_by(pod: Pod) -> Iterator[str]:
    """Name each ConfigMap and Secret that a pod reads, as Kind/name."""
    spec = pod["spec"]
    for volume in spec.get("volumes") or []:
        yield from _named(volume, "configMap", "secret", by="secretName")
        for source in (volume.get("projected") or {}).get("sources") or []:
            yield from _named(source, "configMap", "secret")
    for container in (*(spec.get("containers") or []), *(spec.get("initContainers") or [])):
        for source in container.get("envFrom") or []:
            yield from _named(source, "configMapRef", "secretRef")
        for variable in container.get("env") or []:
            yield from _named(variable.get("valueFrom") or {}, "configMapKeyRef", "secretKeyRef")
    for one in spec.get("imagePullSecrets") or []:
        yield f"Secret/{one['name']}"


def _named(source: Mapping[str, Any], config_map: str, secret: str, *, by: str = "name") -> Iterator[str]:
    if config_map in source:
        yield f"ConfigMap/{source[config_map].get('name', '')}"
    if secret in source:
        yield f"Secret/{source[secret].get(by, '')}"
