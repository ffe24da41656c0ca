"""The certificates that Gateways name: made when the stack is brought up and kept in the cluster alone."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.cluster import docker, paths, stopping
from harness.cluster.cache import Progress
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import ApiError, PreconditionFailed
from harness.stack import apply

Object = Mapping[str, Any]
DAYS, SPARE_DAYS = 365, 30
HOSTS, UNTIL = "chaos-harness/hosts", "chaos-harness/until"
TYPE = "kubernetes.io/tls"
MAKE_SECONDS = 30.0
# Every node image has openssl; the machine itself need not. The key touches no disk.
SCRIPT = """
set -eu; umask 077; folder=$(mktemp -d -p /dev/shm); trap 'rm -rf "$folder"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$1" -subj "/CN=$2" \\
  -addext "subjectAltName=$3" -keyout "$folder/key" -out "$folder/certificate"
cat "$folder/key" "$folder/certificate"
"""
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----\n.*?-----END \1-----\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A certificate for these hosts, and the Secret that it belongs into."""

    namespace: str
    name: str
    hosts: tuple[str, ...]

    @property
    def path(self) -> str:
        """Return the API path of the Secret."""
        return paths.core(self.namespace, "secrets", self.name)


def wanted(objects: Iterable[Object]) -> list[Wanted]:
    """Name the certificates that Gateways ask for, each where the pods are that show it."""
    objects = list(objects)
    found: dict[tuple[str, str], list[str]] = {}
    for gateway in (item for item in objects if item["kind"] == "Gateway"):
        spec = gateway.get("spec", {})
        for server in spec.get("servers", ()):
            if name := server.get("tls", {}).get("credentialName"):
                for namespace in _places(spec["selector"], objects):
                    found.setdefault((namespace, name), []).extend(server["hosts"])
    return [Wanted(*where, tuple(dict.fromkeys(hosts))) for where, hosts in found.items()]


def _places(selector: Mapping[str, str], objects: Iterable[Object]) -> list[str]:
    deployments = (item for item in objects if item["kind"] == "Deployment")
    found = [
        item["metadata"]["namespace"]
        for item in deployments
        if selector.items() <= item["spec"]["template"]["metadata"]["labels"].items()
    ]
    return list(dict.fromkeys(found))


async def ensure(kube: Kube, cluster: LocalCluster, objects: Iterable[Object], progress: Progress) -> None:
    """Have every certificate that Gateways ask for; one that is there stays until its time is nearly up.

    Raises PreconditionFailed where none can be made.
    """
    for one in wanted(objects):
        if not await _good(kube, one):
            progress(f"making a certificate for {', '.join(one.hosts)}")
            made = await stopping.in_thread(_make, cluster, one.hosts)
            await apply.apply(kube, [_secret(one, made)])


async def _good(kube: Kube, one: Wanted) -> bool:
    try:
        found = await kube.get(one.path)
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    notes = found["metadata"].get("annotations") or {}
    whole = {"tls.crt", "tls.key"} <= (found.get("data") or {}).keys()
    if not whole or notes.get(HOSTS) != ",".join(one.hosts) or UNTIL not in notes:
        return False
    return datetime.fromisoformat(notes[UNTIL]) > datetime.now(UTC) + timedelta(days=SPARE_DAYS)


def _make(cluster: LocalCluster, hosts: tuple[str, ...]) -> dict[str, str]:
    """Make a key and a certificate of its own for these hosts; return both in PEM by what they are."""
    names = ",".join(f"DNS:{host}" for host in hosts)
    argv = ("exec", "-i", cluster.control_plane, "sh", "-c", SCRIPT, "sh", str(DAYS), hosts[0], names)
    done = docker.result(cluster.docker_host, *argv, deadline=MAKE_SECONDS)
    found = {match[1]: match[0] for match in _PEM.finditer(done.stdout)}
    if done.returncode or found.keys() != {"PRIVATE KEY", "CERTIFICATE"}:
        why = done.stderr.strip() or f"openssl gave {', '.join(found) or 'nothing'}"
        raise PreconditionFailed("the gateway's certificate cannot be made", where=cluster.control_plane, why=why)
    return found


def _secret(one: Wanted, made: Mapping[str, str]) -> Object:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=DAYS)
    notes = {HOSTS: ",".join(one.hosts), UNTIL: until.isoformat()}
    parts = {"tls.crt": made["CERTIFICATE"], "tls.key": made["PRIVATE KEY"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": one.name, "namespace": one.namespace, "annotations": notes},
        "type": TYPE,
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in parts.items()},
    }
