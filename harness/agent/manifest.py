"""What the agents are in a cluster: one pod a node, with the least that entering another pod's namespaces takes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

NAMESPACE, NAME, PORT = "chaos-system", "chaos-agent", 9320
GROUP = "chaos.harness.dev"
LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "chaos-harness"}
CAPABILITIES = {
    "SYS_ADMIN": "enters the network namespace of a target",
    "SYS_PTRACE": "opens it through the target's process",
    "NET_ADMIN": "sets rules there and owns a queue",
    "NET_RAW": "sends what was held, and resets",
    "KILL": "sends a signal to a container's main process",
    "SETUID": "sets a limit of a target's process as that one's own user",
    "SETGID": "and as of its own group",
}
# Where Pod Security is enforced for all namespaces, a pod that sees the node's processes is let in by this alone.
ADMITTED = {"pod-security.kubernetes.io/enforce": "privileged"}
# What was applied, as a hash: so that it is seen at a glance whether it is this version's.
APPLIED = f"{GROUP}/applied"
Object = dict[str, Any]


def objects(image: str) -> list[Object]:
    """Return everything that `harness agent install` applies, what others need first."""
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME}
    made = [
        _object("v1", "Namespace", {"name": NAMESPACE}, labels=ADMITTED),
        _object("v1", "ServiceAccount", {"name": NAME, "namespace": NAMESPACE}),
        _object("rbac.authorization.k8s.io/v1", "ClusterRole", {"name": NAME}, rules=rules()),
        _object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", {"name": NAME}, subjects=[account], roleRef=role),
        _object("apps/v1", "DaemonSet", {"name": NAME, "namespace": NAMESPACE}, spec=_daemon_set(image)),
    ]
    text = json.dumps(made, sort_keys=True)
    made[-1]["metadata"]["annotations"] = {APPLIED: hashlib.sha256(text.encode()).hexdigest()[:16]}
    return made


def rules() -> list[Object]:
    """Return the agent's rights: it reads faults, leases and pods, and writes the status of faults, nothing else."""
    return [
        {"apiGroups": [GROUP], "resources": ["faults", "nodefaults"], "verbs": ["list", "watch"]},
        {"apiGroups": [GROUP], "resources": ["faults/status", "nodefaults/status"], "verbs": ["patch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    ]


def path(item: Object) -> str:
    """Return the API path of one of these objects."""
    version, metadata = item["apiVersion"], item["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    inside = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{inside}/{item['kind'].lower()}s/{metadata['name']}"


def _object(version: str, kind: str, metadata: Object, labels: Object | None = None, **rest: Any) -> Object:
    labels = {**LABELS, **(labels or {})}
    return {"apiVersion": version, "kind": kind, "metadata": {**metadata, "labels": labels}, **rest}


def _daemon_set(image: str) -> Object:
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)}
    return {
        "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
        # A new agent heals what the old one left, so there is no reason to go slowly.
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
        "template": {"metadata": {"labels": LABELS, "annotations": annotations}, "spec": _pod(image)},
    }


def _pod(image: str) -> Object:
    volumes = {"ledger": ("/var/lib/chaos-harness", "DirectoryOrCreate"), "cgroup": ("/sys/fs/cgroup", "Directory")}
    return {
        "serviceAccountName": NAME,
        # Targets are found by the control groups of the node's processes, and entered through them.
        "hostPID": True,
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 15,
        "containers": [_container(image)],
        "volumes": [
            *({"name": name, "hostPath": {"path": at, "type": kind}} for name, (at, kind) in volumes.items()),
            {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ],
    }


def _container(image: str) -> Object:
    environment = {"AGENT_LEDGER": "/ledger/ledger.json", "AGENT_CGROUP": "/host/cgroup", "AGENT_PORT": str(PORT)}
    node = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    probe = {"httpGet": {"path": "/healthz", "port": PORT}, "periodSeconds": 10, "timeoutSeconds": 5}
    return {
        "name": "agent",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [node, *({"name": key, "value": value} for key, value in environment.items())],
        "ports": [{"name": "metrics", "containerPort": PORT}],
        "livenessProbe": {**probe, "initialDelaySeconds": 60, "failureThreshold": 3},
        "readinessProbe": {**probe, "periodSeconds": 2},
        # At rest it takes a hundredth of that; the request is its weight against other pods of a busy node, where a
        # priority counts among the processes of one container alone.
        "resources": {"requests": {"cpu": "100m", "memory": "48Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "runAsUser": 0,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "appArmorProfile": {"type": "Unconfined"},
            "capabilities": {"drop": ["ALL"], "add": sorted(CAPABILITIES)},
        },
        # In /run iptables-legacy has its lock.
        "volumeMounts": [
            {"name": name, "mountPath": at}
            for name, at in (("ledger", "/ledger"), ("cgroup", "/host/cgroup"), ("run", "/run"))
        ],
    }
